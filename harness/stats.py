"""Intervals on item scores. Deterministic: equal scores give equal figures.

A run is the mapping from item id to score (0 to 1) of one seed; a method on a task has one run a seed,
all on the same items. Intervals are 95%, over items and, where there are several runs, over seeds:
both are resampled, the same items for every seed, because that is how the scores came about. With few
seeds an interval is therefore approximate: in the simulation of `tests/test_stats.py` it covers 95% at three
seeds that differ by 6 points (200 items), but 88% where there are 800 items, so that seeds are most of it.
Whether two methods differ is tested by `harness.paired`, not read from their intervals.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, rankdata

Run = Mapping[str, float]
Runs = Sequence[Run]
Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 4000
NO_WIDTH = 1e-9
"""Bootstrap intervals narrower than this come from samples without any spread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate with the ends of its 95% interval, all in the estimate's unit."""

    value: float
    low: float
    high: float


def mean_interval(scores: Sequence[float]) -> Interval:
    """The mean of one run's item scores.

    Wilson's score interval where every score is 0 or 1, otherwise a percentile bootstrap over items.
    Scores that are all equal leave a bootstrap without width; then it is Wilson's interval of the
    rounded count, so that 0% and 100% never look certain.

    Raises:
        ValueError: There are no scores, or one is not from 0 to 1.
    """
    return _mean(_checked(np.array([scores], dtype=np.float64)))


def runs_interval(runs: Runs) -> Interval:
    """The mean over all runs and the items they share, as `mean_interval` for a single run.

    Runs that agree on every item count as one: repeating a deterministic evaluation adds no evidence.

    Raises:
        ValueError: The runs share no item, or a score is not from 0 to 1.
    """
    return _mean(_aligned([runs])[0])


def tasks_interval(tasks: Sequence[Runs]) -> Interval:
    """The mean over tasks of one method's mean; the tasks are taken as given, their items are resampled.

    Without any spread on any task, the ends are the means of the tasks' own ends.

    Raises:
        ValueError: There is no task, the runs of one share no item, or a score is not from 0 to 1.
    """
    if not tasks:
        raise ValueError("a mean over tasks needs at least one")
    matrices = [_aligned([runs])[0] for runs in tasks]
    draws = np.stack([_resample(matrix, turn) for turn, matrix in enumerate(matrices)])
    low, high = _shares(draws.mean(axis=0))
    if high - low < NO_WIDTH:
        own = [_mean(matrix) for matrix in matrices]
        low, high = (float(np.mean([getattr(interval, end) for interval in own])) for end in ("low", "high"))
    return Interval(value=float(np.mean([matrix.mean() for matrix in matrices])), low=low, high=high)


def gain_retained(tasks: Sequence[Sequence[Runs]]) -> Interval | None:
    """(method - zero-shot) / (full - zero-shot) on shared items, by paired bootstrap; 1 is all of the gain.

    Args:
        tasks: The runs of the method, of zero-shot and of full fine-tuning on each task. Of several the means
            over them count; the tasks are taken as given.

    Returns:
        None where the interval of full's gain over zero-shot, over the runs' items and seeds, reaches 0: a
        share of a gain that may not exist means nothing. The few draws without a gain are left out.

    Raises:
        ValueError: There is no task, the runs of one share no item, or a score is not from 0 to 1.
    """
    if not tasks:
        raise ValueError("a share of a gain needs at least one task")
    matrices = [_aligned(runs) for runs in tasks]
    drawn = [[_resample(matrix, turn) for matrix in own] for turn, own in enumerate(matrices)]
    own, zero, whole = np.array(drawn).mean(axis=0)
    gains = whole - zero
    if _percentiles(gains)[0] <= 0:
        return None
    some = gains > NO_WIDTH
    low, high = _percentiles((own - zero)[some] / gains[some])
    mine, base, most = np.mean([[matrix.mean() for matrix in one] for one in matrices], axis=0)
    return Interval(value=float((mine - base) / (most - base)), low=low, high=high)


