"""A study's figure on one task: quality along an axis, quality of each method, or training losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report import chart
from harness.report.losses import losses
from harness.report.palette import BLUE, GREEN, GREY, LOOKS, ORANGE, VERMILLION, Look
from harness.report.rows import board
from harness.result import Result
from harness.study.design import Found, Place, Study
from harness.study.evidence import count

SPARE = tuple(
    Look(colour, marker, "-")
    for colour, marker in zip((BLUE, GREEN, ORANGE, VERMILLION), "o^sD", strict=True)
)
"""Looks of lines that are no method's, by their place among the study's lines."""

GAP = 0.012
"""How far apart lines stand at one place on the axis, as a share of its width: intervals would overlap."""


def figure(study: Study, task: str, found: Found) -> Figure | None:
    """The study's chart on one task; None where there is nothing to show."""
    if not found.cells:
        return None
    if study.chart == "dots":
        cells = [cell for place in found.cells.values() for cell in place.values()]
        return chart.quality(task, board(cells)[task])
    with style.context(["default", chart.STYLE]):
        made = Figure(figsize=(chart.WIDTH, chart.HEIGHT))
        if study.chart == "losses":
            _losses(made, study, found)
        else:
            _curves(made, study, found)
        title = f"{study.title}: {chart.label(task)} ({_seeds(found)})"
        made.suptitle(title, fontsize=12, x=0.01, ha="left")
        shown = made.axes[0].get_legend_handles_labels()
        if len(shown[0]) > 1:
            made.legend(*shown, loc="outside lower center", ncols=4, frameon=False, handlelength=3)
    return made


def _curves(made: Figure, study: Study, found: Found) -> None:
    """Quality with its interval along the axis, a line a series; training seconds beside it."""
    panels: list[Axes] = made.subplots(1, 1 + study.costs, squeeze=False).flatten().tolist()
    lines = [name for name in study.series if found.along(name)]
    values = sorted({value for name in lines for value in found.along(name)})
    spread = (values[-1] / values[0]) ** GAP
    crosses: list[tuple[float, float]] = []
    for at, name in enumerate(lines):
        shift = spread ** (at - (len(lines) - 1) / 2)
        places = found.along(name)
        along = [value * shift for value in places]
        quality = [found.quality(place) for place in places.values()]
        ends = [
            [100 * (one.value - one.low) for one in quality],
            [100 * (one.high - one.value) for one in quality],
        ]
        means = [100 * one.value for one in quality]
        panels[0].errorbar(along, means, yerr=ends, capsize=3, **_line(study, name))
        crosses += [
            (at, mean)
            for at, mean, place in zip(along, means, places.values(), strict=True)
            if place in found.diverged
        ]
        if study.costs:
            seconds = [_seconds(found.timed(place)) for place in places.values()]
            panels[1].plot(list(places), seconds, **_line(study, name))
    if found.without_model is not None:
        panels[0].axhline(100 * found.without_model, color=GREY, linestyle=":", label="no model")
    if crosses:
        label = "a seed diverged (counts as 0%)"
        across, up = zip(*crosses, strict=True)
        panels[0].plot(across, up, "kx", markersize=9, zorder=5, label=label)
    panels[0].set_ylabel("quality, %, with 95% interval")
    if study.costs:
        panels[1].set_ylabel("training seconds")
        panels[1].set_ylim(bottom=0)
    for panel in panels:
        _axis(panel, study, values)


def _losses(made: Figure, study: Study, found: Found) -> None:
    """Training loss against steps and against seconds, mean over seeds."""
    by_step, by_clock = made.subplots(1, 2, sharey=True)
    for name in study.series:
        place = Place(name)
        steps = losses(found.cells.get(place, {}).values())
        clock = losses(found.timed(place))
        if steps is not None:
            options = {
                **_line(study, name),
                "marker": _line(study, name)["marker"] if len(steps) < 10 else None,
            }
            by_step.plot(steps.index, steps["loss"], **options)
            if clock is not None:
                by_clock.plot(clock["seconds"], clock["loss"], **options)
    by_step.set_ylabel("training loss (nats a target token),\nsmoothed over a tenth of the run")
    by_step.set_xlabel("optimizer step")
    by_step.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    by_clock.set_xlabel("training seconds")
    by_step.set_yscale("log")  # what is learnt late is a small part of the first steps' loss
    by_step.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    by_step.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    by_step.yaxis.set_minor_formatter(ticker.NullFormatter())
    for panel in (by_step, by_clock):
        panel.grid(color="#DDDDDD")


def _seeds(found: Found) -> str:
    """How many seeds each place has: "1 seed", or "1 to 3 seeds"."""
    counts = sorted({len(found.runs(place)) for place in found})
    least = f"{counts[0]} to " if counts[0] < counts[-1] else ""
    return least + count(counts[-1], "seed")


def _axis(panel: Axes, study: Study, values: list[float]) -> None:
    panel.set_xscale("log")
    panel.set_xticks(values, [study.tick(value) for value in values])
    panel.xaxis.set_minor_locator(ticker.NullLocator())
    panel.set_xlabel(study.axis)
    panel.grid(color="#DDDDDD")


def _line(study: Study, name: str) -> dict[str, Any]:
    look = LOOKS.get(name) or SPARE[study.series.index(name) % len(SPARE)]
    return {
        "color": look.colour,
        "marker": look.marker,
        "linestyle": look.line,
        "linewidth": 1.6,
        "label": chart.label(name),
    }


def _seconds(cells: Sequence[Result]) -> float:
    """The best seed's: whatever else the machine did can only have added to the others'."""
    return min((cell.phases["train"].seconds for cell in cells), default=math.nan)
