"""The luck in real results, as a model: what moves their scores though nothing changed.

The model has two levels, as the tests have. An item of a cell is right with a chance drawn from a beta
distribution, which gives the share of items on which two seeds disagree; a seed moves all items of a cell
by a normal deviate, part of which all methods of the task share, since they see the same examples. Where
the same seeds ran twice, by code that only rounds otherwise, what that moved is a part of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness import paired
from harness.aligned import Seeded, aligned, average
from harness.errors import UsageError
from harness.regression.outcome import Side

ASSUMED_AGREEMENT = 0.5
"""Correlation of two seeds' scores on one item where no cell has two seeds."""
ASSUMED_SHARE = 0.5
"""Part of the variance between seeds that the methods of a task share, where it cannot be measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellModel:
    """One cell's luck.

    Attributes:
        mean: Chance that an item is right, over items.
        agreement: Correlation of two seeds' scores on one item.
        deviation: Standard deviation of a seed's effect on the cell's mean.
        again: None where that was not measured.
    """

    task: str
    method: str
    mean: float
    agreement: float
    deviation: float
    again: Again | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """What moves when the same seed is run again by code that only rounds otherwise.

    Attributes:
        flips: Share of the items whose score differs.
        deviation: Standard deviation of the difference of the two means, over seeds, beyond those flips.
    """

    flips: float
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


def fit(side: Side, again: Side | None = None) -> Model:
    """The luck in real results, best with three seeds or more a cell.

    Args:
        side: The results.
        again: Cells and seeds of it, run by code or on a machine that only rounds otherwise.

    Raises:
        UsageError: `again` shares no seed of a cell with `side`.
    """
    cells = {
        cell: {seed: one.scores for seed, one in outcomes.items() if one.measured}
        for cell, outcomes in side.cells().items()
    }
    seeded = {cell for cell, outcomes in side.cells().items() if any(one.seeded for one in outcomes.values())}
    cells = {cell: runs for cell, runs in cells.items() if runs}
    effects = {cell: _against_itself(runs) for cell, runs in cells.items() if cell in seeded}
    whole = paired.pool(list(effects.values()))
    spreads = paired.pools(effects, whole)
    agreements = {cell: _agreement(cells[cell]) for cell in effects}
    known = [value for value in agreements.values() if value is not None]
    usual = float(np.mean(known)) if known else ASSUMED_AGREEMENT
    repeats = {} if again is None else _repeats(side, again)
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
                deviation=0.0 if effect is None else math.sqrt(paired.moderated(effect, spreads[method])),
                again=repeats.get((task, method)),
            )
        )
    # Half, since every run was compared with itself.
    return Model(cells=tuple(models), share=_share(cells, effects), degrees=whole.measured // 2)


def _repeats(side: Side, again: Side) -> dict[tuple[str, str], Again]:
    """By cell, what its seeds' second runs moved; their variance is drawn towards the method's."""
    first, second = side.cells(), again.cells()
    shared = {}
    for cell in first.keys() & second.keys():
        seeds = [
            seed
            for seed, one in first[cell].items()
            if one.measured and seed in second[cell] and second[cell][seed].measured
        ]
        if seeds:
            shared[cell] = [{seed: runs[cell][seed].scores for seed in seeds} for runs in (first, second)]
    if not shared:
        raise UsageError(
            f"{again.name} has no cell and seed of {side.name}, whose second runs it should be; "
            "run the same tasks, methods and seeds"
        )
    effects = {cell: paired.effect(*runs, seeded=True) for cell, runs in shared.items()}
    spreads = paired.pools(effects, paired.pool(list(effects.values())))
    found = {}
    for cell, effect in effects.items():
        old, new, _ = aligned(*shared[cell])
        # `paired` states the variance of one side; a difference has twice that.
        deviation = 0.0 if effect.identical else math.sqrt(2 * paired.moderated(effect, spreads[cell[1]]))
        found[cell] = Again(flips=float(np.abs(new - old).mean()), deviation=deviation)
    return found


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
