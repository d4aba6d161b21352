"""The report's figures: rows in, a matplotlib figure out. Only `save` touches the disk.

No text from a result is ever read as mathematical notation, and a user's matplotlibrc has no say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from harness import stats
from harness.report import words
from harness.report.labels import place
from harness.report.palette import GREY, look
from harness.report.rows import Board, Row, mean, methods_of, without_model
from harness.stats import Interval
from harness.text import printable

WIDTH, HEIGHT, DPI = 8.0, 4.5, 150
"""Inches, and dots an inch: 1,200 pixels wide, shown at 800 or so in a README."""

STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.titlesize": 12.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,
    "text.usetex": False,
}
LONGEST = 24
SEEDS_BELOW = 0.25
"""How far below a method's line the means of its seeds stand, in lines."""
PHASES = {
    "load": "#999999",
    "encode": "#F0E442",
    "compile": "#000000",
    "flops": "#CC79A7",
    "calibrate": "#DDCC77",
    "tune": "#56B4E9",
    "train": "#0072B2",
    "checkpoints": "#999933",
    "retention": "#009E73",
    "save": "#882255",
    "evaluate": "#E69F00",
    "merge": "#AA4499",
}
OTHER_PHASE = "#D55E00"
MOST_LINES = 6
"""Methods beside full fine-tuning whose lines a panel can show apart."""


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG; a reader meanwhile sees the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}")
    with style.context(["default", STYLE]):
        figure.savefig(temporary, format="png", dpi=DPI)
    temporary.replace(path)


def quality(task: str, rows: Mapping[str, Row]) -> Figure | None:
    """Quality of every method with its interval, one line each; None where there is none to show."""
    scored = [(method, row.quality) for method, row in rows.items() if row.quality]
    if not scored:
        return None
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, max(HEIGHT, 1.3 + 0.4 * len(scored))))
        axes = figure.subplots()
        for line, (method, estimate) in enumerate(scored):
            _dot(axes, method, 100 * estimate.value, line, across=_ends(estimate))
            if len(rows[method].runs) > 1:
                seeds = [100 * mean for mean in rows[method].seed_means]
                axes.plot(
                    seeds, [line + SEEDS_BELOW] * len(seeds), ".", markersize=5, color=look(method).colour
                )
            text = words.percent(estimate.value)
            axes.annotate(text, (100 * estimate.value, line), (0, 7), textcoords="offset points", ha="center")
        full = rows["full"].quality if "full" in rows else None
        if full:
            axes.axvspan(100 * full.low, 100 * full.high, color="#000000", alpha=0.07, linewidth=0)
        rule = without_model(rows)
        if rule:
            axes.axvline(100 * rule[1], color=GREY, linestyle=":")
        axes.set_yticks(range(len(scored)), [label(method) for method, _ in scored])
        axes.set_ylim(len(scored) - 0.5, -0.7)
        axes.grid(axis="x", color="#DDDDDD")
        metric = next((row.metric for row in rows.values() if row.metric), None) or "quality"
        several = any(len(rows[method].runs) > 1 for method, _ in scored)
        marks = ["grey band: full's"] * bool(full) + ["dotted: no model"] * bool(rule)
        marks += ["dots: seeds"] * several
        legend = f" ({'; '.join(marks)})" if marks else ""
        axes.set_xlabel(f"{label(metric)}, %, with 95% interval{legend}")
        axes.set_title(label(task), loc="left")
    return figure


def trade_off(rows: Board, cost: Callable[[Row], float | None], unit: str) -> Figure | None:
    """Mean quality against a mean cost over tasks, the Pareto front marked; untrained methods as lines.

    Args:
        rows: A grid without gaps.
        cost: The cost of a row, None where the method has none.
        unit: What the cost is called on the axis.

    Returns:
        None unless two methods have a cost.
    """
    found: list[tuple[str, float, Interval]] = []
    flat: list[tuple[str, Interval]] = []
    for method in methods_of(rows):
        own = [task[method] for task in rows.values()]
        estimate, spent = stats.tasks_interval([row.runs for row in own]), mean([cost(row) for row in own])
        if spent:
            found.append((method, spent, estimate))
        else:
            flat.append((method, estimate))
    if len(found) < 2:
        return None
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes = figure.subplots()
        corners = [(spent, 100 * estimate.value) for _, spent, estimate in found]
        edge = [corners[at] for at in front(corners)]
        steps: dict[str, Any] = {"drawstyle": "steps-post", "solid_capstyle": "round"}
        axes.plot(*zip(*edge, strict=True), color=GREY, linewidth=6, alpha=0.3, **steps)
        for method, spent, estimate in found:
            _dot(axes, method, spent, 100 * estimate.value, along=_ends(estimate))
        for method, estimate in flat:
            axes.axhline(100 * estimate.value, color=GREY, linestyle=look(method).line, linewidth=1.2)
        _cost_axis(axes, [spent for _, spent, _ in found], unit)
        axes.set_ylabel("mean quality, %")
        axes.set_title(f"Quality against {unit} ({_tasks(len(rows))}; thick line: Pareto front)", loc="left")
        marks = [(label(method), *corner) for (method, _, _), corner in zip(found, corners, strict=True)]
        lines = [(spent, 100 * estimate.low, spent, 100 * estimate.high) for _, spent, estimate in found]
        for (x, y), (next_x, next_y) in pairwise(edge):
            lines += [(x, y, next_x, y), (next_x, y, next_x, next_y)]
        place(
            figure, axes, marks, lines, [(label(method), 100 * estimate.value) for method, estimate in flat]
        )
    return figure


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the (cost, quality) points that no other point beats, by rising cost."""
    best, kept = -math.inf, []
    for at in sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1])):
        if points[at][1] > best:
            best = points[at][1]
            kept.append(at)
    return kept


def strips(methods: Sequence[str]) -> list[list[str]]:
    """The methods in the order given, in equal parts of few lines, full fine-tuning in each."""
    others = [name for name in methods if name != "full"]
    parts = np.array_split(np.array(others, dtype=object), max(1, math.ceil(len(others) / MOST_LINES)))
    return [[*(["full"] if "full" in methods else []), *part.tolist()] for part in parts]


def name_lines(figure: Figure | SubFigure, methods: Sequence[str]) -> None:
    """A legend over the figure: the methods' names beside their lines."""
    handles = [
        Line2D([], [], color=look(name).colour, linestyle=look(name).line, label=label(name))
        for name in methods
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, handlelength=3)


