"""The scaling benchmark's figure: measured points over the formula's lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.common import Figures
from benchmarks.memory import TrainingBytes
from harness.report.chart import HEIGHT, STYLE, WIDTH
from harness.report.palette import look, order


def scaling(stored: Mapping[str, Any]) -> Figure:
    """Seconds and peak gigabytes along one axis, whose scale is logarithmic."""
    rows: Sequence[Figures] = stored["rows"]
    axis = stored["options"]["axis"]
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        left, right = figure.subplots(ncols=2)
        _draw(left, rows, lambda row: row["seconds"], lambda row: row["formula_seconds"])
        left.set_ylabel("seconds of the whole run" if axis == "examples" else "seconds a step")
        _draw(right, rows, lambda row: row["peak_bytes"] / 1e9, lambda row: formula_bytes(row) / 1e9)
        right.set_ylabel("peak GB over the bare process")
        for axes in (left, right):
            axes.set_ylim(bottom=0)
            axes.set_xlabel(axis)
            axes.set_xscale("log")
            axes.set_xticks(sorted({row["size"] for row in rows}))
            axes.xaxis.set_major_formatter(ticker.ScalarFormatter())
            axes.xaxis.set_minor_locator(ticker.NullLocator())
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        figure.suptitle("points: measured; lines: the formula")
    return figure


def _draw(
    axes: Axes,
    rows: Sequence[Figures],
    found: Callable[[Figures], float],
    formula: Callable[[Figures], float],
) -> None:
    for method in order({row["method"] for row in rows}):
        own, seen = [row for row in rows if row["method"] == method], look(method)
        sizes = [row["size"] for row in own]
        axes.plot(sizes, [formula(row) for row in own], color=seen.colour, linestyle=seen.line, linewidth=1)
        axes.plot(
            sizes, [found(row) for row in own], color=seen.colour, marker=seen.marker, linestyle="",
            label=method,
        )  # fmt: skip


def formula_bytes(row: Figures) -> int:
    """The formula's peak of one point."""
    return TrainingBytes(**row["formula_bytes"]).peak
