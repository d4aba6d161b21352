"""What a run costs beside training and evaluation, how long a report of 10,000 results takes, and `--help`.

    python -m benchmarks.overhead [--tasks legal_license] [--budget quick]

Fixed cost is wall-clock of the whole `run` command less the phases of its cells that train or evaluate, be it
on test items, at checkpoints or on held-out text. What is outside all phases is the command's own: its start,
planning, processes, and reports as cells finish.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common import ROOT, Figures, save
from benchmarks.render import show
from harness.environment import probe
from harness.report import render
from harness.result import Result
from harness.store import Store

MEASURED = ("tune", "train", "checkpoints", "evaluate", "retention", "merge")
"""Phases that train, or ask a trained model something."""
MANY = 10_000
TURNS = 5

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    tasks: Annotated[str, typer.Option(help="Tasks of the grid.")] = "legal_license",
    methods: Annotated[str, typer.Option(help="Methods of the grid.")] = "core",
    budget: Annotated[str, typer.Option(help="Its budget.")] = "quick",
) -> None:
    """Run the grid in a new folder, render many results, call --help; print and store the figures."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        options = ["--tasks", tasks, "--methods", methods, "--budget", budget]
        start = time.perf_counter()
        _harness("run", *options, "--results", str(results), "--reports", folder)
        wall = time.perf_counter() - start
        stored = Store(results).load()
        rows = _rows(stored, wall)
        start = time.perf_counter()
        render(many(stored), Path(folder) / "many", name="many")
        rows.append(_row(f"report of {MANY:,} results", time.perf_counter() - start))
    rows.append(_row("--help, median of five", statistics.median(_help() for _ in range(TURNS))))
    grid = {"tasks": tasks, "methods": methods, "budget": budget}
    save("overhead", budget, probe("auto"), rows, grid)
    show("overhead")


def _rows(stored: list[Result], wall: float) -> list[Figures]:
    """Seconds of the run that were neither trained nor evaluated, a cell and as a share."""
    useful = [sum(phase.seconds for n, phase in r.phases.items() if n in MEASURED) for r in stored]
    inside = [sum(phase.seconds for phase in r.phases.values()) for r in stored]
    fixed = [whole - own for whole, own in zip(inside, useful, strict=True)]
    others: dict[str, list[float]] = {}
    for name, phase in (pair for r in stored for pair in r.phases.items() if pair[0] not in MEASURED):
        others.setdefault(name, []).append(phase.seconds)
    return [
        _row("cells", float(len(stored)), ""),
        _row("wall-clock of the run", wall),
        _row("share outside training and evaluation", 100 * (1 - sum(useful) / wall), "%"),
        _row("a cell's other phases, median", statistics.median(fixed)),
        _row("a cell's other phases, maximum", max(fixed)),
        *(_row(f"of them {name}, median", statistics.median(own)) for name, own in others.items()),
        _row("outside all phases, a cell", (wall - sum(inside)) / len(stored)),
    ]


def many(stored: list[Result]) -> list[Result]:
    """`MANY` results made of the given ones, under other seeds."""
    return [replace(stored[n % len(stored)], seed=n // len(stored)) for n in range(MANY)]


def _help() -> float:
    start = time.perf_counter()
    _harness("--help")
    return time.perf_counter() - start


def _harness(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "harness", *arguments], cwd=ROOT, check=True, capture_output=True)


def _row(what: str, value: float, unit: str = "s") -> Figures:
    return {"what": what, "value": value, "unit": unit}


if __name__ == "__main__":
    app()
