"""Paired tests of two sets of runs on the same items, with seeds as a second level.

Two things make a mean score move when nothing changed. Items: each run gets some right that the other
gets wrong. And seeds: a seed draws the training examples, their order and the initial adapter, which moves
all items of a run together, however many there are. A test over items alone takes the second for a
real change; here both are in the standard error:

    variance of a difference = S2 / n + c * V

where S2 is the variance over the n items of the difference of their means over seeds (each item is one
cluster of its seeds), V the variance of one side's mean between seeds beyond what items explain, and c is
1/k + 1/l for k and l seeds. Where both sides ran the same seeds, V is taken from the differences seed by
seed (half their variance), so that luck which both sides share drops out. Where seeds move one side alone,
as they do not move a model that is not trained, c is 1/k, and V the whole variance of those differences.

Few seeds say little about V (a bootstrap over two or three would understate it), so it is pooled over the
units of a grid or of one method, and each unit's own figure is drawn towards the pool as in a moderated t
test (Smyth, "Linear models and empirical Bayes methods", 2004). Tests are t tests with Satterthwaite's
degrees of freedom ("An approximate distribution of estimates of variance components", 1946).

All scores are from 0 to 1; differences are candidate minus baseline.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import stdtr, stdtrit

from harness.aligned import Floats, Seeded, aligned
from harness.pvalues import mcnemar
from harness.stats import CONFIDENCE

Compared = TypeVar("Compared", bound=Hashable)

ERROR = 1 - CONFIDENCE
"""Chance that a family of tests, corrected together, calls anything where nothing differs."""
POWER = 0.9
"""Chance with which a difference of the stated smallest size would have been called."""
ASSUMED_SEED_DEVIATION = 0.03
"""Standard deviation of a unit's mean score between seeds where nothing at all was measured."""
FEWEST = 6
"""Degrees of freedom below which the pool is filled up with what is assumed."""
PRIOR = 6
"""Degrees of freedom that the pool counts for in one unit's own variance between seeds."""
PSEUDO = 2
"""Items with differences +0.7 and -0.7 added to each unit, as Agresti and Min add half a pair to each cell
(Statistics in Medicine 24, 2005): scores that never differ do not look certain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """The difference between two sets of runs in one unit, usually a cell of a grid.

    Attributes:
        value: Mean of the candidate minus mean of the baseline, over items and seeds.
        baseline: Mean of the baseline.
        items: Items that all runs share.
        seeds: Seeds of the side that has fewer.
        paired: Whether both sides ran the same seeds.
        item_variance: S2 / n: variance of `value` over draws of the items.
        scale: c: how the variance between seeds enters that of `value`.
        noise: The items' part in the variance of a seed's mean: what is left where V is 0.
        between: Estimate of V from this unit alone; may be negative, as unbiased estimates are.
        degrees: Seeds behind `between`, less the means estimated; 0 where it says nothing.
        identical: Every item has the same score on both sides, seed by seed.
        discordant: Items that rose and fell where each side has one run of zeros and ones, else None.
    """

    value: float
    baseline: float
    items: int
    seeds: int
    paired: bool
    item_variance: float
    scale: float
    noise: float
    between: float
    degrees: int
    identical: bool
    discordant: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """A variance between seeds with the degrees of freedom it is known by; `measured` of them from runs."""

    variance: float
    degrees: float
    measured: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A tested difference: its estimate, standard error and degrees of freedom.

    `item_share` is the part of the variance that more items would shrink.
    """

    value: float
    baseline: float
    error: float
    degrees: float
    item_share: float
    identical: bool = False
    discordant: tuple[int, int] | None = None

    @property
    def p_drop(self) -> float:
        """One-sided p value of "the candidate is no worse": McNemar's exact test where there is one."""
        return self._p(-1)

    @property
    def p_rise(self) -> float:
        """One-sided p value of "the candidate is no better"."""
        return self._p(1)

    @property
    def p_value(self) -> float:
        """Two-sided p value of "there is no difference"."""
        return min(1.0, 2 * min(self.p_drop, self.p_rise))

    def lower(self, level: float) -> float:
        """The one-sided lower confidence bound: below it with a chance of `level`."""
        return self.value - self._quantile(1 - level) * self.error

    def interval(self, level: float) -> tuple[float, float]:
        """The two-sided confidence interval that misses with a chance of `level`."""
        half = self._quantile(1 - level / 2) * self.error
        return self.value - half, self.value + half

    def detectable(self, level: float, power: float) -> float:
        """The smallest true difference that a one-sided test at `level` calls with a chance of `power`."""
        return (self._quantile(1 - level) + self._quantile(power)) * self.error

    def _p(self, direction: int) -> float:
        if self.identical:
            return 1.0
        if self.discordant is not None:
            return mcnemar(*(self.discordant if direction > 0 else self.discordant[::-1]))
        return float(stdtr(self.degrees, -direction * self.value / self.error))

    def _quantile(self, share: float) -> float:
        return float(stdtrit(self.degrees, share))