def mean_ranks(tasks: Sequence[Mapping[str, Runs]]) -> dict[str, Interval]:
    """Each method's rank (1 is best, ties share the mean of their ranks), averaged over tasks.

    Items and seeds are resampled within each task, for all methods alike; the tasks are taken as given.
    Resampling pulls ranks towards the middle, so an interval is widened to its estimate where needed.

    Raises:
        ValueError: There is no task, the tasks have different methods, or methods share no item.
    """
    if not tasks or any(set(task) != set(tasks[0]) for task in tasks):
        raise ValueError("mean ranks need at least one task, and the same methods on every task")
    names = list(tasks[0])
    ranks = np.zeros(len(names))
    drawn = np.zeros((RESAMPLES, len(names)))
    for turn, task in enumerate(tasks):
        matrices = _aligned([task[name] for name in names])
        ranks += _ranks(np.array([matrix.mean() for matrix in matrices]))
        drawn += _ranks(np.stack([_resample(matrix, turn) for matrix in matrices], axis=1))
    ranks, drawn = ranks / len(tasks), drawn / len(tasks)
    found = {}
    for column, name in enumerate(names):
        value, (low, high) = float(ranks[column]), _percentiles(drawn[:, column])
        found[name] = Interval(value=value, low=min(low, value), high=max(high, value))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """The setting, such as a learning rate, under which something scores best, and how sure that is.

    Attributes:
        settings: All that were tried, above 0, in their order.
        value: The best of them; of those that score alike the lowest.
        draws: The best of them in each of `RESAMPLES` other draws of the items and of the seeds' luck.
    """

    settings: tuple[float, ...]
    value: float
    draws: Floats

    def likely(self, least: float = 0.05) -> list[float]:
        """The best setting and all that are it in at least such a share of the draws, in their order."""
        return [one for one in self.settings if one == self.value or (self.draws == one).mean() >= least]

    def around(self, setting: float) -> tuple[float, float]:
        """The range that a setting of the grid stands for: half way, by ratio, to its neighbours.

        Beyond the last one on either side nothing was tried: there it reaches to 0, or to infinity.
        """
        at = self.settings.index(setting)
        low = math.sqrt(self.settings[at - 1] * setting) if at else 0.0
        high = math.sqrt(setting * self.settings[at + 1]) if setting != self.settings[-1] else math.inf
        return low, high


def best(lines: Sequence[Mapping[float, Runs]], *, deviation: float) -> list[Best]:
    """The setting under which each of several lines scores best, by bootstrap over the items they share.

    Args:
        lines: Runs by a setting above 0, in any order.
        deviation: Standard deviation of a run's mean score between seeds: the few that ran would show too
            little of it.

    Raises:
        ValueError: A line has no setting, or the runs share no item.
    """
    if not all(lines):
        raise ValueError("the best setting needs at least one")
    ordered = [dict(sorted(line.items())) for line in lines]
    matrices = iter(_aligned([runs for line in ordered for runs in line.values()]))
    luck = np.random.default_rng(0)
    found = []
    for line in ordered:
        settings = np.array(list(line), dtype=np.float64)
        own = [next(matrices) for _ in line]
        means = np.array([matrix.mean() for matrix in own])
        items = np.stack([matrix.mean(axis=0) for matrix in own], axis=1)
        drawn = _draws(len(items), 0) @ items / len(items)
        drawn += luck.normal(0, [deviation / math.sqrt(len(matrix)) for matrix in own], drawn.shape)
        value, *draws = settings[np.round(np.vstack([means, drawn]), 9).argmax(axis=1)].tolist()
        found.append(Best(settings=tuple(settings.tolist()), value=value, draws=np.array(draws)))
    return found


