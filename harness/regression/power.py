"""What a check can see: real results are turned into a model of their luck, and compared over and over.

The model has two levels, as the tests have. An item of a cell is right with a chance drawn from a beta
distribution, which gives the share of items on which two seeds disagree; a seed moves all items of a cell
by a normal deviate, part of which all methods of the task share, since they see the same examples.

What is not covered: scores between 0 and 1 are simulated as zeros and ones of the same mean, which
overstates their noise; and drops are the same for every item and seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness import paired
from harness.aligned import Floats, Seeded, average
from harness.regression.outcome import Outcome, Side
from harness.regression.quality import ERROR, Pair, judge
from harness.regression.verdict import REGRESSION, Quality

ASSUMED_AGREEMENT = 0.5
"""Correlation of two seeds' scores on one item where no cell has two seeds."""
ASSUMED_SHARE = 0.5
"""Part of the variance between seeds that the methods of a task share, where it cannot be measured."""
POWER = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class CellModel:
    """One cell's luck.

    Attributes:
        mean: Chance that an item is right, over items.
        agreement: Correlation of two seeds' scores on one item.
        deviation: Standard deviation of a seed's effect on the cell's mean.
    """

    task: str
    method: str
    mean: float
    agreement: float
    deviation: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A grid's luck.

    Attributes:
        share: Part of the variance between seeds that the methods of a task have in common.
        degrees: Degrees of freedom that measured the variance between seeds; 0 where it is assumed.
    """

    cells: tuple[CellModel, ...]
    share: float
    degrees: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """How a check is run: items a cell, and seeds on each side."""

    items: int
    seeds: int


def fit(side: Side) -> Model:
    """The luck in real results, best with three seeds or more a cell."""
    cells = {
        cell: {seed: one.scores for seed, one in outcomes.items() if one.measured}
        for cell, outcomes in side.cells().items()
    }
    seeded = {cell for cell, outcomes in side.cells().items() if any(one.seeded for one in outcomes.values())}
    cells = {cell: runs for cell, runs in cells.items() if runs}
    effects = {cell: _against_itself(runs) for cell, runs in cells.items() if cell in seeded}
    pool = paired.pool(list(effects.values()))
    agreements = {cell: _agreement(cells[cell]) for cell in effects}
    known = [value for value in agreements.values() if value is not None]
    usual = float(np.mean(known)) if known else ASSUMED_AGREEMENT
    models = []
    for (task, method), runs in cells.items():
        effect = effects.get((task, method))
        agreement = agreements.get((task, method))
        models.append(
            CellModel(
                task=task,
                method=method,
                mean=float(np.mean([list(run.values()) for run in runs.values()])),
                agreement=1.0 if effect is None else usual if agreement is None else agreement,
                deviation=0.0 if effect is None else math.sqrt(paired.moderated(effect, pool)),
            )
        )
    # Half, since every run was compared with itself.
    return Model(cells=tuple(models), share=_share(cells, effects), degrees=pool.measured // 2)


def simulate(
    model: Model,
    design: Design,
    generator: np.random.Generator,
    drops: Mapping[str, float] | None = None,
) -> list[Quality]:
    """Compare two sides with other seeds each, the candidate's methods worse by `drops` (shares of 1)."""
    drops = drops or {}
    pairs = []
    tasks = list(dict.fromkeys(cell.task for cell in model.cells))
    luck = {task: generator.normal(size=2 * design.seeds) for task in tasks}
    for cell in model.cells:
        chances = _chances(cell, design.items, generator)
        own = generator.normal(size=2 * design.seeds)
        moved = math.sqrt(model.share) * luck[cell.task] + math.sqrt(1 - model.share) * own
        shift = cell.deviation * moved[:, None]
        shift[design.seeds :] -= drops.get(cell.method, 0.0)
        draws = generator.random((2 * design.seeds, design.items))
        if not cell.deviation and cell.agreement == 1:  # what has no seeds gives the same answers again
            draws[:] = draws[0]
        scores = (draws < chances + shift).astype(float)
        pairs.append(
            Pair(
                task=cell.task,
                method=cell.method,
                baseline=_outcomes(cell, scores[: design.seeds], 0),
                candidate=_outcomes(cell, scores[design.seeds :], design.seeds),
            )
        )
    return judge(pairs, margin=0.02)[0]


def alarms(
    model: Model,
    design: Design,
    comparisons: int,
    drops: Mapping[str, float] | None = None,
    called: Callable[[Quality], bool] = lambda one: True,
    seed: int = 0,
) -> float:
    """The share of simulated checks with a regression among the verdicts that `called` looks at."""
    generator = np.random.default_rng(seed)
    found = 0
    for _ in range(comparisons):
        verdicts = simulate(model, design, generator, drops)
        found += any(one.verdict == REGRESSION for one in verdicts if called(one))
    return found / comparisons


