"""Commands, argument checking and exit codes; no logic of its own.

Exit codes: 0 all cells ok or skipped, 2 bad usage, 3 something failed, 130 interrupted; `check` has its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from harness import cli_gate, cli_study
from harness.cli_exit import FAILED, err, finish, interruptible, out
from harness.cli_options import (
    DATA,
    BudgetName,
    ChatTemplate,
    Data,
    Device,
    DryRun,
    EngineName,
    Force,
    Match,
    Methods,
    Model,
    Reports,
    Results,
    Seeds,
    Tasks,
    TrustPickle,
    TrustRemoteCode,
    trusted,
)
from harness.errors import TuneoffError, UsageError, one_of
from harness.text import terminal

app = typer.Typer(
    help="Which fine-tuning method should I use, for my task, my model, my hardware?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli_gate.register(app)
cli_study.register(app)

SHORT = 20
"""Characters that a column may need without giving way to the others."""


def main() -> None:
    """Run the command line; every foreseen error is one line on stderr and an exit code."""
    try:
        app()
    except TuneoffError as error:
        err.print(f"[bold red]error:[/] {terminal(error)}")
        sys.exit(error.exit_code)


@app.command()
def run(
    tasks: Tasks = "all",
    methods: Methods = "core",
    model: Model = "embedded",
    budget: BudgetName = None,
    match: Match = "examples",
    seeds: Seeds = None,
    results: Results = None,
    reports: Reports = None,
    device: Device = "auto",
    data: Data = "embedded",
    chat_template: ChatTemplate = False,
    engine: EngineName = "fast",
    trust_pickle: TrustPickle = False,
    trust_remote_code: TrustRemoteCode = False,
    dry_run: DryRun = False,
    force: Force = False,
) -> None:
    """Run every task under every method, store the results, draw the report. Run again to resume."""
    from harness import display
    from harness.environment import DEVICES
    from harness.executor import Executor
    from harness.grid import Settings, build
    from harness.job import ENGINES
    from harness.resume import look
    from harness.run import execute

    one_of("--device", device, DEVICES)
    one_of("--data", data, DATA)
    one_of("--engine", engine, ENGINES)
    settings = Settings(
        tasks=tasks,
        methods=methods,
        model=model,
        budget=budget,
        match=match,
        seeds=seeds,
        results=results,
        reports=reports,
        device=device,
        hub=data == "hub",
        chat=chat_template,
        engine=engine,
        trust=trusted(trust_pickle, trust_remote_code),
    )
    executor = Executor()
    with display.Live(err, out) as listener:
        grid = build(settings, executor, listener)
        if dry_run:
            listener.stop()
            display.show_grid(out, grid, look(grid, force=force).kept)
            return
        with interruptible(listener, force=force):
            finished = execute(grid, executor, listener, force=force)
    finish(finished, grid.store.root, grid.reports / "report.md")


listing = typer.Typer(help="Show the tasks, methods or budgets there are.", no_args_is_help=True)
app.add_typer(listing, name="list")

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


@listing.command("tasks")
def list_tasks(as_json: AsJson = False) -> None:
    """Tasks with family, metric, sizes of train/dev/test, licence and source; --json also describes them."""
    from harness import registry

    rows: list[dict[str, Any]] = [
        {
            "name": task.name,
            "family": task.family,
            "metric": task.metric,
            "sizes": list(task.sizes or ()),
            "hub": task.hub_twin.name if task.hub_twin else None,
            "license": task.license,
            "source": task.source,
            "description": task.description,
        }
        for task in registry.tasks().values()
    ]
    if not as_json:
        rows = [{name: value for name, value in row.items() if name != "description"} for row in rows]
    _show(rows, as_json)


@listing.command("methods")
def list_methods(as_json: AsJson = False) -> None:
    """Methods with their learning-rate grids, the default first."""
    from harness import registry

    _show(
        [
            {
                "name": method.name,
                "core": method.core,
                "description": method.description,
                "learning_rates": list(method.learning_rates),
            }
            for method in registry.methods().values()
        ],
        as_json,
    )


@listing.command("budgets")
def list_budgets(as_json: AsJson = False) -> None:
    """Presets with all their fields."""
    from harness.budget import PRESETS

    rows = [budget.to_dict() for budget in PRESETS.values()]
    if as_json:
        _show(rows, as_json=True)
    else:
        names = [str(row["name"]) for row in rows]
        _show(
            [
                {"field": field, **{n: r[field] for n, r in zip(names, rows, strict=True)}}
                for field in rows[0]
            ][1:],
            as_json=False,
        )


@app.command()
def report(
    results: Annotated[Path | None, typer.Argument(help="A results folder.")] = None,
    reports: Annotated[Path | None, typer.Option(help="Where to; reports/<results name> by default.")] = None,
    readme: Annotated[
        Path | None, typer.Option(help="Also put the compact table between this file's markers.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the history of baselines and checks instead.")
    ] = None,
) -> None:
    """Draw the report of stored results, or with --history of what was accepted and checked over time."""
    from harness.report import readme_block, render, update_readme
    from harness.store import Store
    from harness.study.page import section

    if (history is None) == (results is None):
        raise UsageError("name a results folder, or a history with --history, and not both")
    if history is not None:
        cli_gate.draw_history(out, history, reports or Path("reports/history"))
        return
    assert results is not None
    stored = Store(results).load()
    folder = reports or Path("reports") / results.name
    out.print(terminal(render(stored, folder, name=folder.name, studies=section(results, folder))))
    if readme is not None:
        update_readme(readme, readme_block(stored, folder=folder.as_posix()))


@app.command()
def validate(
    plugin: Annotated[
        str, typer.Argument(help="A .py file, an adapter_config.json, or the name of a task or method.")
    ],
) -> None:
    """Check a plugin against the contract, as the built-in ones are checked."""
    from harness import conformance

    failures = 0
    for check in conformance.checks(plugin):
        out.print(f"{'[green]ok  [/]' if check.problem is None else '[red]FAIL[/]'} {terminal(check.name)}")
        if check.problem is not None:
            failures += 1
            out.print(f"     {terminal(check.problem)}")
    if failures:
        sys.exit(FAILED)


@app.command()
def doctor(device: Device = "auto") -> None:
    """Show what this machine offers, and what would be skipped here and why."""
    from harness import display
    from harness.environment import DEVICES

    one_of("--device", device, DEVICES)
    display.show_doctor(out, device)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    lines = [[_cell(value) for value in row.values()] for row in rows]
    for column, values in zip(rows[0], zip(*lines, strict=True), strict=True):
        short = max(map(len, values)) <= SHORT
        table.add_column(column.replace("_", " "), no_wrap=short, overflow="fold")
    for line in lines:
        table.add_row(*map(terminal, line))
    Console(highlight=False, emoji=False).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return " ".join(f"{item:g}" for item in value) or "-"
    return "-" if value is None else str(value)
