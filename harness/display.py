"""What a person sees of a run in the terminal: progress with time left, results as cells finish."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from harness import registry
from harness.budget import Budget
from harness.errors import AssetError
from harness.executor import Died, Executor
from harness.grid import PREPARE_SECONDS, Grid, Listener
from harness.plan import Cell, total_seconds
from harness.result import Result
from harness.text import terminal


class Live(Listener):
    """Two bars on stderr (the grid, the current cell) and one line a finished cell on stdout.

    Time left starts from the plan's estimate and is corrected by how long finished cells really took.
    """

    def __init__(self, bars: Console, lines: Console) -> None:
        self._lines = bars if bars.is_terminal and lines.is_terminal else lines
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[right]}"),
            console=bars,
            transient=True,
            disable=not bars.is_terminal,
        )
        self._grid: TaskID | None = None
        self._cell: TaskID | None = None
        self._counted: set[Cell] = set()
        self._planned = self._left = self._spent = 0.0
        self._cell_start = 0.0

    def __enter__(self) -> Live:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bars away."""
        self._progress.stop()

    def note(self, text: str) -> None:
        """One dim line."""
        self._lines.print(f"[dim]{terminal(text)}[/]")

    def start(self, cells: Sequence[Cell], kept: Collection[Cell] = ()) -> None:
        """Show the whole grid's bar."""
        self._counted = set(cells).difference(kept)
        self._left = total_seconds([cell for cell in cells if cell not in kept])
        self._grid = self._progress.add_task("grid", total=len(cells), right="")
        self._cell = self._progress.add_task("", total=1, right="")
        self._show_left()

    def cell(self, cell: Cell, kept: bool) -> None:
        """Name the cell that runs now."""
        self._cell_start = time.monotonic()
        if self._cell is not None and not kept:
            name = f"{cell.task} / {cell.method} / seed {cell.seed}"
            self._progress.update(self._cell, description=terminal(name), completed=0, right="")

    def progress(self, phase: str, done: int, total: int) -> None:
        """Move the current cell's bar."""
        if self._cell is not None:
            self._progress.update(self._cell, completed=done, total=total, right=f"{phase} {done}/{total}")

    def result(self, cell: Cell, result: Result, kept: bool) -> None:
        """One line a cell, and a corrected estimate."""
        if cell in self._counted:
            self._left -= cell.seconds
        if not kept and cell.seconds:
            self._planned += cell.seconds
            self._spent += time.monotonic() - self._cell_start
        if self._grid is not None:
            self._progress.advance(self._grid)
            self._show_left()
        self._lines.print(_line(result, kept))

    def _show_left(self) -> None:
        pace = self._spent / self._planned if self._planned else 1.0
        if self._grid is not None:
            self._progress.update(self._grid, right=f"about {duration(max(self._left, 0) * pace)} left")


def _line(result: Result, kept: bool) -> str:
    name = f"{result.task:<20} {result.method:<14} seed {result.seed}"
    if result.metric is None:
        return f"{terminal(name)}  [yellow]{result.status}[/]: {terminal(result.reason or '')}"
    metric = result.metric
    interval = f"[{100 * metric.ci_low:.1f}, {100 * metric.ci_high:.1f}]"
    text = f"{name}  {100 * metric.value:5.1f}% {interval:<14}"
    if "train" in result.phases:
        text += f"  train {duration(result.phases['train'].seconds)}"
    total = sum(phase.seconds for phase in result.phases.values())
    text += f"  all {duration(total)}"
    return terminal(text) + ("  [dim](kept)[/]" if kept else "")


def duration(seconds: float) -> str:
    """Seconds as a person says them: "24 s", "3 min", "1.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def show_grid(console: Console, grid: Grid, kept: Mapping[Cell, Result]) -> None:
    """The plan as a table, with an estimate of its time; of the cells `kept` there are results already."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("task", "method", "seed", "estimate"):
        table.add_column(column)
    for cell in grid.cells:
        shown = (cell.task, cell.method, str(cell.seed), _expected(cell, kept.get(cell)))
        table.add_row(*map(terminal, shown))
    console.print(table)
    left = [cell for cell in grid.cells if cell not in kept]
    done = f", {len(grid.cells) - len(left)} of them kept" if len(left) < len(grid.cells) else ""
    console.print(
        f"{len(grid.cells)} cells{done}, at budget {grid.budget.name} ({_kind(grid.budget)}) "
        f"on {terminal(grid.environment.device_name)}, "
        f"{grid.environment.precision}: about {duration(total_seconds(left))}, "
        f"good to a factor of two; results would go to {terminal(grid.store.root)}"
    )


def _expected(cell: Cell, stored: Result | None) -> str:
    """What a run would do about a cell."""
    if stored is not None and stored.status != "skipped":
        return "kept"
    skip = cell.skip if stored is None else stored.reason
    return f"skipped: {skip}" if skip else duration(cell.seconds)


def _kind(budget: Budget) -> str:
    if budget.train_seconds is not None:
        return f"{budget.train_seconds} s of training for every method"
    return f"equal {budget.match} for every method"


def show_doctor(console: Console, device: str) -> None:
    """Device, versions, isolation, cache, and which methods would be skipped."""
    from harness import sandbox
    from harness.cache import cache_dir

    environment = Executor().call("probe", device, timeout=PREPARE_SECONDS)
    if isinstance(environment, Died):
        raise AssetError(f"the device probe failed: {environment.reason}")
    rows = [
        ("device", f"{environment.device}: {environment.device_name}"),
        ("cores", str(environment.cores)),
        ("memory", f"{environment.memory_bytes / 1e9:.1f} GB"),
        ("precision", environment.precision),
        ("matrix speed", f"{environment.matmul_flops / 1e12:.2f} TFLOP/s in {environment.precision}"),
        *((f"version {name}", version) for name, version in environment.versions.items()),
        ("platform", environment.platform),
        ("machine fingerprint", environment.machine),
        ("commit", environment.commit or "not a git checkout"),
        ("cache", str(cache_dir())),
        ("isolation", sandbox.described()),
    ]
    for name, method in registry.methods().items():
        reason = method.skip(environment)
        rows.append((f"method {name}", f"skipped: {reason}" if reason else "runs here"))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in rows:
        table.add_row(terminal(name), terminal(value))
    console.print(table)
