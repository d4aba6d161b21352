"""What a check can see: a model of real results' luck (`luck`) is simulated, and compared over and over.

What is not covered: scores between 0 and 1 are simulated as zeros and ones of the same mean, which
overstates their noise; and drops are the same for every item and seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.aligned import Floats
from harness.paired import ERROR, POWER
from harness.regression.luck import CellModel, Model
from harness.regression.outcome import Outcome, Side
from harness.regression.quality import Pair, judge
from harness.regression.verdict import REGRESSION, Quality


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """How a check is run: items a cell, and seeds on each side, the same or others."""

    items: int
    seeds: int
    same: bool = False


def simulate(
    model: Model,
    design: Design,
    generator: np.random.Generator,
    drops: Mapping[str, float] | None = None,
) -> list[Quality]:
    """Compare two sides, the candidate's methods worse by `drops` (shares of 1).

    Raises:
        ValueError: The sides are to have the same seeds, and the model does not know what then moves.
    """
    drops = drops or {}
    pairs = []
    tasks = list(dict.fromkeys(cell.task for cell in model.cells))
    luck = {task: generator.normal(size=2 * design.seeds) for task in tasks}
    for cell in model.cells:
        chances = _chances(cell, design.items, generator)
        own = generator.normal(size=2 * design.seeds)
        moved = math.sqrt(model.share) * luck[cell.task] + math.sqrt(1 - model.share) * own
        shift = cell.deviation * moved[:, None]
        drop = drops.get(cell.method, 0.0)
        shift[design.seeds :] -= drop
        draws = generator.random((2 * design.seeds, design.items))
        if not cell.deviation and cell.agreement == 1:  # what has no seeds gives the same answers again
            draws[:] = draws[0]
        scores = (draws < chances + shift).astype(float)
        if design.same:
            scores[design.seeds :] = _run_again(cell, scores[: design.seeds], drop, generator)
        pairs.append(
            Pair(
                task=cell.task,
                method=cell.method,
                baseline=_outcomes(cell, scores[: design.seeds], 0),
                candidate=_outcomes(cell, scores[design.seeds :], 0 if design.same else design.seeds),
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


def _run_again(cell: CellModel, scores: Floats, drop: float, generator: np.random.Generator) -> Floats:
    """The same seeds' scores once more, worse by `drop`: as many items fall as rise, but for the shift."""
    if cell.again is None:
        raise ValueError(
            f"no second run of {cell.task}/{cell.method} says what moves when a seed is run again"
        )
    right = scores.mean(axis=1, keepdims=True).clip(0.001, 0.999)
    shift = cell.again.deviation * generator.normal(size=right.shape) - drop
    fall = (cell.again.flips / 2 + np.maximum(-shift, 0)) / right
    rise = (cell.again.flips / 2 + np.maximum(shift, 0)) / (1 - right)
    turned = generator.random(scores.shape) < np.where(scores > 0, fall, rise)
    return np.where(turned, 1 - scores, scores)


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
