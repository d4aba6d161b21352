"""Comparisons that studies draw conclusions from, with their intervals and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np
from scipy.special import stdtrit

from harness import paired
from harness.aligned import Seeded, average
from harness.paired import Spread
from harness.report import words
from harness.result import Point, Result
from harness.stats import Interval
from harness.study.design import Found, Place, Verdict

LEVEL, POWER = 0.05, 0.9
CLOCK = 200
"""Moments at which two losses are compared over the same seconds."""
EARLY = 0.2
"""The share of the steps that counts as early: there the loss falls from what an untrained model has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A difference of two mean scores (0 to 1) with its 95% interval, over items and seeds.

    `seen` is the smallest difference that would have been shown in 90% of such runs.
    """

    between: Interval
    seen: float
    items: int
    seeds: int

    @property
    def sign(self) -> int:
        """1 if the first is shown to be ahead, -1 if behind, 0 if neither is shown."""
        return (self.between.low > 0) - (self.between.high < 0)

    def against(self, other: str) -> str:
        """The difference in words, and where none is shown, which one would have been."""
        text = f"{words.points(self.between)} against {other}"
        if self.sign:
            return text
        return (
            f"{text} (no difference shown at n={self.items} and {count(self.seeds, 'seed')}; "
            f"one of {100 * self.seen:.1f} points would have been seen)"
        )


def contrast(
    found: Found, first: Place, second: Place, *, share: float = 1, floor: float = 0
) -> Contrast | None:
    """Quality of the first place minus the second's; None unless both have a seed in common.

    Of the second counts `floor` and a share of what it scores above that.
    """
    return mean_contrast(found, [(first, second)], share=share, floor=floor)


def mean_contrast(
    found: Found, pairs: Sequence[tuple[Place, Place]], *, share: float = 1, floor: float = 0
) -> Contrast | None:
    """Mean difference over pairs of places, on the seeds that all of them ran; None if there are none.

    Scores are averaged item by item and seed by seed first: the pairs share both. How much seeds move a mean
    is known from the study's single places: for a mean over several pairs too much rather than too little.
    """
    known = [(found.runs(one), found.runs(other)) for one, other in pairs if one in found and other in found]
    if not known:
        return None
    first, second = average([one for one, _ in known]), average([other for _, other in known])
    shared = sorted(first.keys() & second.keys())  # what a seed moves on both sides drops out
    if not shared:
        return None
    first = {seed: first[seed] for seed in shared}
    second = {
        seed: {item: (1 - share) * floor + share * score for item, score in second[seed].items()}
        for seed in shared
    }
    return _contrast(first, second, found.spread)


def _contrast(first: Seeded, second: Seeded, spread: Spread) -> Contrast:
    # Methods that happened to answer alike are not thereby the same.
    effect = replace(paired.effect(second, first, seeded=True), identical=False)
    # Seeds can move what a study is about, such as a high rate, more than the rest: then by what they show.
    own = max(spread.variance, effect.between if effect.degrees else 0.0)
    tested = paired.combine([effect], replace(spread, variance=own))
    low, high = tested.interval(LEVEL)
    return Contrast(
        between=Interval(value=tested.value, low=low, high=high),
        seen=tested.detectable(LEVEL / 2, POWER),
        items=effect.items,
        seeds=effect.seeds,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Slowdown:
    """How many times as long something takes, with its 95% interval over so many seeds."""

    ratio: Interval
    seeds: int


def slowdown(found: Found, first: Place, second: Place) -> Slowdown | None:
    """How many times as long a training step of the first place takes: the geometric mean over steps.

    Steps are paired: with the same seed, both saw the same batches in the same order on the same machine. The
    interval is over seeds, as steps of one run have its luck in common; of a single seed over its steps,
    which leaves out what another run would change.

    Returns:
        None unless both have two steps in common.
    """
    by_seed = [
        [math.log(a / b) for a, b in zip(_durations(one), _durations(two), strict=False) if a > 0 and b > 0]
        for one, two in _timed(found, first, second)
    ]
    known = [own for own in by_seed if len(own) > 1]
    if not known:
        return None
    mean = t_interval(known[0] if len(known) == 1 else [fmean(own) for own in known])
    ratio = Interval(value=math.exp(mean.value), low=math.exp(mean.low), high=math.exp(mean.high))
    return Slowdown(ratio=ratio, seeds=len(known))


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaps:
    """Mean training loss of a place minus another's, in nats, with intervals over seeds (Student's t).

    Attributes:
        steps: Over the same steps.
        early: Over the first fifth of them.
        late: Over the rest; None where there is none.
        seconds: Over the same seconds of one machine; None unless two seeds ran on one.
        seeds: How many there are.
    """

    steps: Interval
    early: Interval
    late: Interval | None
    seconds: Interval | None
    seeds: int


def loss_gaps(found: Found, first: Place, second: Place) -> Gaps | None:
    """How far the losses of two places are apart; None unless both have two seeds in common."""
    own, other = (found.cells.get(place, {}) for place in (first, second))
    seeds = sorted(own.keys() & other.keys())
    if len(seeds) < 2:
        return None
    apart = [_apart(own[seed].curve, other[seed].curve) for seed in seeds]
    cut = max(1, round(EARLY * min(map(len, apart))))
    rest = [gaps[cut:] for gaps in apart]
    by_clock = [_over_seconds(one.curve, two.curve) for one, two in _timed(found, first, second)]
    return Gaps(
        steps=t_interval([fmean(gaps) for gaps in apart]),
        early=t_interval([fmean(gaps[:cut]) for gaps in apart]),
        late=t_interval([fmean(gaps) for gaps in rest]) if all(rest) else None,
        seconds=t_interval(by_clock) if len(by_clock) > 1 else None,
        seeds=len(seeds),
    )


def _timed(found: Found, first: Place, second: Place) -> list[tuple[Result, Result]]:
    """Results of the same seed at both places whose seconds compare."""
    if first not in found or second not in found:
        return []
    own, other = ({cell.seed: cell for cell in found.timed(place)} for place in (first, second))
    return [(own[seed], other[seed]) for seed in sorted(own.keys() & other.keys())]


def t_interval(values: Sequence[float]) -> Interval:
    """The mean of two values or more, with Student's t interval."""
    value, error = fmean(values), stdev(values) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, 1 - LEVEL / 2)) * error
    return Interval(value=value, low=value - half, high=value + half)


