"""Walks the grid: plan, one worker a cell, progress, resume, live reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness import model, registry
from harness.budget import RECIPE, Budget, preset
from harness.environment import Environment
from harness.errors import ModelError, PluginError, SandboxError, UsageError
from harness.executor import Died, Executor
from harness.job import Job, Prepared
from harness.method import Method
from harness.plan import Cell, plan
from harness.prepare import check_method, check_names, plugin_code
from harness.result import FINAL, DamagedError, Result, Store
from harness.tune import PROTOCOL

PREPARE_SECONDS = 900.0
RENDER_SECONDS = 60.0
RENDER_SHARE = 0.02
"""A live report is drawn at most this often and for this share of the time, between cells: never beside a
measurement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the user asked for, as given on the command line; None means the default for this machine."""

    tasks: str
    methods: str
    model: str
    budget: str | None
    seeds: int | None
    results: Path | None
    reports: Path | None
    device: str
    hub: bool
    chat: bool
    engine: str = "fast"
    trust: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A planned run: nothing of it has started."""

    cells: Sequence[Cell]
    tasks: Mapping[str, Prepared]
    methods: Mapping[str, Method]
    budget: Budget
    environment: Environment
    source: model.ModelSource
    store: Store
    reports: Path
    hub: bool
    chat_template: str | None
    engine: str


class Listener:
    """What a run tells while it goes on; the command line draws it. Every method may be overridden."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def start(self, cells: Sequence[Cell]) -> None:
        """The grid is about to run."""

    def cell(self, cell: Cell, kept: bool) -> None:
        """A cell starts, or is `kept` from an earlier run."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """The current cell's phase moved."""

    def result(self, cell: Cell, result: Result, kept: bool) -> None:
        """A cell has its result."""


def build(settings: Settings, executor: Executor, listener: Listener) -> Grid:
    """Check everything the user gave, look at the machine, load the tasks and plan.

    Raises:
        TuneoffError: Something named does not exist or cannot be read.
    """
    with plugin_code("cannot import a plugin"):
        task_names = registry.task_references(settings.tasks, hub=settings.hub)
        methods = {name: registry.method(name) for name in registry.method_references(settings.methods)}
    budget = None if settings.budget is None else preset(settings.budget)
    environment = _value(executor.call("probe", settings.device, timeout=PREPARE_SECONDS))
    if budget is None:
        budget = preset("quick" if environment.device == "cpu" else "standard")
    if settings.seeds is not None:
        budget = replace(budget, seeds=settings.seeds)
    source = model.resolve(
        settings.model, device=environment.device, precision=environment.precision, trust=settings.trust
    )
    for name in methods:
        if name.endswith(".json"):
            listener.note(_value(executor.call("check_adapter", name, timeout=PREPARE_SECONDS), name))
    prepared = {}
    for name in task_names:
        listener.note(f"loading {name}")
        prepared[name] = _value(
            executor.call("prepare", name, settings.hub, budget.test_examples, timeout=PREPARE_SECONDS), name
        )
    check_names([task.name for task in prepared.values()], "tasks")
    check_names([method.name for method in methods.values()], "methods")
    template = None
    if settings.chat:
        template = _value(
            executor.call("chat_template", source, timeout=PREPARE_SECONDS), "the chat template"
        )
    with plugin_code("a method cannot be asked for its configuration"):
        for method in methods.values():
            check_method(method)
        cells = plan({name: task.size for name, task in prepared.items()}, methods, budget, environment)
    run_name = f"{Path(source.source).name.lower()}-{budget.name}"
    return Grid(
        cells=cells,
        tasks=prepared,
        methods=methods,
        budget=budget,
        environment=environment,
        source=source,
        store=Store(settings.results or Path("results") / run_name),
        reports=settings.reports
        or Path("reports") / (settings.results.name if settings.results else run_name),
        hub=settings.hub,
        chat_template=template,
        engine=settings.engine,
    )


