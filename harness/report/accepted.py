"""An accepted baseline, and the list of those before it, as terminal tables."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich.console import Console
from rich.table import Table

from harness.baseline import Baseline
from harness.history import Entry
from harness.regression.quality import seed_spread
from harness.report import words
from harness.report.palette import order
from harness.text import printable, terminal


def show_baseline(baseline: Baseline, console: Console) -> None:
    """Who, when and why; then a row a cell: seeds, items and the mean score."""
    about = baseline.accepted
    for label, value in (
        ("accepted", f"{about.when} by {about.who}"),
        ("reason", about.reason),
        ("from", about.source),
        ("commit", about.commit or "none"),
        ("versions", ", ".join(f"{name} {version}" for name, version in about.versions.items())),
    ):
        console.print(f"{label:<9} {terminal(printable(value))}")
    side = baseline.side("baseline")
    spread = seed_spread(side)
    known = (
        f"{100 * spread.variance**0.5:.1f} points" if spread.measured else "unknown: no cell has two seeds"
    )
    console.print(f"{'seeds':<9} a cell's mean spreads by {known} between seeds")
    console.print()
    rows = []
    for (task, method), cell in side.cells().items():
        scored = [one for one in cell.values() if one.measured]
        means = [fmean(one.scores.values()) for one in scored]
        rows.append(
            (
                task,
                method,
                str(len(cell)),
                str(min((len(one.scores) for one in scored), default=0)),
                words.percent(fmean(means)) if means else next(iter(cell.values())).status,
            )
        )
    console.print(_table(("task", "method", "seeds", "items", "mean score"), rows))


def show_history(entries: Sequence[Entry], console: Console) -> None:
    """A row an accepted baseline, the oldest first."""
    methods = order({method for one in entries for method in one.methods})
    rows = [
        (
            one.when,
            (one.who or words.ABSENT).partition(" <")[0],
            (one.commit or words.ABSENT)[:12],
            *(words.percent(one.methods[name].quality if name in one.methods else None) for name in methods),
            one.reason or "",
        )
        for one in entries
    ]
    console.print(_table(("when", "who", "commit", *methods, "reason"), rows))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(terminal(printable(column)), overflow="fold")
    for row in rows:
        table.add_row(*(terminal(printable(text)[: words.LONGEST]) for text in row))
    return table
