"""Runs a study: its points planned as grids, cells that ran before taken over, the rest run as any other.

A study belongs to a run, whose results folder holds it: `<results>/studies/<study>/<budget>/<task>/...`. Its
pages go to `<reports>/studies`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.budget import preset
from harness.errors import ResultError, UsageError
from harness.executor import Executor
from harness.grid import Grid, Listener, Settings, build
from harness.plan import Cell, plan
from harness.result import Result
from harness.resume import blocks, differing, here, look
from harness.run import execute
from harness.store import Store
from harness.study.design import Study
from harness.study.page import FOLDER, ONE_BUDGET, budgets_of, draw, stored

SMOKE_SEEDS = 2
"""As few as give an interval over seeds: `smoke` shows that a study works."""


def build_study(
    study: Study, settings: Settings, budget: str, executor: Executor, listener: Listener
) -> list[Grid]:
    """One grid for each budget that the study needs, the given preset or made from it.

    Args:
        study: What to run.
        settings: As for a run; its methods and its budget are the study's own affair.
        budget: The preset's name.
        executor: Where tasks are loaded.
        listener: What is told meanwhile.

    Raises:
        TuneoffError: Something named does not exist or cannot be read.
    """
    base = preset(budget)
    methods = dict.fromkeys(point.method for point in study.points(base, None))
    least = min(study.least_seeds, SMOKE_SEEDS) if base.name == "smoke" else study.least_seeds
    seeds = settings.seeds or max(base.seeds, least)
    whole = build(
        replace(settings, methods=",".join(methods), budget=budget, seeds=seeds), executor, listener
    )
    pool = min(task.size.train for task in whole.tasks.values())
    points = study.points(whole.budget, pool)
    sizes = {name: task.size for name, task in whole.tasks.items()}
    weights = whole.source.stored_weights()
    grids = []
    for own in dict.fromkeys(point.budget for point in points):
        chosen = {point.method: whole.methods[point.method] for point in points if point.budget == own}
        grids.append(
            replace(
                whole,
                budget=own,
                methods=chosen,
                cells=plan(sizes, chosen, own, whole.environment, weights),
                store=Store(whole.store.root / FOLDER / study.name / own.name),
                reports=whole.reports / FOLDER,
            )
        )
    return grids


def execute_study(grids: list[Grid], executor: Executor, listener: Listener, *, force: bool) -> list[Result]:
    """Run every cell of a study that has no result yet; its page is drawn as cells finish.

    Raises:
        UsageError: The results folder belongs to another run, holds the study under another budget, or is
            being written to by another process.
        ResultError: A result or the page cannot be written.
    """
    _check_budget(grids)
    listener.start([cell for grid in grids for cell in grid.cells])
    results: list[Result] = []
    for grid in grids:
        if not force:
            take_over(grid, listener)
        results += execute(
            grid,
            executor,
            _Part(listener),
            force=force,
            draw=lambda _, grid: draw(grid.store.root.parents[2], grid.reports),
        )
    return results


def look_study(grids: list[Grid], *, force: bool) -> list[Mapping[Cell, Result]]:
    """Of each grid the cells that need not run again; nothing is changed.

    Raises:
        UsageError: The study would mix results that do not compare.
    """
    _check_budget(grids)
    return [{**look(grid, force=force).kept, **({} if force else elsewhere(grid))} for grid in grids]


def take_over(grid: Grid, listener: Listener) -> None:
    """Copy results of the same cells from the run itself and from its other studies."""
    found = elsewhere(grid)
    for result in found.values():
        grid.store.write(result)
    if found:
        listener.note(f"{len(found)} of {len(grid.cells)} cells were run before under the same conditions")


def elsewhere(grid: Grid) -> dict[Cell, Result]:
    """Results of the grid's cells that the run itself or its other studies hold, and its own folder lacks.

    Those of another machine only as a whole block that the study has nothing of yet, and those of this one
    only where it has none of another (see `harness.resume`).
    """
    run = grid.store.root.parents[2]
    others = [Store(folder) for folder in (run, *sorted((run / FOLDER).glob(f"*/{grid.budget.name}")))]
    usable: dict[Cell, Result] = {}
    for cells in blocks(grid).values():
        paths = {cell: grid.store.path(*grid.name(cell)) for cell in cells}
        lacking = [cell for cell, path in paths.items() if not path.exists()]
        if any(_place(grid.store, path) not in (None, here(grid)) for path in paths.values()):
            continue
        found: dict[tuple[Any, ...], dict[Cell, Result]] = {}
        for cell in lacking:
            for same in (same for store in others if (same := _same(store, grid, cell))):
                found.setdefault(same.place, {}).setdefault(cell, same)
        own = found.pop(here(grid), {})
        whole = [there for there in found.values() if len(there) == len(cells)]
        usable |= whole[0] if whole and len(own) < len(cells) else own
    return usable


def _check_budget(grids: list[Grid]) -> None:
    own = [grid.store.root for grid in grids]
    if len(budgets := budgets_of([*stored(own[0].parent), *own])) > 1:
        raise UsageError(f"{own[0].parent} would hold {ONE_BUDGET} ({', '.join(budgets)})")


def _place(store: Store, path: Path) -> tuple[Any, ...] | None:
    """Where a cell ended ok; None where it did not, or cannot be read."""
    try:
        result = store.read(path) if path.exists() else None
    except ResultError:
        return None  # its own run will say what is wrong with it
    return result.place if result is not None and result.status == "ok" else None


def _same(store: Store, grid: Grid, cell: Cell) -> Result | None:
    """The result of the same cell in another folder, if it ended ok under the same conditions.

    A method that is given the rate it has by default is that method, where no budget has it choose one.
    """
    task, method, seed = grid.name(cell)
    for name in dict.fromkeys((method, method.partition("@")[0])):
        path = store.path(task, name, seed)
        if not path.exists():
            continue
        try:
            stored = store.read(path)
        except ResultError:
            continue  # its own run will say what is wrong with it
        found = replace(stored, method=method, identity={**stored.identity, "method": method})
        if found.status == "ok" and not differing(grid, cell, found):
            rates = list(grid.methods[cell.method].learning_rates)
            return replace(found, identity={**found.identity, "learning_rates": rates})
    return None


class _Part(Listener):
    """Passes on what one of several grids tells, whose cells were announced together."""

    def __init__(self, whole: Listener) -> None:
        self._whole = whole

    def note(self, text: str) -> None:
        self._whole.note(text)

    def cell(self, cell: Cell, kept: bool) -> None:
        self._whole.cell(cell, kept)

    def progress(self, phase: str, done: int, total: int) -> None:
        self._whole.progress(phase, done, total)

    def result(self, cell: Cell, result: Result, kept: bool) -> None:
        self._whole.result(cell, result, kept)
