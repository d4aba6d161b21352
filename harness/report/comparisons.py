"""Each method against full fine-tuning, LoRA and the untrained model: paired tests, corrected together.

A pair of methods is compared on the items and seeds that both ran, as `harness.paired` does it: a seed
draws the same examples for both, and what seeds move is in the standard error as well as what items do.
On each task one test a pair, and one over all the tasks that both ran; all of them share one error. What
seeds move differs widely between methods, so each pair's variance is its own, drawn towards that of all.

Pairs have methods in common, so the spread between seeds is known a little less well than its degrees of
freedom say. Simulated, a report without differences calls one in at most 5% from three seeds on; where two
seeds of a single task are all there is, and a mean moves by 6 to 10 points between them, in 6%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness import paired
from harness.aligned import Seeded
from harness.paired import ERROR, POWER, Difference, Effect, Spread
from harness.report.rows import Board, Row, same_items
from harness.stats import Interval, holm

REFERENCES = ("full", "lora-r16", "zero-shot")
"""What every method is compared with, where it ran."""
BETTER, WORSE, UNDECIDED = "better", "worse", "no difference shown"
OPPOSITE = {BETTER: WORSE, WORSE: BETTER, UNDECIDED: UNDECIDED}
OVERALL = 0.5
"""Share of the error for the tests over several tasks: they are what a run is for, and few among many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One method as seen from one reference.

    Attributes:
        tasks: How many tasks it covers.
        verdict: One of `BETTER`, `WORSE` and `UNDECIDED`.
        difference: Mean score of the method minus that of the reference, with its own 95% interval.
        p_value: Two-sided, after Holm's correction over the whole report.
        detectable: Where no difference is shown, the smallest that would have been in 90%.
        identical: Every item scored the same in both.
    """

    tasks: int
    verdict: str
    difference: Interval
    p_value: float
    detectable: float | None
    identical: bool

    @property
    def mirrored(self) -> Comparison:
        """The same with method and reference exchanged."""
        whole = self.difference
        return replace(
            self,
            verdict=OPPOSITE[self.verdict],
            difference=Interval(value=-whole.value, low=-whole.high, high=-whole.low),
        )


Pair = tuple[str, str]
"""A method and the reference it is compared with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparisons:
    """All comparisons of a report.

    Attributes:
        found: By task, None for all tasks together, then by pair; every pair in both directions.
        tests: How many tests share the error: a pair counts once.
        spread: The variance between seeds that they rest on.
    """

    found: Mapping[str | None, Mapping[Pair, Comparison]]
    tests: int
    spread: Spread

    def get(self, task: str | None, method: str, reference: str) -> Comparison | None:
        """One comparison, None where it could not be made; task None for all tasks together."""
        return self.found.get(task, {}).get((method, reference))


def compare(rows: Board) -> Comparisons:
    """Test every method against every reference that ran, on each task and over all that both ran."""
    effects = {task: _effects(own) for task, own in rows.items()}
    by_pair = {(task, pair): effect for task, own in effects.items() for pair, effect in own.items()}
    spread = paired.pool(list(by_pair.values()))
    spreads = paired.pools(by_pair, spread)
    units: dict[tuple[str | None, Pair], list[Effect]] = {key: [one] for key, one in by_pair.items()}
    for pair in spreads:
        shared = [own[pair] for own in effects.values() if pair in own]
        if len(shared) > 1:
            units[None, pair] = shared
    found: dict[str | None, dict[Pair, Comparison]] = {}
    for (task, pair), one in zip(units, _judged(units, spreads), strict=True):
        found.setdefault(task, {}).update({pair: one, pair[::-1]: one.mirrored})
    return Comparisons(found=found, tests=len(units), spread=spread)


def _effects(rows: Mapping[str, Row]) -> dict[Pair, Effect]:
    """The differences on one task, each pair once: a reference is not compared with one before it."""
    ran = [method for method, row in rows.items() if row.quality]
    found: dict[Pair, Effect] = {}
    for reference in REFERENCES:
        for method in ran if reference in ran else ():
            pair = rows[method], rows[reference]
            if method != reference and (reference, method) not in found and same_items(pair):
                found[method, reference] = _effect(*pair)
    return found


def _effect(method: Row, reference: Row) -> Effect:
    ours, theirs = _repeated(method, reference), _repeated(reference, method)
    shared = ours.keys() & theirs.keys()
    if shared:
        ours, theirs = ({seed: side[seed] for seed in sorted(shared)} for side in (ours, theirs))
    return paired.effect(
        theirs, ours, seeded=method.seeded or reference.seeded, one_sided=method.seeded != reference.seeded
    )


def _repeated(row: Row, other: Row) -> Seeded:
    """The runs of `row`; of what no seed changes the one run stands for every seed of the other."""
    if row.seeded or len(row.runs) > 1:
        return row.by_seed
    return dict.fromkeys(other.by_seed, row.runs[0])


def _judged(
    units: Mapping[tuple[str | None, Pair], Sequence[Effect]], spreads: Mapping[Pair, Spread]
) -> list[Comparison]:
    differences = [paired.combine(own, spreads[pair]) for (_, pair), own in units.items()]
    overall = sum(task is None for task, _ in units)
    weights = [
        OVERALL / overall if task is None else (1 - OVERALL) / (len(units) - overall) for task, _ in units
    ]
    adjusted = holm([one.p_value for one in differences], weights)
    # What Holm's method has rejected leaves its share of the error to the rest.
    left = sum(weight for weight, p in zip(weights, adjusted, strict=True) if p > ERROR)
    return [
        _comparison(one, tasks=len(own), p_value=p, level=ERROR * weight / left if left else ERROR)
        for own, one, p, weight in zip(units.values(), differences, adjusted, weights, strict=True)
    ]


def _comparison(one: Difference, *, tasks: int, p_value: float, level: float) -> Comparison:
    low, high = one.interval(ERROR)
    called = p_value <= ERROR
    return Comparison(
        tasks=tasks,
        verdict=UNDECIDED if not called else BETTER if one.value > 0 else WORSE,
        difference=Interval(value=one.value, low=max(-1.0, low), high=min(1.0, high)),
        p_value=p_value,
        detectable=None if called or one.identical else min(1.0, one.detectable(level / 2, POWER)),
        identical=one.identical,
    )
