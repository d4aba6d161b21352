"""What a results folder holds already: cells that need not run again, and what must not stand beside them.

All methods of a task run a seed on one machine: there their seconds and their memory compare, and what
rounding does to scores is alike. Other seeds may have run on another machine, and in its precision, so that
several can share the work of one folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.grid import Grid, identify
from harness.identity import SHARED, SHARED_BY_TASK, mixed
from harness.plan import Cell
from harness.result import FINAL, PLACE, DamagedError, Result

Block = tuple[str, int]
"""The name of a task, and a seed: what runs on one machine under all methods."""


def blocks(grid: Grid) -> dict[Block, list[Cell]]:
    """The cells that this machine can run, by task and seed."""
    found: dict[Block, list[Cell]] = {}
    for cell in grid.cells:
        if cell.skip is None:
            task, _, seed = grid.name(cell)
            found.setdefault((task, seed), []).append(cell)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a results folder holds before a run goes on in it.

    Attributes:
        kept: The grid's cells that need not run again.
        damaged: Files of others of its cells, with what is wrong with them.
        beside: Results that are not the grid's own.
    """

    kept: Mapping[Cell, Result]
    damaged: Mapping[Path, DamagedError]
    beside: Sequence[Result]


def look(grid: Grid, *, force: bool) -> Held:
    """What is there already; nothing is changed.

    Args:
        grid: What is about to run.
        force: Keep no cell of the grid.

    Raises:
        UsageError: The run would mix results that do not compare.
    """
    kept, damaged = ({}, {}) if force else earlier(grid)
    beside = neighbours(grid)
    check_blocks(grid, kept, beside)
    return Held(kept=kept, damaged=damaged, beside=beside)


def differing(grid: Grid, cell: Cell, result: Result) -> list[str]:
    """In which parts of its identity a stored result is not what this run would make.

    Where it ran is none of them, unless methods train by the clock: then that decides how much they see. Nor
    is the limit of time, which no stored result has reached, nor rates for more trials than there are.
    """
    wanted, found = _deciding(identify(grid, cell)), _deciding(result.identity)
    if grid.budget.match != "seconds":
        wanted = {name: value for name, value in wanted.items() if name not in PLACE}
    return [name for name in wanted if found.get(name) != wanted[name]]


def _deciding(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity without the parts of its entries that no outcome depends on."""
    budget = identity.get("budget") or {}
    return {
        **identity,
        "budget": {name: budget[name] for name in budget if name != "timeout_seconds"},
        "learning_rates": list(identity.get("learning_rates") or ())[: budget.get("trials") or 1],
    }


def earlier(grid: Grid) -> tuple[dict[Cell, Result], dict[Path, DamagedError]]:
    """Stored results of the grid's cells that this run would only reproduce, on whichever machine they ran.

    Returns:
        The results, and files that cannot be read, whose cells run again.

    Raises:
        UsageError: A stored result was made under other conditions, which it would be wrong to mix.
    """
    kept: dict[Cell, Result] = {}
    damaged: dict[Path, DamagedError] = {}
    for cell in grid.cells:
        path = grid.store.path(*grid.name(cell))
        if not path.exists():
            continue
        try:
            result = grid.store.read(path)
        except DamagedError as error:
            damaged[path] = error
            continue
        if others := differing(grid, cell, result):
            raise UsageError(
                f"{path} was made with another {', '.join(others)}; name another folder with --results, "
                "or replace its results with --force"
            )
        if result.status in FINAL:
            kept[cell] = result
    return kept, damaged


def neighbours(grid: Grid) -> list[Result]:
    """Stored results that are not the grid's own: other tasks, methods and seeds, which stand beside it.

    Raises:
        UsageError: One was made under other conditions, so that no report could compare them.
    """
    wanted = {grid.name(cell)[0]: identify(grid, cell) for cell in grid.cells}
    anywhere = next(iter(wanted.values()), {})
    own = {grid.store.path(*grid.name(cell)) for cell in grid.cells}
    beside = []
    for path in grid.store.paths():
        if path in own:
            continue
        try:
            found = grid.store.read(path)
        except DamagedError:
            continue
        others = mixed([found.identity, anywhere], SHARED)
        if found.task in wanted:
            others += mixed([found.identity, wanted[found.task]], SHARED_BY_TASK)
        if others:
            raise UsageError(
                f"{path} was made with another {', '.join(others)}, and a results folder holds what "
                "compares; name another with --results"
            )
        beside.append(found)
    return beside


def check_blocks(grid: Grid, kept: Mapping[Cell, Result], beside: Sequence[Result]) -> None:
    """Refuse to run methods of a seed here that has results of another machine.

    Args:
        grid: What is about to run.
        kept: Its cells that need not run again.
        beside: Other results of the folder.

    Raises:
        UsageError: A task's seed would be of two machines.
    """
    for (task, seed), cells in blocks(grid).items():
        if all(cell in kept for cell in cells):
            continue
        there = [
            result.method
            for result in (*kept.values(), *beside)
            if (result.task, result.seed) == (task, seed)
            and result.status == "ok"
            and result.place != here(grid)
        ]
        if there:
            files = grid.store.path(task, "*", seed)
            raise UsageError(
                f"seed {seed} of {task} has results of another machine ({', '.join(there)}), and all methods "
                "run a seed on one, or their times would not compare. Run the rest there, name another "
                f"folder with --results, or move {files} away to run that seed here"
            )


def here(grid: Grid) -> tuple[Any, ...]:
    """Where this run is, as a result's `place` says it."""
    return tuple(getattr(grid.environment, name) for name in PLACE)
