"""The commands of the regression gate: `check` and `baseline`.

Exit codes of `check`: 0 pass, 1 regression, 2 bad usage, 3 a cell failed or nothing compared,
4 inconclusive with `--strict`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from harness.cli_exit import err, out
from harness.errors import UsageError
from harness.text import terminal

if TYPE_CHECKING:
    from harness.regression import Check

BASELINE = Path("results/baseline")
HISTORY = Path("results/history.jsonl")
STDOUT = Path("-")

UNUSED = (
    "--tasks, --methods, --model, --budget, --seeds and --device say what --interleave runs; "
    "without it, stored results are compared as they are"
)
NO_CANDIDATE = "name the results to check with --candidate DIR, or run both sides with --interleave"

File = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there; - for standard output.")]
HistoryOption = Annotated[Path, typer.Option(metavar="FILE", help="The history of accepted baselines.")]
FolderOption = Annotated[Path, typer.Option(metavar="DIR", help="Where the baseline is kept.")]


def check(
    baseline: Annotated[
        Path, typer.Option(metavar="DIR", help="An accepted baseline, or a results folder.")
    ] = BASELINE,
    candidate: Annotated[Path | None, typer.Option(metavar="DIR", help="A results folder.")] = None,
    margin: Annotated[float, typer.Option(help="Non-inferiority margin, in points of score.")] = 2.0,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where nothing is shown either way.")] = False,
    markdown: File = None,
    json: File = None,
    junit: File = None,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Add a line for the candidate to this history.")
    ] = None,
    interleave: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKOUT",
            help="Run the baseline's code from this folder and the candidate's from here, alternately; "
            "--baseline and --candidate are then where results go, and the options below say what runs.",
        ),
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="With --interleave: as for run; all.")] = None,
    methods: Annotated[str | None, typer.Option(help="With --interleave: as for run; core.")] = None,
    model: Annotated[str | None, typer.Option(help="With --interleave: as for run; embedded.")] = None,
    budget: Annotated[str | None, typer.Option(help="With --interleave: as for run; ci.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="With --interleave: as for run.")] = None,
    device: Annotated[str | None, typer.Option(help="With --interleave: as for run; auto.")] = None,
) -> None:
    """Compare results with a baseline: what got worse, in quality or cost, and what is shown to be well."""
    from harness import history as histories
    from harness.baseline import now, read_side
    from harness.environment import commit
    from harness.regression import compare
    from harness.report import verdicts

    interleaving: list[str] = []
    if interleave is not None:
        baseline = Path("results/interleaved/baseline") if baseline == BASELINE else baseline
        candidate = candidate or Path("results/interleaved/candidate")
        folders = {"baseline": baseline, "candidate": candidate}
        options = _options(model or "embedded", budget or "ci", seeds, device or "auto")
        interleaving = _interleave(interleave, folders, tasks or "all", methods or "core", options)
    elif any(given is not None for given in (tasks, methods, model, budget, seeds, device)):
        raise UsageError(UNUSED)
    if candidate is None:
        raise UsageError(NO_CANDIDATE)
    before, side = read_side(baseline), read_side(candidate, forgiving=True)
    found = compare(before, side, margin=margin / 100, interleaved=interleave is not None)
    command = verdicts.command(
        str(baseline), side.name, margin=margin, strict=strict, interleaving=interleaving
    )
    _show(found, command, strict=strict, files=(markdown, json, junit))
    if history is not None:
        line = histories.entry(
            side.outcomes, kind="check", when=now(), commit=commit(Path.cwd(), ()), verdict=found.verdict
        )
        histories.append(history, line)
    sys.exit(found.exit_code(strict=strict))


baselines = typer.Typer(
    help="Accepted sets of results that later ones are checked against.", no_args_is_help=True
)


@baselines.command()
def accept(
    results: Annotated[Path, typer.Argument(help="A results folder in which every cell ended ok.")],
    reason: Annotated[str, typer.Option(help="Why these are what later results are measured by.")],
    folder: FolderOption = BASELINE,
    history: HistoryOption = HISTORY,
) -> None:
    """Make a run's results the baseline: scores and costs, no outputs; with who, when, commit and reason."""
    from harness import baseline
    from harness import history as histories

    accepted = baseline.accept(results, folder, reason)
    outcomes = accepted.side(str(folder)).outcomes
    about = accepted.accepted
    histories.append(
        history,
        histories.entry(
            outcomes, kind="accept", when=about.when, commit=about.commit, who=about.who, reason=about.reason
        ),
    )
    out.print(
        terminal(f"{len(outcomes)} cells accepted into {folder / baseline.FILE}; commit it and {history}")
    )


@baselines.command()
def show(folder: Annotated[Path, typer.Argument(help="A baseline's folder.")] = BASELINE) -> None:
    """Who accepted the baseline, when and why, and what it holds."""
    from harness import baseline
    from harness.report import accepted

    accepted.show_baseline(baseline.read(folder), out)


@baselines.command()
def diff(
    other: Annotated[Path, typer.Argument(help="Another baseline's folder, or a results folder.")],
    folder: FolderOption = BASELINE,
) -> None:
    """How other results differ from the baseline; always exits 0."""
    from harness.baseline import read_side
    from harness.regression import compare
    from harness.report import verdicts

    verdicts.to_terminal(compare(read_side(folder), read_side(other)), out)


@baselines.command("history")
def history_command(history: Annotated[Path, typer.Argument(help="A history file.")] = HISTORY) -> None:
    """Every baseline there was: when, who, why, and its methods' mean scores."""
    from harness import history as histories
    from harness.report import accepted

    accepted.show_history([one for one in histories.read(history) if one.kind == "accept"], out)


def draw_history(console: Console, history: Path, folder: Path) -> None:
    """Draw a history file into a folder, and say where."""
    from harness import history as histories
    from harness.report.trends import render_history

    console.print(terminal(render_history(histories.read(history), folder)))


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(check)
    app.add_typer(baselines, name="baseline")


def _options(model: str, budget: str, seeds: int | None, device: str) -> list[str]:
    # Both sides run in folders of their own; a model's folder is the same one for both.
    model = str(Path(model).resolve()) if Path(model).is_dir() else model
    options = ["--model", model, "--budget", budget, "--device", device]
    return [*options, "--seeds", str(seeds)] if seeds is not None else options


def _interleave(
    checkout: Path, folders: dict[str, Path], tasks: str, methods: str, options: list[str]
) -> list[str]:
    """Run both sides alternately; the options that say so."""
    from harness import registry
    from harness.interleave import interleave, turns

    plan = turns(registry.task_references(tasks), registry.method_references(methods))
    checkouts = {"baseline": checkout, "candidate": Path.cwd()}
    interleave(plan, checkouts, folders, options, lambda line: err.print(f"[dim]{terminal(line)}[/]"))
    return ["--interleave", str(checkout), "--tasks", tasks, "--methods", methods, *options]


def _show(
    found: Check,
    command: str,
    *,
    strict: bool,
    files: tuple[Path | None, Path | None, Path | None],
) -> None:
    """The table, and the files that were asked for."""
    from harness.atomic import write_atomic
    from harness.report import verdicts

    texts = (
        verdicts.to_markdown(found, command),
        verdicts.to_json(found, strict=strict),
        verdicts.to_junit(found, strict=strict),
    )
    for path, text in zip(files, texts, strict=True):
        if path == STDOUT:
            sys.stdout.write(text)
        elif path is not None:
            write_atomic(path, text)
    if STDOUT not in files:
        verdicts.to_terminal(found, out)
