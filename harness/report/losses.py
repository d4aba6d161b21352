"""How the training loss fell: a figure of every task's curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from harness.report.chart import HEIGHT, STYLE, WIDTH, label, name_lines, strips
from harness.report.palette import look, order
from harness.report.rows import Board, Row
from harness.result import Result

if TYPE_CHECKING:
    Curves = Mapping[str, pd.Series[float]]
    """Loss by step, of each method."""


def figure(rows: Board) -> Figure | None:
    """Training loss against step, mean over seeds, smoothed over a tenth of the run; None without any.

    A panel a task, several for one with many methods, which then have their scale in common.
    """
    found = {task: curves for task, own in rows.items() if (curves := _curves(own))}
    if not found:
        return None
    shared = [(task, curves, strips(list(curves))) for task, curves in found.items()]
    count = sum(len(parts) for _, _, parts in shared)
    columns = 2 if count in (2, 4) else min(count, 3)
    height = math.ceil(count / columns)
    with style.context(["default", STYLE]):
        drawn = Figure(figsize=(WIDTH, max(HEIGHT, 2.4 * height + 1.2)))
        panels = drawn.subplots(height, columns, squeeze=False).flatten().tolist()
        for panel in panels[count:]:
            panel.remove()
        left = iter(panels)
        for task, curves, parts in shared:
            top = 1.05 * max(float(steps.max()) for steps in curves.values())
            for number, methods in enumerate(parts, 1):
                part = f", {number} of {len(parts)}" if len(parts) > 1 else ""
                _panel(next(left), label(task) + part, {name: curves[name] for name in methods}, top)
        drawn.supxlabel("optimizer step", fontsize=11)
        drawn.supylabel("training loss (nats a target token)", fontsize=11)
        name_lines(drawn, order({method for curves in found.values() for method in curves}))
    return drawn


def losses(cells: Iterable[Result]) -> pd.DataFrame | None:
    """Mean training `loss` and train-clock `seconds` over cells, by step; None without any.

    The loss is smoothed over a tenth of the run.
    """
    known = [
        (point.step, point.loss, point.seconds)
        for cell in cells
        for point in cell.curve
        if point.loss is not None
    ]
    if not known:
        return None
    steps = pd.DataFrame(known, columns=["step", "loss", "seconds"]).groupby("step").mean()
    steps["loss"] = steps["loss"].rolling(max(1, len(steps) // 10), min_periods=1, center=True).mean()
    return steps


def _curves(rows: Mapping[str, Row]) -> Curves:
    found = {method: losses(row.ok) for method, row in rows.items()}
    return {method: steps["loss"] for method, steps in found.items() if steps is not None}


def _panel(panel: Any, title: str, curves: Curves, top: float) -> None:
    for method, steps in curves.items():
        own = look(method)
        dot = own.marker if len(steps) == 1 else None
        panel.plot(steps, color=own.colour, linestyle=own.line, marker=dot, linewidth=1.6)
    panel.set_title(title, loc="left", fontsize=9)  # a task's longest name and the number of its part fit
    panel.set_ylim(0, top or 1)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.grid(color="#DDDDDD")
