"""What a run is to do: the user's settings checked, tasks loaded, cells planned, each with its identity."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import model, registry
from harness.budget import RECIPE, Budget, matched, parse_match, preset
from harness.environment import Environment
from harness.errors import UsageError
from harness.executor import Died, Executor
from harness.identity import plain
from harness.job import Prepared
from harness.method import Method
from harness.peftfile import PeftFile
from harness.plan import Cell, plan
from harness.prepare import check_method, check_names, plugin_code
from harness.result import Result
from harness.store import Store
from harness.tune import PROTOCOL

PREPARE_SECONDS = 900.0


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
    match: str = "examples"
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

    def name(self, cell: Cell) -> tuple[str, str, int]:
        """The names of a cell's task and method, and its seed: what its result is stored by."""
        return self.tasks[cell.task].name, self.methods[cell.method].name, cell.seed


class Listener:
    """What a run tells while it goes on; the command line draws it. Every method may be overridden."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def start(self, cells: Sequence[Cell], kept: Collection[Cell] = ()) -> None:
        """The grid is about to run; of `kept` there are results."""

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
    match, seconds = parse_match(settings.match)
    with plugin_code("cannot import a plugin"):
        task_names = registry.task_references(settings.tasks, hub=settings.hub)
        methods = {name: registry.method(name) for name in registry.method_references(settings.methods)}
    budget = None if settings.budget is None else preset(settings.budget)
    environment = _value(executor.call("probe", settings.device, timeout=PREPARE_SECONDS))
    if budget is None:
        budget = preset("quick" if environment.device == "cpu" else "standard")
    budget = matched(budget, match, seconds)
    if settings.seeds is not None:
        budget = replace(budget, seeds=settings.seeds)
    source = model.resolve(
        settings.model, device=environment.device, precision=environment.precision, trust=settings.trust
    )
    for name, method in methods.items():
        if isinstance(method, PeftFile):
            listener.note(_value(executor.call("check_adapter", name, timeout=PREPARE_SECONDS), name))
    prepared = {}
    for name in task_names:
        listener.note(f"loading {name}")
        prepared[name] = _value(
            executor.call("prepare", name, settings.hub, budget.test_examples, timeout=PREPARE_SECONDS), name
        )
        if ".jsonl" in name:  # what was inferred from a user's file, and what of it is left out
            listener.note(f"{prepared[name].name}: {prepared[name].description}")
    check_names([task.name for task in prepared.values()], "tasks")
    check_names([method.name for method in methods.values()], "methods")
    template = None
    if settings.chat:
        template = _value(
            executor.call("chat_template", source, timeout=PREPARE_SECONDS), "the chat template"
        )
    with plugin_code("a method cannot be asked for its configuration"):
        for method in methods.values():
            check_method(method, budget.trials)
        sizes = {name: task.size for name, task in prepared.items()}
        cells = plan(sizes, methods, budget, environment, source.stored_weights())
    kind = ("" if match == "examples" else f"-{match}") + "-hub" * settings.hub
    run_name = f"{Path(source.source).name.lower()}-{budget.name}{kind}"
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


def identify(grid: Grid, cell: Cell) -> dict[str, Any]:
    """All that determines a cell's outcome, as the JSON values that its result will be read back as."""
    task, method = grid.tasks[cell.task], grid.methods[cell.method]
    identity = {
        "task": task.name,
        "task_version": task.version,
        "task_hash": task.hash,
        "task_code": task.code,
        "data": "hub" if grid.hub else "embedded",
        "chat_template": grid.chat_template,
        "method": method.name,
        "method_config": dict(method.config()),
        "method_code": registry.code_of(method),
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
    return plain(identity)


def _value(outcome: Any, what: str = "the device probe") -> Any:
    if isinstance(outcome, Died):
        raise UsageError(f"{what}: {outcome.reason}")
    return outcome
