"""The command `study`: runs the grid that tests one piece of the article's advice.

Exit codes are those of `run`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli_exit import err, finish, interruptible, out
from harness.cli_options import (
    DATA,
    Data,
    Device,
    DryRun,
    Force,
    Seeds,
    TrustPickle,
    TrustRemoteCode,
    trusted,
)
from harness.errors import unknown
from harness.text import terminal

NAMES = "rank, learning-rate, embeddings, small-data, quantisation or convergence"
"""What `harness.study` has, named where matplotlib is not imported."""
TASK, SMOKE_TASK = "legal_license", "inflection"
"""What a study runs on by default: the article's first task; at `smoke`, one of short steps."""


def study(
    name: Annotated[str, typer.Argument(help=f"{NAMES}.")],
    tasks: Annotated[
        str | None, typer.Option(help=f"As for run; {TASK} by default, {SMOKE_TASK} at 'smoke'.")
    ] = None,
    model: Annotated[str, typer.Option(help="As for run.")] = "embedded",
    budget: Annotated[str, typer.Option(help="Preset; 'smoke' takes a few minutes.")] = "quick",
    seeds: Seeds = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="The results folder of the run that it belongs to; results/<model>-<budget> by default."
        ),
    ] = None,
    reports: Annotated[Path | None, typer.Option(help="That run's report folder.")] = None,
    device: Device = "auto",
    data: Data = "embedded",
    trust_pickle: TrustPickle = False,
    trust_remote_code: TrustRemoteCode = False,
    dry_run: DryRun = False,
    force: Force = False,
) -> None:
    """Put one piece of the article's advice to the test: run its grid, draw its chart, say what it shows."""
    from harness import display
    from harness.environment import DEVICES
    from harness.errors import one_of
    from harness.executor import Executor
    from harness.grid import Settings
    from harness.study import STUDIES
    from harness.study.page import sentences
    from harness.study.run import build_study, execute_study, look_study

    one_of("--device", device, DEVICES)
    one_of("--data", data, DATA)
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    settings = Settings(
        tasks=_default_task(budget) if tasks is None else tasks,
        methods="",
        model=model,
        budget=None,
        seeds=seeds,
        results=results,
        reports=reports,
        device=device,
        hub=data == "hub",
        chat=False,
        trust=trusted(trust_pickle, trust_remote_code),
    )
    executor = Executor()
    with display.Live(err, out) as listener:
        grids = build_study(STUDIES[name], settings, budget, executor, listener)
        if dry_run:
            listener.stop()
            for grid, kept in zip(grids, look_study(grids, force=force), strict=True):
                display.show_grid(out, grid, kept)
            return
        with interruptible(listener, force=force):
            finished = execute_study(grids, executor, listener, force=force)
    folder, pages = grids[0].store.root.parent, grids[0].reports
    for task, said in sentences(STUDIES[name], folder).items():
        out.print(terminal(f"{task}: {said}"))
    finish(finished, folder, pages / f"{name}.md")


def _default_task(budget: str) -> str:
    return SMOKE_TASK if budget == "smoke" else TASK


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(study)