def best_ratio(first: Best, second: Best) -> Interval:
    """The best setting of the first over that of the second, no more certain than their grids are fine.

    Each stands for the range half way to its neighbours (`Best.around`), so an end can be 0 or infinite.
    """
    pairs = Counter(zip(first.draws.tolist(), second.draws.tolist(), strict=True))
    ends = []
    for pair, times in pairs.items():
        (low, high), (other_low, other_high) = first.around(pair[0]), second.around(pair[1])
        ends += [(low / other_high, high / other_low if other_low else math.inf)] * times
    tail = round(len(ends) * (1 - CONFIDENCE) / 2)
    lows, highs = (sorted(side) for side in zip(*ends, strict=True))
    return Interval(value=first.value / second.value, low=lows[tail], high=highs[-1 - tail])


def _mean(scores: Floats) -> Interval:
    value, items = float(scores.mean()), scores.shape[1]
    if np.array_equal(scores, np.broadcast_to(scores[0], scores.shape)) and np.isin(scores, (0, 1)).all():
        low, high = _wilson(int(scores[0].sum()), items)
    else:
        low, high = _shares(_resample(scores))
        if high - low < NO_WIDTH:
            low, high = _wilson(round(value * items), items)
    return Interval(value=value, low=low, high=high)


def _wilson(successes: int, trials: int) -> tuple[float, float]:
    ends = binomtest(successes, trials).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return float(ends.low), float(ends.high)


def _aligned(methods: Sequence[Runs]) -> list[Floats]:
    """One matrix a method, seeds by items, with the items that all runs of all methods share."""
    runs = [run for method in methods for run in method]
    if not all(methods) or not (shared := set[str](runs[0]).intersection(*runs)):
        raise ValueError("the runs have no item in common")
    ids = sorted(shared)
    return [_checked(np.array([[run[name] for name in ids] for run in method])) for method in methods]


def _checked(scores: Floats) -> Floats:
    if not scores.size:
        raise ValueError("an interval needs at least one item score")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("item scores must be from 0 to 1")
    return scores


def _resample(scores: Floats, turn: int = 0) -> Floats:
    """Means of `RESAMPLES` resamples of a seeds-by-items matrix.

    Matrices of one shape are resampled alike, which is what pairs two methods. Tasks are independent
    of each other: each takes another `turn`, so that no two tasks' draws meet in one resample.

    Resampled from k seeds, means spread by (k - 1) / k of the variance that a mean of k has, and k is small:
    what the draw of seeds moves is widened by as much (Efron, "The Jackknife, the Bootstrap and Other
    Resampling Plans", 1982).
    """
    seeds, items = scores.shape
    by_seed = _draws(items, 0) @ scores.T
    # Divided at the end: counts of 0/1 scores stay exact, and equal methods tie exactly.
    means: Floats = by_seed.sum(axis=1) / scores.size
    if seeds > 1:
        moved = _draws(seeds, 1) @ scores.sum(axis=1) / scores.size - scores.mean()
        means = means + math.sqrt(seeds / (seeds - 1)) * moved
    return np.roll(means, turn)


@lru_cache(maxsize=8)
def _draws(size: int, stream: int) -> Floats:
    """How often each of `size` units is drawn, a row a resample; streams are independent."""
    generator = np.random.default_rng(stream)
    return generator.multinomial(size, np.full(size, 1 / size), size=RESAMPLES).astype(np.float64)


def _shares(draws: Floats) -> tuple[float, float]:
    """The ends of what is a share of 1, which the widening for few seeds may pass."""
    low, high = _percentiles(draws)
    return max(0.0, low), min(1.0, high)


def _percentiles(draws: Floats) -> tuple[float, float]:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, (tail, 100 - tail))
    return float(low), float(high)


def _ranks(means: Floats) -> Floats:
    """Ranks along the last axis, 1 for the highest; means that differ by rounding alone tie."""
    ranks: Floats = rankdata(-np.round(means, 9), axis=-1)
    return ranks