def effect(baseline: Seeded, candidate: Seeded, *, seeded: bool, one_sided: bool = False) -> Effect:
    """Compare the runs of one unit on the items that all of them share.

    Args:
        baseline: Runs by seed; seeds that both sides ran are paired if they are the same ones.
        candidate: Likewise.
        seeded: Whether a seed can change anything here. Where it cannot, equal runs count as one.
        one_sided: Whether it can change one side alone, and the other's run stands there for every seed.

    Raises:
        ValueError: They share no item, or a score is not from 0 to 1.
    """
    old, new, paired = aligned(baseline, candidate)
    identical = paired and np.array_equal(old, new)
    if not seeded and all(np.array_equal(rows, rows[:1].repeat(len(rows), 0)) for rows in (old, new)):
        old, new = old[:1], new[:1]
        identical = np.array_equal(old, new)
    else:
        seeded = True
    change = new.mean(axis=0) - old.mean(axis=0)
    items = len(change)
    centred = change - change.mean()
    item_variance = float((centred @ centred + PSEUDO / 2) / (items - 1 + PSEUDO) / items)
    single = len(old) == len(new) == 1 and bool(np.isin((old, new), (0, 1)).all())
    moved = 1 if one_sided else 2
    between, noise, degrees = _between([(new - old) / math.sqrt(moved)] if paired else [old, new])
    return Effect(
        value=float(change.mean()),
        baseline=float(old.mean()),
        items=items,
        seeds=min(len(old), len(new)),
        paired=paired,
        item_variance=item_variance,
        scale=moved / 2 * (1 / len(new) + 1 / len(old)) if seeded else 0.0,
        noise=noise,
        between=between,
        degrees=degrees if seeded else 0,
        identical=identical,
        discordant=(int((change > 0).sum()), int((change < 0).sum())) if single and not seeded else None,
    )


def pool(effects: Sequence[Effect], prior: float = ASSUMED_SEED_DEVIATION**2) -> Spread:
    """The variance between seeds, pooled over units that changed and of which two seeds or more ran.

    Args:
        effects: All units of the grid, or of one method: methods differ widely in it.
        prior: V where it was not measured: taken for the degrees of freedom that the units lack to `FEWEST`.
    """
    known = [one for one in effects if one.degrees and not one.identical]
    measured = sum(one.degrees for one in known)
    total = math.fsum(one.degrees * one.between for one in known)
    missing = max(0, FEWEST - measured)
    variance = max(0.0, (total + missing * prior) / (measured + missing))
    return Spread(variance=variance, degrees=measured + missing, measured=measured)


def pools(effects: Mapping[tuple[str, Compared], Effect], whole: Spread) -> dict[Compared, Spread]:
    """By what is compared, a method or a pair of them, the pool of its own units.

    Args:
        effects: Units by their task and by what is compared there.
        whole: The pool of them all.
    """
    compared = dict.fromkeys(what for _, what in effects)
    return {
        what: pool([one for (_, own), one in effects.items() if own == what], whole.variance)
        for what in compared
    }


def combine(effects: Sequence[Effect], spread: Spread) -> Difference:
    """The mean of the units' differences, tested. Units must not share their seeds' luck: other tasks.

    Args:
        effects: One or more units.
        spread: The pool that they belong to.

    Raises:
        ValueError: There is no unit.
    """
    if not effects:
        raise ValueError("a difference needs at least one unit")
    count = len(effects)
    moving = [one for one in effects if not one.identical]
    over_items = [one.item_variance / count**2 for one in moving]
    over_seeds = [one.scale * moderated(one, spread) / count**2 for one in moving]
    variance = math.fsum(over_items) + math.fsum(over_seeds)
    # What seeds' means say of their variance covers items' noise too, and is known by few of them.
    covered = [min(one.item_variance, one.scale * one.noise) / count**2 for one in moving]
    means = [noise + seeds for noise, seeds in zip(covered, over_seeds, strict=True)]
    rest = math.fsum(over_items) - math.fsum(covered)
    known_by = [min(spread.degrees, PRIOR + one.degrees) for one in moving]
    seeds_by = min(_satterthwaite(means, known_by), max([spread.degrees, *known_by]))
    items_by = _satterthwaite(over_items, [one.items - 1 + PSEUDO for one in moving])
    return Difference(
        value=math.fsum(one.value for one in effects) / count,
        baseline=math.fsum(one.baseline for one in effects) / count,
        error=math.sqrt(variance),
        degrees=_satterthwaite([rest, math.fsum(means)], [items_by, seeds_by]),
        item_share=math.fsum(over_items) / variance if variance else 1.0,
        identical=not moving,
        discordant=effects[0].discordant if count == 1 else None,
    )


def _between(sides: Sequence[Floats]) -> tuple[float, float, int]:
    """Variance between seeds beyond items' noise, that noise, and the degrees of freedom of the former.

    As in a two-way analysis of variance with one score a cell: the variance of the seeds' means
    less the residual's part in it. Pooled over sides.
    """
    means, noise, degrees = 0.0, 0.0, 0
    for rows in sides:
        seeds, items = rows.shape
        if seeds < 2:
            continue
        own = rows.mean(axis=1)
        residual = rows - rows.mean(axis=0) - own[:, None] + rows.mean()
        means += float(((own - own.mean()) ** 2).sum())
        noise += float((residual**2).sum()) / max(1, items - 1) / items
        degrees += seeds - 1
    return ((means - noise) / degrees, noise / degrees, degrees) if degrees else (0.0, 0.0, 0)


def moderated(one: Effect, spread: Spread) -> float:
    """V of one unit: its own estimate, drawn towards the pool it belongs to."""
    if not one.scale:
        return 0.0
    own = one.degrees * one.between
    return max(0.0, (PRIOR * spread.variance + own) / (PRIOR + one.degrees))


def _satterthwaite(parts: Sequence[float], degrees: Sequence[float]) -> float:
    """Degrees of freedom of a sum of variances, each known by its own."""
    total = math.fsum(parts)
    if not total:
        return 1.0
    return total**2 / math.fsum(part**2 / by for part, by in zip(parts, degrees, strict=True) if part)
