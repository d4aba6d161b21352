"""Walks the grid: plan, one worker a cell, progress, resume, live reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import ModelError, PluginError, SandboxError, UsageError
from harness.executor import Died, Executor
from harness.grid import PREPARE_SECONDS, Grid, Listener, identify
from harness.job import Base, Job
from harness.plan import Cell
from harness.result import FINAL, Result
from harness.resume import look

RENDER_SECONDS = 60.0
RENDER_SHARE = 0.02
"""A live report is drawn at most this often and for this share of the time, between cells: never beside a
measurement."""


def render(results: Sequence[Result], grid: Grid) -> Path:
    """Draw the report of what there is so far, with the studies that were run beside it."""
    from harness.report import render as render_report
    from harness.study.page import section

    studies = section(grid.store.root, grid.reports)
    return render_report(results, grid.reports, name=grid.reports.name, studies=studies)


def execute(
    grid: Grid,
    executor: Executor,
    listener: Listener,
    *,
    force: bool,
    draw: Callable[[Sequence[Result], Grid], object] = render,
) -> list[Result]:
    """Run every cell that has no result yet; the results of all cells, in the grid's order.

    Every result is on disk before the next cell starts. Interrupting loses only the cell in progress.

    Args:
        grid: What to run.
        executor: Where.
        listener: What is told meanwhile.
        force: Run cells again that have results.
        draw: Called with what the folder holds so far, now and then and at the end.

    Raises:
        UsageError: The results folder belongs to another run, or another process is writing to it.
        ResultError: A result or the report cannot be written.
    """
    _writable(grid.store.root, "--results")
    _writable(grid.reports, "--reports")
    with _locked(grid.store.root):
        grid.store.tidy()
        held = look(grid, force=force)
        for path, error in held.damaged.items():
            aside = grid.store.keep_damaged(path)
            listener.note(f"{error} It was moved to {aside.name}; the cell runs again.")
        if force:
            grid.store.set_aside(grid.name(cell) for cell in grid.cells)
        listener.start(grid.cells, held.kept)
        base = _measure_base(grid, held.kept, executor, listener)
        results = []
        due = time.monotonic() + RENDER_SECONDS
        for cell in grid.cells:
            result = held.kept.get(cell)
            listener.cell(cell, result is not None)
            if result is None:
                result = run_one(grid, cell, base, executor, listener)
                if result.status in FINAL:
                    grid.store.replaced(grid.name(cell))
            listener.result(cell, result, cell in held.kept)
            results.append(result)
            start = time.monotonic()
            if start > due:
                draw([*held.beside, *results], grid)
                end = time.monotonic()
                due = end + max(RENDER_SECONDS, (end - start) / RENDER_SHARE)
        draw([*held.beside, *results], grid)
    return results


def _locked(root: Path) -> AbstractContextManager[object]:
    """The results folder to itself, until the block ends."""
    try:
        return FileLock(root / ".lock").acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"another run is writing to {root}; wait for it or name another folder") from error
    except OSError as error:
        raise UsageError(
            f"cannot lock {root} ({error.strerror or error}), as some network file systems do not allow; "
            "name a folder elsewhere with --results"
        ) from error


def run_one(grid: Grid, cell: Cell, base: Base | None, executor: Executor, listener: Listener) -> Result:
    """Run one cell in a worker; whatever happens to the worker becomes a stored result."""
    identity = identify(grid, cell)
    outcome: Any
    if cell.skip is not None:
        outcome = Died(status="skipped", reason=cell.skip)
    else:
        job = Job(
            task=cell.task,
            method=cell.method,
            seed=cell.seed,
            hub=grid.hub,
            chat=grid.chat_template is not None,
            engine=grid.engine,
            splits=grid.tasks[cell.task].splits,
            baselines=grid.tasks[cell.task].baselines,
            budget=grid.budget,
            source=grid.source,
            environment=grid.environment,
            identity=identity,
            base=base,
            results=grid.store.root,
        )
        try:
            outcome = executor.call(
                "run_cell",
                job,
                timeout=grid.budget.timeout_seconds,
                on_message=lambda message: listener.progress(*message),
            )
        except (PluginError, ModelError, SandboxError) as error:
            # This cell's own fault. Any other, such as a full disk, would be every cell's.
            outcome = Died(status="failed", reason=str(error))
    if isinstance(outcome, Result):
        return outcome
    prepared = grid.tasks[cell.task]
    result = Result(
        status=outcome.status,
        reason=outcome.reason,
        task=prepared.name,
        method=grid.methods[cell.method].name,
        seed=cell.seed,
        identity=identity,
        family=prepared.family,
        baselines=prepared.baselines,
        environment=grid.environment.to_dict(),
    )
    grid.store.write(result)
    return result


def _measure_base(
    grid: Grid, kept: Mapping[Cell, Result], executor: Executor, listener: Listener
) -> Base | None:
    """The base model's own figures, if a cell is to be trained; None with a note where they cannot be had.

    A model that fits into memory in 4 bits alone is no reason to stop its cells.
    """
    if not any(
        grid.methods[cell.method].learning_rates and cell.skip is None and cell not in kept
        for cell in grid.cells
    ):
        return None
    listener.note("measuring the base model")
    found = executor.call(
        "measure_base", grid.source, grid.budget, grid.engine, grid.environment.cores, timeout=PREPARE_SECONDS
    )
    if isinstance(found, Base):
        return found
    listener.note(f"the base model could not be measured, so that no cell has its retention: {found.reason}")
    return None


def _writable(folder: Path, option: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; name another with {option}") from error
