"""What a results folder holds already: cells that need not run again, and what must not stand beside them.

All methods of a task run a seed on one machine: there their seconds and their memory compare, and what
rounding does to scores is alike. Other seeds may have run on another machine, so that several can share the
work of one folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import UsageError
from harness.grid import Grid, Listener, identify
from harness.plan import Cell
from harness.result import FINAL, DamagedError, Result

KIND = ("match", "train_seconds")
"""Fields of a budget of which a folder holds one kind: no report could compare several."""

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


def differing(grid: Grid, cell: Cell, result: Result) -> list[str]:
    """In which parts of its identity a stored result is not what this run would make.

    Its machine is none of them, unless methods train by the clock: then it decides how much they see.
    """
    wanted = identify(grid, cell)
    if grid.budget.match != "seconds":
        del wanted["machine"]
    return [name for name in wanted if result.identity.get(name) != wanted[name]]


def earlier(grid: Grid, listener: Listener) -> dict[Cell, Result]:
    """Stored results that this run would only reproduce, or that another machine made of a whole block.

    Raises:
        UsageError: A stored result was made under other conditions, which it would be wrong to mix.
    """
    kept = {}
    for cell in grid.cells:
        path = grid.store.path(*grid.name(cell))
        if not path.exists():
            continue
        try:
            result = grid.store.read(path)
        except DamagedError as error:
            aside = path.with_name(path.name + ".damaged")
            path.replace(aside)
            listener.note(f"{error} It was moved to {aside.name}; the cell runs again.")
            continue
        if others := differing(grid, cell, result):
            raise UsageError(
                f"{path} was made with another {', '.join(others)}; name another folder with --results, "
                "or replace its results with --force"
            )
        if result.status in FINAL:
            kept[cell] = result
    _check_blocks(grid, kept)
    return kept


def check_neighbours(grid: Grid, running: Sequence[Cell]) -> None:
    """Refuse what would put cells beside other cells of the folder that they do not compare with.

    Args:
        grid: Whose folder it is.
        running: The cells about to run.

    Raises:
        UsageError: Other cells are of another kind of budget, or of a block about to run, by another machine.
    """
    own = {grid.store.path(*grid.name(cell)) for cell in grid.cells}
    here = {grid.name(cell)[::2] for cell in running if cell.skip is None}
    wanted = [getattr(grid.budget, name) for name in KIND]
    for path in grid.store.paths():
        if path in own:
            continue
        try:
            found = grid.store.read(path)
        except DamagedError:
            continue
        budget = found.identity.get("budget") or {}
        if [budget.get(name) for name in KIND] != wanted:
            raise UsageError(
                f"{path} was made under another --match, and a results folder holds one kind; name another "
                "with --results"
            )
        if (found.task, found.seed) in here and _elsewhere(grid, found):
            raise _two_machines(grid, (found.task, found.seed), [found.method])


def _check_blocks(grid: Grid, kept: Mapping[Cell, Result]) -> None:
    for block, cells in blocks(grid).items():
        there = [kept[cell].method for cell in cells if cell in kept and _elsewhere(grid, kept[cell])]
        if there and any(cell not in kept for cell in cells):
            raise _two_machines(grid, block, there)


def _elsewhere(grid: Grid, result: Result) -> bool:
    return result.status == "ok" and result.identity.get("machine") != grid.environment.machine


def _two_machines(grid: Grid, block: Block, there: Sequence[str]) -> UsageError:
    task, seed = block
    files = grid.store.path(task, "*", seed)
    return UsageError(
        f"seed {seed} of {task} has results of another machine ({', '.join(there)}), and all methods run a "
        "seed on one, or their times would not compare. Run the rest there, name another folder with "
        f"--results, or move {files} away to run that seed here"
    )