def smallest_drop(
    model: Model,
    design: Design,
    comparisons: int,
    methods: Sequence[str],
    called: Callable[[Quality], bool],
    largest: float = 0.4,
) -> tuple[float, list[tuple[float, float]]]:
    """The drop of these methods that is called in 90%, by bisection, and every (drop, share called) tried."""
    tried = [(0.0, alarms(model, design, comparisons, {}, called))]
    low, high = 0.0, largest
    while high - low > 0.0025:
        middle = (low + high) / 2
        share = alarms(model, design, comparisons, dict.fromkeys(methods, middle), called)
        tried.append((middle, share))
        low, high = (low, middle) if share >= POWER else (middle, high)
    return high, sorted(tried)


def split_samples(side: Side, seeds: int) -> list[tuple[Side, Side]]:
    """Real A/A pairs: disjoint sets of `seeds` seeds each out of one run, every such pair once."""
    from itertools import combinations

    every = sorted({one.seed for one in side.outcomes})
    found = []
    for first in combinations(every, seeds):
        for second in combinations([seed for seed in every if seed not in first], seeds):
            found.append(
                (
                    Side(name="A", outcomes=tuple(one for one in side.outcomes if one.seed in first)),
                    Side(name="A again", outcomes=tuple(one for one in side.outcomes if one.seed in second)),
                )
            )
    return found


def enlarge(model: Model, tasks: int, methods: int) -> Model:
    """The same luck on a grid of other size: its cells in turn, under new names."""
    cells = [
        replace(
            model.cells[at % len(model.cells)], task=f"task {at // methods}", method=f"method {at % methods}"
        )
        for at in range(tasks * methods)
    ]
    return replace(model, cells=tuple(cells))


def expected_error(model: Model, design: Design) -> float:
    """Standard error of a method's total, mean over methods: without simulating, to compare designs."""
    tasks = len({cell.task for cell in model.cells})
    moving = [cell for cell in model.cells if cell.deviation]
    noise = [
        cell.deviation**2 + cell.mean * (1 - cell.mean) * (1 - cell.agreement) / design.items
        for cell in moving
    ]
    return math.sqrt(2 * float(np.mean(noise)) / design.seeds / tasks) if noise else 0.0


def _chances(cell: CellModel, items: int, generator: np.random.Generator) -> Floats:
    mean = min(max(cell.mean, 0.001), 0.999)
    if cell.agreement >= 1 - ERROR / 100:
        return (generator.random(items) < mean).astype(float)
    if cell.agreement <= ERROR / 100:
        return np.full(items, mean)
    total = 1 / cell.agreement - 1
    return generator.beta(mean * total, (1 - mean) * total, size=items)


def _outcomes(cell: CellModel, scores: Floats, first: int) -> dict[int, Outcome]:
    ids = [str(at) for at in range(scores.shape[1])]
    return {
        first + at: Outcome(
            status="ok",
            reason=None,
            task=cell.task,
            method=cell.method,
            seed=first + at,
            identity={},
            scores=dict(zip(ids, row.tolist(), strict=True)),
            trained=cell.deviation > 0,
        )
        for at, row in enumerate(scores)
    }


def _against_itself(runs: Seeded) -> paired.Effect:
    """The spread within one side, as an unpaired comparison with the same runs under other numbers."""
    return paired.effect(runs, {-1 - seed: run for seed, run in runs.items()}, seeded=True)


def _agreement(runs: Seeded) -> float | None:
    """Correlation of two seeds' scores over items; None with one seed."""
    if len(runs) < 2:
        return None
    shared = sorted(set[str].intersection(*(set(run) for run in runs.values())))
    rows = np.array([[run[item] for item in shared] for run in runs.values()])
    total = float(rows.var())
    within = float(rows.var(axis=0, ddof=1).mean())
    return min(1.0, max(0.0, 1 - within / total)) if total else 1.0


def _share(
    cells: Mapping[tuple[str, str], Seeded], effects: Mapping[tuple[str, str], paired.Effect]
) -> float:
    """The common part, from how much less the average over a task's methods moves than each of them."""
    whole = paired.pool(list(effects.values()))
    tasks = {task: [method for other, method in effects if other == task] for task, _ in effects}
    units = {
        task: _against_itself(average([cells[task, method] for method in methods]))
        for task, methods in tasks.items()
        if len(methods) > 1
    }
    together = paired.pool(list(units.values()))
    if not together.measured or not whole.variance:
        return ASSUMED_SHARE
    alone = float(np.mean([1 / len(tasks[task]) for task in units]))
    return min(1.0, max(0.0, (together.variance / whole.variance - alone) / (1 - alone)))
