"""Each method against full fine-tuning, LoRA and the untrained model: paired tests, corrected task by task.

A pair of methods is compared on the items and seeds that both ran, as `harness.paired` does it: a seed
draws the same examples for both, and what seeds move is in the standard error as well as what items do.
On each task one test a pair, and one over all the tasks that both ran. What seeds move differs widely
between methods, so each pair's variance is its own, drawn towards that of all.

The tests of one task share one error, and those over all tasks another: "which method for my task" is asked
of each task by itself, and it must not take more to show there for each other task that a report holds. Only
how much seeds move is learnt from all of them.

Pairs have methods in common, so the spread between seeds is known a little less well than its degrees of
freedom say. Simulated, where nothing differs such a family of tests calls something in at most 5% from three
seeds on; where two seeds of a single task are all there is, and a mean moves by 6 to 10 points between them,
in 6%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness import paired
from harness.aligned import Seeded
from harness.paired import ERROR, POWER, Difference, Effect, Spread
from harness.pvalues import holm
from harness.report.rows import Board, Row, same_items
from harness.stats import Interval

REFERENCES = ("full", "lora-r16", "zero-shot")
"""What every method is compared with, where it ran."""
BETTER, WORSE, UNDECIDED = "better", "worse", "no difference shown"
OPPOSITE = {BETTER: WORSE, WORSE: BETTER, UNDECIDED: UNDECIDED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One method as seen from one reference.

    Attributes:
        tasks: How many tasks it covers.
        verdict: One of `BETTER`, `WORSE` and `UNDECIDED`.
        difference: Mean score of the method minus that of the reference, with its own 95% interval.
        p_value: Two-sided, after Holm's correction over the task's comparisons, or over those of all tasks.
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
        spread: The variance between seeds that they rest on.
    """

    found: Mapping[str | None, Mapping[Pair, Comparison]]
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
    families: dict[str | None, dict[Pair, list[Effect]]] = {
        task: {pair: [one] for pair, one in own.items()} for task, own in effects.items()
    }
    over_all = {pair: [own[pair] for own in effects.values() if pair in own] for pair in spreads}
    families[None] = {pair: shared for pair, shared in over_all.items() if len(shared) > 1}
    found = {task: _judged(units, spreads) for task, units in families.items() if units}
    return Comparisons(found=found, spread=spread)


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


def _judged(units: Mapping[Pair, Sequence[Effect]], spreads: Mapping[Pair, Spread]) -> dict[Pair, Comparison]:
    """The tests that share one error, every pair in both directions."""
    differences = [paired.combine(own, spreads[pair]) for pair, own in units.items()]
    adjusted = holm([one.p_value for one in differences])
    # What Holm's method has rejected leaves its share of the error to the rest.
    level = ERROR / max(1, sum(p > ERROR for p in adjusted))
    found: dict[Pair, Comparison] = {}
    for (pair, own), one, p_value in zip(units.items(), differences, adjusted, strict=True):
        found[pair] = _comparison(one, tasks=len(own), p_value=p_value, level=level)
        found[pair[::-1]] = found[pair].mirrored
    return found


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
