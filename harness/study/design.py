"""What a study is: a grid that tests one piece of the article's advice, and what its figures say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from harness import paired, stats
from harness.aligned import Seeded
from harness.budget import Budget
from harness.paired import Spread
from harness.report.rows import ran_on, timed_on
from harness.result import Result
from harness.stats import Interval

MARGIN = 0.02
"""A gain of fewer points than this is marginal; the regression gate's default margin too."""

Verdict = Literal["agrees", "disagrees", "not shown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One thing that a study runs: a method reference, as `--methods` takes it, under a budget."""

    method: str
    budget: Budget


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Where a result stands in a study's chart: on which line, and how far along the axis (None: a point)."""

    series: str
    x: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One claim in the article's sense, in a few words, and whether the measurement agrees."""

    claim: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """The sentence that a study's figures support on one task, and the claims it settles or leaves open."""

    sentence: str
    checks: tuple[Check, ...]


class Found:
    """What ended ok of one study on one task, and what diverged.

    Attributes:
        cells: Results that ended ok, by place, then by seed.
        diverged: Seeds by place whose training diverged. What is left then answers nothing: each counts as a
            run in which every item scored 0, so that a place is not judged by the seeds that survived.
        machine: Whose seconds stand for all, where seeds ran on several.
    """

    def __init__(self, results: Sequence[Result], place: Callable[[Result], Place]) -> None:
        cells: dict[Place, dict[int, Result]] = {}
        diverged: dict[Place, list[int]] = {}
        for result in sorted(results, key=lambda one: one.seed):
            if result.status == "ok":
                cells.setdefault(place(result), {})[result.seed] = result
            elif _diverged(result):
                diverged.setdefault(place(result), []).append(result.seed)
        self.cells: Mapping[Place, Mapping[int, Result]] = cells
        self.diverged: Mapping[Place, Sequence[int]] = diverged if cells else {}
        self.machine = timed_on(own.values() for own in cells.values())
        self._runs = {
            place: {seed: {item.id: item.score for item in cell.items} for seed, cell in own.items()}
            for place, own in cells.items()
        }
        nothing = dict.fromkeys(next(iter(next(iter(self._runs.values())).values())), 0.0) if cells else {}
        for where, seeds in self.diverged.items():
            self._runs.setdefault(where, {}).update(dict.fromkeys(seeds, nothing))

    def __contains__(self, place: Place) -> bool:
        return place in self._runs

    def __iter__(self) -> Iterator[Place]:
        return iter(sorted(self._runs, key=lambda place: (place.series, place.x or 0.0)))

    def runs(self, place: Place) -> Seeded:
        """Item scores of a place, by seed."""
        return self._runs[place]

    def timed(self, place: Place) -> tuple[Result, ...]:
        """The results of a place whose seconds compare with those of other places."""
        return ran_on(self.cells.get(place, {}).values(), self.machine)

    def quality(self, place: Place) -> Interval:
        """Mean score of a place with its interval."""
        return stats.runs_interval(list(self._runs[place].values()))

    @property
    def without_model(self) -> float | None:
        """Mean score of the best fixed rule on the same items; None where none was scored."""
        scores = [
            score
            for own in self.cells.values()
            for cell in own.values()
            for score in (cell.baselines or {}).values()
        ]
        return max(scores, default=None)

    def along(self, series: str) -> dict[float, Place]:
        """The places of one line, by their place on the axis, in its order."""
        return {place.x: place for place in self if place.series == series and place.x is not None}

    @cached_property
    def spread(self) -> Spread:
        """How much seeds move a place's mean, without what they move at all: pooled over neighbouring places.

        Places of which a seed diverged say nothing of the others, and are left out. `test_study` simulates
        how often intervals that rest on it cover the truth; of a single seed they are too narrow where seeds
        differ by more than is assumed, and of several at a place that seeds move far more than the others.
        """
        calm = [self._runs[place] for place in self if place not in self.diverged]
        pairs = [
            [{seed: side[seed] for seed in sorted(one.keys() & other.keys())} for side in (one, other)]
            for one, other in pairwise(calm)
        ]
        return paired.pool([paired.effect(*pair, seeded=True) for pair in pairs if all(pair)])


def _diverged(result: Result) -> bool:
    """Whether training ended at a loss or a gradient that was not finite."""
    last = result.curve[-1] if result.status == "degenerate" and result.curve else None
    return last is not None and None in (last.loss, last.grad_norm)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One piece of advice and how it is tested.

    Attributes:
        name: What the command calls it.
        title: Its heading.
        advice: The article's words.
        where: The part of the article they stand in.
        mistake: Which of the article's four common mistakes it is, or None.
        method: How it is tested, in a sentence or two, and what to keep in mind.
        points: What to run, from the budget and the number of train examples that the tasks have (None where
            that is not known yet: the methods must be the same).
        place: Where a result belongs.
        series: The lines or points of the chart in their order, by what they are called in it.
        chart: "curve" along an axis, "dots" without one, or training "losses".
        axis: What the axis is called, and in the table its column.
        tick: How a value on the axis is written.
        costs: Whether the chart shows training seconds beside quality.
        against: What a place is compared with in the table, itself if with nothing.
        conclude: The conclusion, None where what it needs has not run.
        least_seeds: Seeds that it runs at least; fewer give no interval that settles anything.
    """

    name: str
    title: str
    advice: str
    where: str
    method: str
    points: Callable[[Budget, int | None], Sequence[Point]]
    place: Callable[[Result], Place]
    series: tuple[str, ...]
    conclude: Callable[[Found], Conclusion | None]
    chart: Literal["curve", "dots", "losses"]
    against: Callable[[Place], Place] = lambda place: place
    mistake: int | None = None
    axis: str = ""
    tick: Callable[[float], str] = "{:,.0f}".format
    costs: bool = False
    least_seeds: int = 1


def by_method(result: Result) -> Place:
    """A place for each method, whatever learning rate it was given."""
    return Place(result.method.partition("@")[0])


def same_budget(*methods: str) -> Callable[[Budget, int | None], list[Point]]:
    """Points for these methods, all under the budget as it is."""

    def points(budget: Budget, pool: int | None) -> list[Point]:
        return [Point(method=method, budget=budget) for method in methods]

    return points