def phases(rows: Board) -> Figure | None:
    """Where the seconds of a cell went: phases stacked, a bar a method; means over seeds, then over tasks.

    Of tasks that lack a phase that others have, as an earlier version measured fewer, nothing is shown.
    """
    spent: dict[str, dict[str, float]] = {}
    whole = _with_all_phases(rows) or rows
    for method in reversed(methods_of(whole)):
        tasks = [own[method].timed for own in whole.values() if own[method].timed]
        names = {name for cells in tasks for cell in cells for name in cell.phases}
        spent[method] = {
            name: fmean(
                fmean(cell.phases[name].seconds if name in cell.phases else 0.0 for cell in cells)
                for cells in tasks
            )
            for name in names
        }
    known = list(PHASES)
    seen = {name for own in spent.values() for name in own}
    if not seen:
        return None
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, max(HEIGHT, 1.6 + 0.4 * len(spent))))
        axes = figure.subplots()
        start = dict.fromkeys(spent, 0.0)
        for name in sorted(seen, key=lambda name: (known.index(name) if name in PHASES else 99, name)):
            widths = [own.get(name, 0.0) for own in spent.values()]
            left, colour = list(start.values()), PHASES.get(name, OTHER_PHASE)
            axes.barh(range(len(spent)), widths, left=left, height=0.7, color=colour, label=label(name))
            start = {method: start[method] + own.get(name, 0.0) for method, own in spent.items()}
        for line, total in enumerate(start.values()):
            axes.annotate(
                words.seconds(total), (total, line), (5, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(range(len(spent)), [label(method) for method in spent])
        axes.margins(x=0.18)
        axes.set_xlim(left=0)
        axes.grid(axis="x", color="#DDDDDD")
        some = f"; {len(rows) - len(whole)} more were measured with fewer phases" * (len(whole) < len(rows))
        axes.set_xlabel(f"seconds a cell ({_tasks(len(whole))}{some})")
        figure.legend(loc="outside upper center", ncols=min(len(seen), 5), frameon=False, handlelength=1)
    return figure


def _with_all_phases(rows: Board) -> Board:
    """The tasks whose cells of each method all have the phases that cells of it have anywhere."""
    had: dict[str, set[str]] = {}
    for own in rows.values():
        for method, row in own.items():
            had.setdefault(method, set()).update(*(PHASES.keys() & cell.phases.keys() for cell in row.timed))
    return {
        task: own
        for task, own in rows.items()
        if all(had[method] <= cell.phases.keys() for method, row in own.items() for cell in row.timed)
    }


def label(name: str) -> str:
    """A name as a figure can show it: the font's letters only, shortened."""
    text = printable(name).encode("ascii", "replace").decode()
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _dot(
    axes: Axes,
    method: str,
    x: float,
    y: float,
    *,
    across: tuple[float, float] | None = None,
    along: tuple[float, float] | None = None,
) -> None:
    colour, marker = look(method).colour, look(method).marker
    if across:
        axes.plot(across, (y, y), color=colour, linewidth=2, solid_capstyle="round")
    if along:
        axes.plot((x, x), along, color=colour, linewidth=1.2, alpha=0.7)
    axes.plot([x], [y], marker=marker, markersize=9, color=colour, markeredgecolor="white")


def _ends(estimate: Interval) -> tuple[float, float]:
    return 100 * estimate.low, 100 * estimate.high


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"mean over {count} tasks"


def _cost_axis(axes: Axes, costs: Sequence[float], unit: str) -> None:
    """Logarithmic only where the costs span a factor of eight: a narrow log axis has too few labels."""
    if max(costs) > 8 * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.margins(x=0.16, y=0.12)
    axes.grid(color="#DDDDDD")
    axes.set_xlabel(unit)