def execute(grid: Grid, executor: Executor, listener: Listener, *, force: bool) -> list[Result]:
    """Run every cell that has no result yet; the results of all cells, in the grid's order.

    Every result is on disk before the next cell starts. Interrupting loses only the cell in progress.

    Raises:
        UsageError: The results folder belongs to another run, or another process is writing to it.
        ResultError: A result or the report cannot be written.
    """
    _writable(grid.store.root, "--results")
    _writable(grid.reports, "--reports")
    lock = FileLock(grid.store.root / ".lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"another run is writing to {grid.store.root}; wait for it or name another folder"
        ) from error
    with held:
        grid.store.tidy()
        kept = {} if force else _earlier(grid, listener)
        listener.start(grid.cells)
        results = []
        due = time.monotonic() + RENDER_SECONDS
        for cell in grid.cells:
            result = kept.get(cell)
            listener.cell(cell, result is not None)
            if result is None:
                result = run_one(grid, cell, executor, listener)
            listener.result(cell, result, cell in kept)
            results.append(result)
            start = time.monotonic()
            if start > due:
                render(results, grid)
                end = time.monotonic()
                due = end + max(RENDER_SECONDS, (end - start) / RENDER_SHARE)
        render(results, grid)
    return results


def render(results: Sequence[Result], grid: Grid) -> Path:
    """Draw the report of what there is so far."""
    from harness.report import render as render_report

    return render_report(results, grid.reports, name=grid.reports.name)


def run_one(grid: Grid, cell: Cell, executor: Executor, listener: Listener) -> Result:
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


def identify(grid: Grid, cell: Cell) -> dict[str, Any]:
    """All that determines a cell's outcome, as plain JSON values."""
    task, method = grid.tasks[cell.task], grid.methods[cell.method]
    return {
        "task": task.name,
        "task_version": task.version,
        "task_hash": task.hash,
        "data": "hub" if grid.hub else "embedded",
        "chat_template": grid.chat_template,
        "method": method.name,
        "method_config": dict(method.config()),
        "learning_rates": list(method.learning_rates),
        "shots": method.shots,
        "recipe": RECIPE.to_dict(),
        "tuning": PROTOCOL if grid.budget.trials > 1 else None,
        "engine": grid.engine,
        "seed": cell.seed,
        # How many seeds a grid has does not touch a cell: seeds can be added to a finished run.
        "budget": {name: value for name, value in grid.budget.to_dict().items() if name != "seeds"},
        "model": grid.source.identity(),
        "device": grid.environment.device,
        "precision": grid.environment.precision,
        "machine": grid.environment.machine,
        "versions": {k: v for k, v in grid.environment.versions.items() if k != "tuneoff"},
    }


def _earlier(grid: Grid, listener: Listener) -> dict[Cell, Result]:
    """Stored results that this run would only reproduce.

    Raises:
        UsageError: A stored result was made under other conditions, which it would be wrong to mix.
    """
    kept = {}
    for cell in grid.cells:
        path = grid.store.path(grid.tasks[cell.task].name, grid.methods[cell.method].name, cell.seed)
        if not path.exists():
            continue
        try:
            result = grid.store.read(path)
        except DamagedError as error:
            aside = path.with_name(path.name + ".damaged")
            path.replace(aside)
            listener.note(f"{error} It was moved to {aside.name}; the cell runs again.")
            continue
        wanted = identify(grid, cell)
        differing = [name for name in wanted if result.identity.get(name) != wanted[name]]
        if differing:
            raise UsageError(
                f"{path} was made with another {', '.join(differing)}; name another folder with --results, "
                "or replace its results with --force"
            )
        if result.status in FINAL:
            kept[cell] = result
    return kept


def _writable(folder: Path, option: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; name another with {option}") from error


def _value(outcome: Any, what: str = "the device probe") -> Any:
    if isinstance(outcome, Died):
        raise UsageError(f"{what}: {outcome.reason}")
    return outcome