def side(found: Interval, low: float, high: float) -> int:
    """1 if an interval lies above a range, -1 if below it, 0 if it reaches into it."""
    return (found.low > high) - (found.high < low)


def verdict(sign: int) -> Verdict:
    """What a sign says of a claim: 1 for it, -1 against it, 0 neither."""
    return ("not shown", "agrees", "disagrees")[sign]


def within(found: Slowdown | None, low: float, high: float) -> Verdict:
    """Whether a ratio is in the range that the article gives for it; one run a side does not show it."""
    if found is None or found.seeds < 2:
        return "not shown"
    if side(found.ratio, low, high):
        return "disagrees"
    return "agrees" if low <= found.ratio.low and found.ratio.high <= high else "not shown"


def step_time(slower: Slowdown | None) -> str:
    """The end of a sentence on what `slowdown` found."""
    if slower is None:
        return "too few training steps were timed to compare them"
    ratio = slower.ratio
    once = " in the one seed that ran" if slower.seeds == 1 else ""
    return f"a training step takes {ratio.value:.2f} times [{ratio.low:.2f}, {ratio.high:.2f}] as long{once}"


def count(number: int, noun: str) -> str:
    """A number of things: "1 seed", "3 seeds"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _durations(cell: Result) -> list[float]:
    ends = [0.0, *(point.seconds for point in cell.curve)]
    return np.diff(ends).tolist()


def _apart(first: Sequence[Point], second: Sequence[Point]) -> list[float]:
    """Differences of two losses, step by step."""
    pairs = [(one.loss, two.loss) for one, two in zip(first, second, strict=False)]
    return [one - two for one, two in pairs if one is not None and two is not None]


def _over_seconds(first: Sequence[Point], second: Sequence[Point]) -> float:
    """Mean difference of two losses from when both have a step behind them until the faster one ends."""
    start = max(first[0].seconds, second[0].seconds)
    end = min(first[-1].seconds, second[-1].seconds)
    clock = np.linspace(start, max(start, end), CLOCK)
    losses = []
    for curve in (first, second):
        known = [(point.seconds, point.loss) for point in curve if point.loss is not None]
        losses.append(np.interp(clock, [at for at, _ in known], [loss for _, loss in known]))
    return float((losses[0] - losses[1]).mean())
