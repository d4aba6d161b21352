"""Is a drop in quality real, or shown to be absent? One test a cell and a total, corrected together.

A `regression` needs evidence that the drop is real; a `pass` needs evidence that there is none beyond the
margin; what has neither is `inconclusive`. A real drop that is shown to lie within the margin passes,
except in the suite's total: many small drops together are a regression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from harness import paired
from harness.aligned import Seeded, average
from harness.errors import ResultError
from harness.paired import ERROR, POWER, Difference, Effect, Spread
from harness.pvalues import holm
from harness.regression import verdict as verdicts
from harness.regression.outcome import Outcome, Side
from harness.regression.verdict import Evidence, Quality

WEIGHTS = {"suite": 0.3, "method": 0.4, "task": 0.1, "cell": 0.2}
"""How the error is shared out between the levels, equally within one. A method's total is what the check
is for; most of what a single cell could show alone needs more seeds than a gate has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The outcomes of one cell on both sides, by seed; all compare."""

    task: str
    method: str
    baseline: dict[int, Outcome]
    candidate: dict[int, Outcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Test:
    level: str
    task: str | None
    method: str | None
    effects: tuple[Effect, ...]
    spread: Spread
    cells: int


def judge(pairs: Sequence[Pair], margin: float) -> tuple[list[Quality], Spread]:
    """The verdict on every cell, and on the totals of methods, tasks and the suite where they say more.

    Args:
        pairs: Cells that compare.
        margin: Non-inferiority margin, a share of 1.

    Returns:
        The verdicts, and the spread between seeds that they rest on.
    """
    tests, spread = _tests(pairs)
    found = [paired.combine(test.effects, test.spread) for test in tests]
    moving = [at for at, difference in enumerate(found) if not difference.identical]
    # What is identical cannot be called, whatever the correction: it takes no share of the error.
    sizes = {level: sum(tests[at].level == level for at in moving) for level in WEIGHTS}
    weights = [WEIGHTS[tests[at].level] / sizes[tests[at].level] for at in moving]
    drops = dict(zip(moving, holm([found[at].p_drop for at in moving], weights), strict=True))
    rises = dict(zip(moving, holm([found[at].p_rise for at in moving], weights), strict=True))
    shares = dict(zip(moving, weights, strict=True))
    return [
        _quality(
            test,
            difference,
            margin=margin,
            drop=drops.get(at, 1.0),
            rise=rises.get(at, 1.0),
            level=ERROR * shares.get(at, 1.0) / (sum(weights) or 1.0),
        )
        for at, (test, difference) in enumerate(zip(tests, found, strict=True))
    ], spread


def seed_spread(side: Side) -> Spread:
    """How much the cells' means differ between the seeds of one side."""
    effects = []
    for cell in side.cells().values():
        runs = {seed: one.scores for seed, one in cell.items() if one.measured}
        if len(runs) > 1 and any(one.seeded for one in cell.values()):
            # Against itself under other numbers: unpaired, so that the spread within a side is what counts.
            effects.append(paired.effect(runs, {-1 - seed: run for seed, run in runs.items()}, seeded=True))
    return paired.pool(effects)


def settled_by(difference: Difference, margin: float, level: float, power: float) -> tuple[float, float]:
    """How many times the items, or the seeds, would show with `power` that nothing changed, if so.

    Returns:
        A factor on the items (infinite where seeds alone are too few) and one on the seeds.
    """
    quantile = NormalDist().inv_cdf
    wanted = (margin / (quantile(1 - level) + quantile(power))) ** 2
    over_items = difference.item_share * difference.error**2
    over_seeds = difference.error**2 - over_items
    items = over_items / (wanted - over_seeds) if over_seeds < wanted else math.inf
    return max(1.0, items), max(1.0, difference.error**2 / wanted)


