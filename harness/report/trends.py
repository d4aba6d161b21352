"""Quality and cost of each method over time, with the points at which a level changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import ruptures
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.atomic import write_atomic
from harness.errors import ResultError
from harness.history import Entry, Record
from harness.report import words
from harness.report.chart import STYLE, label, save
from harness.report.palette import look, order

SHORTEST = 3
"""Entries before and after a change point."""
PENALTY = 2.0
"""What a change must save of the summed distances, in standard deviations of the noise times the logarithm of
the length. The test in `test_trends` holds what it was chosen for: noise alone shows in less than 1 of 10."""
TICKS = 8
LINES: dict[str, Callable[[Record], float | None]] = {
    "mean score, %": lambda record: 100 * record.quality,
    "training, s": lambda record: record.train_seconds,
    "peak memory, GB": lambda record: None if record.peak_bytes is None else record.peak_bytes / 1e9,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A level that changed: the mean before and after, and the entry (by position) that came first after."""

    line: str
    method: str
    at: int
    before: float
    after: float


def change_points(values: Sequence[float]) -> list[int]:
    """Positions at which the level of a series changes: the first of each new level.

    Pruned exact linear time (Killick et al., 2012) as `ruptures` has it, on distances from the median, so
    that one odd entry is no level. The noise is taken from differences of neighbours.
    """
    series = np.asarray(values, dtype=np.float64)
    if len(series) < 2 * SHORTEST:
        return []
    noise = float(np.median(np.abs(np.diff(series)))) / (0.6745 * np.sqrt(2))
    scale = max(noise, 1e-6 * float(np.abs(series).max()), 1e-12)
    found = ruptures.Pelt(model="l1", min_size=SHORTEST, jump=1).fit(series / scale)
    return [int(at) for at in found.predict(pen=PENALTY * np.log(len(series)))[:-1]]


def changes(entries: Sequence[Entry]) -> list[Change]:
    """Every change point of every method, among neighbours of the same conditions."""
    found = []
    for name in LINES:
        for method in order({method for one in entries for method in one.methods}):
            for places, values in _stretches(entries, name, method):
                points = change_points(values)
                for start, at, end in zip([0, *points], points, [*points[1:], len(values)], strict=False):
                    before, after = float(np.mean(values[start:at])), float(np.mean(values[at:end]))
                    found.append(Change(line=name, method=method, at=places[at], before=before, after=after))
    return sorted(found, key=lambda one: one.at)


def render_history(entries: Sequence[Entry], folder: Path) -> Path:
    """Write `history.md` and its figure into `folder`.

    Raises:
        ResultError: There are no entries, or the folder cannot be written.
    """
    if not entries:
        raise ResultError("the history is empty; `baseline accept` and `check --history` add to it")
    found = changes(entries)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save(figure(entries, found), folder / "history.png")
    except OSError as error:
        raise ResultError(f"cannot write the history to {folder}: {error.strerror or error}") from error
    lines = ["# Tuneoff history", _lead(entries), "![Quality and cost over time](history.png)"]
    lines += ["## Where a level changed", _table(entries, found)] if found else ["No level changed."]
    path = folder / "history.md"
    write_atomic(path, "\n\n".join(lines) + "\n")
    return path


def figure(entries: Sequence[Entry], found: Sequence[Change]) -> Figure:
    """A panel for quality and for each cost; a line breaks where conditions change."""
    shown = [
        name for name in LINES if any(_stretches(entries, name, m) for one in entries for m in one.methods)
    ]
    with style.context(["default", STYLE]):
        drawn = Figure(figsize=(8.0, 1.0 + 2.6 * len(shown)))
        panels = drawn.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, shown, strict=True):
            _panel(axes, entries, name, [one for one in found if one.line == name])
        every = range(0, len(entries), -(-len(entries) // TICKS))
        panels[-1].set_xticks(list(every), [label(entries[at].when[:10]) for at in every])
        lines, names = panels[0].get_legend_handles_labels()
        panels[0].legend(lines, names, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return drawn


def _panel(axes: Axes, entries: Sequence[Entry], name: str, found: Sequence[Change]) -> None:
    for method in order({method for one in entries for method in one.methods}):
        seen = look(method)
        for number, (places, values) in enumerate(_stretches(entries, name, method)):
            name_once = None if number else label(method)
            line = axes.plot(places, values, color=seen.colour, marker=seen.marker, label=name_once)[0]
            line.set(linestyle=seen.line, markersize=5)
    for change in found:
        axes.axvline(change.at - 0.5, color=look(change.method).colour, linewidth=1.5, alpha=0.6)
    for at, one in enumerate(entries):
        if one.kind == "accept":
            axes.axvline(at, color="#7F7F7F", linewidth=0.8, linestyle=":")
    axes.set_ylabel(name)
    axes.grid(axis="y", color="#DDDDDD")


def _stretches(entries: Sequence[Entry], name: str, method: str) -> list[tuple[list[int], list[float]]]:
    """A method's figures with their positions, cut where figures stop being comparable.

    They do not compare where the method ended ok on more tasks, or seconds where they are of another machine;
    those of several machines at once do not even compare with each other.
    """
    timed = name == "training, s"
    known = [
        (at, value, (one.conditions, own.tasks, one.machine if timed else None))
        for at, one in enumerate(entries)
        if (own := one.methods.get(method)) is not None
        and (value := LINES[name](own)) is not None
        and not (timed and one.machine is None)
    ]
    # A baseline of another task set in between does not cut: stretches are by conditions, not by neighbours.
    ordered = sorted(known, key=lambda one: (str(one[2]), one[0]))
    return [
        ([at for at, _, _ in own], [value for _, value, _ in own])
        for own in (list(group) for _, group in groupby(ordered, key=lambda one: one[2]))
    ]


def _lead(entries: Sequence[Entry]) -> str:
    accepted = sum(one.kind == "accept" for one in entries)
    first, last = words.escaped(entries[0].when[:10]), words.escaped(entries[-1].when[:10])
    return (
        f"{len(entries)} entries from {first} to {last}: {accepted} accepted baselines (dotted), "
        f"{len(entries) - accepted} checks. Coloured bars: the level of that method changed there."
    )


def _table(entries: Sequence[Entry], found: Sequence[Change]) -> str:
    lines = [["since", "commit", "method", "what", "before", "after"], ["---"] * 4 + ["---:"] * 2]
    for one in found:
        entry = entries[one.at]
        commit = words.code((entry.commit or words.ABSENT)[:12])
        lines.append(
            [words.escaped(entry.when[:10]), commit, words.code(one.method), one.line,
             f"{one.before:.1f}", f"{one.after:.1f}"]
        )  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