def _quality(
    test: _Test, difference: Difference, *, margin: float, drop: float, rise: float, level: float
) -> Quality:
    low, high = difference.interval(ERROR)
    items, seeds = settled_by(difference, margin, ERROR / 2, POWER)
    within = difference.identical or low >= -margin
    if drop <= ERROR and (test.level == "suite" or not within):
        verdict = verdicts.REGRESSION
    elif rise <= ERROR:
        verdict = verdicts.IMPROVEMENT
    else:
        verdict = verdicts.PASS if within else verdicts.INCONCLUSIVE
    return Quality(
        level=test.level,
        task=test.task,
        method=test.method,
        verdict=verdict,
        cells=test.cells,
        evidence=Evidence(
            baseline=difference.baseline,
            candidate=difference.baseline + difference.value,
            change=difference.value,
            low=max(-1.0, low),
            high=min(1.0, high),
            error=difference.error,
            p_value=drop,
            detectable=min(1.0, difference.detectable(level, POWER)),
            more_items=items if items < float("inf") else None,
            more_seeds=seeds if any(effect.scale for effect in test.effects) else None,
            items=sum(effect.items for effect in test.effects),
            seeds=min(effect.seeds for effect in test.effects),
            identical=difference.identical,
        ),
    )


def _tests(pairs: Sequence[Pair]) -> tuple[list[_Test], Spread]:
    effects = {(pair.task, pair.method): _effect([pair]) for pair in pairs}
    spread = paired.pool(list(effects.values()))
    tasks = list(dict.fromkeys(pair.task for pair in pairs))
    methods = list(dict.fromkeys(pair.method for pair in pairs))
    spreads = paired.pools(effects, spread)
    tests = [
        _Test(level="cell", task=pair.task, method=pair.method, effects=(effects[pair.task, pair.method],),
              spread=spreads[pair.method], cells=1)
        for pair in pairs
    ]  # fmt: skip
    for method in methods if len(tasks) > 1 and len(methods) > 1 else ():
        own = [pair for pair in pairs if pair.method == method]
        tests.append(
            _Test(level="method", task=None, method=method, spread=spreads[method], cells=len(own),
                  effects=tuple(effects[pair.task, method] for pair in own))
        )  # fmt: skip
    if len(pairs) < 2:
        return tests, spread
    # A seed's examples are the same for all methods of a task: their luck is shared, so they are averaged
    # into one unit a task before anything is added up. No average spreads more than what it is made of.
    by_task = {task: [pair for pair in pairs if pair.task == task] for task in tasks}
    units = {task: _effect(own) for task, own in by_task.items()}
    total = paired.pool(list(units.values()), spread.variance)
    for task, own in by_task.items() if len(tasks) > 1 and len(methods) > 1 else ():
        tests.append(
            _Test(level="task", task=task, method=None, effects=(units[task],), spread=total,
                  cells=len(own))
        )  # fmt: skip
    tests.append(
        _Test(level="suite", task=None, method=None, effects=tuple(units.values()), spread=total,
              cells=len(pairs))
    )  # fmt: skip
    return tests, spread


def _effect(pairs: Sequence[Pair]) -> Effect:
    sides = [
        average(_repeated(side))
        for side in ([pair.baseline for pair in pairs], [pair.candidate for pair in pairs])
    ]
    seeded = any(
        one.seeded for pair in pairs for side in (pair.baseline, pair.candidate) for one in side.values()
    )
    try:
        return paired.effect(*sides, seeded=seeded)
    except ValueError as error:
        raise ResultError(
            f"the methods of task {pairs[0].task!r:.80} have no seed or no item in common; "
            "a baseline and a check need whole grids"
        ) from error


def _repeated(cells: Sequence[dict[int, Outcome]]) -> list[Seeded]:
    """The runs of several methods; what no seed changes ran once, and stands for every seed of the others."""
    seeds = {seed for own in cells for seed, one in own.items() if one.seeded}
    return [
        {seed: one.scores for seed, one in own.items()}
        if not seeds or any(one.seeded for one in own.values())
        else dict.fromkeys(sorted(seeds), next(iter(own.values())).scores)
        for own in cells
    ]
