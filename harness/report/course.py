"""How quality grew with training, from the checkpoints of each cell: a figure a task, and sentences on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report import words
from harness.report.chart import HEIGHT, STYLE, WIDTH, label, name_lines, strips
from harness.report.palette import GREY, look
from harness.report.rows import Row

SHARE = 0.9
"""Of full fine-tuning's last score: what the other methods' seconds are counted to."""

DEVIATIONS = 1.96
"""Standard deviations that full fine-tuning must have gained for that share to mean something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A checkpoint's means over the seeds of one method; of `seconds` over those of one machine."""

    examples: float
    seconds: float
    score: float


def marks(row: Row) -> list[Mark]:
    """The checkpoints of the seeds that have some: the start, and as many up to the end as all of them have.

    They are at the same shares of every run, if at other steps where a clock ended it.
    """
    runs, clocks = (
        [cell.checkpoints for cell in cells if len(cell.checkpoints) > 1] for cells in (row.ok, row.timed)
    )
    if not clocks:
        return []
    return [
        Mark(
            examples=fmean(own[place].examples for own in runs),
            seconds=fmean(own[place].seconds for own in clocks),
            score=fmean(own[place].score for own in runs),
        )
        for place in (0, *range(1 - min(map(len, runs)), 0))
    ]


def courses(rows: Mapping[str, Row]) -> dict[str, list[Mark]]:
    """The marks of every method of a task that has some."""
    found = {method: marks(row) for method, row in rows.items()}
    return {method: own for method, own in found.items() if own}


def figure(task: str, rows: Mapping[str, Row]) -> Figure | None:
    """Scores on dev against examples and against train seconds, a line a method; None without checkpoints.

    Many methods are shared out over strips of two panels, which have full fine-tuning and the axes in common.
    """
    found = courses(rows)
    if not found:
        return None
    goal, shared = target(rows), strips(list(found))
    every = [mark for own in found.values() for mark in own]
    most_examples = 1.05 * max(mark.examples for mark in every)
    most_seconds = 1.05 * max(mark.seconds for mark in every)
    top = 105 * max([mark.score for mark in every] + [goal or 0])
    with style.context(["default", STYLE]):
        drawn = Figure(figsize=(WIDTH, HEIGHT * len(shared)))
        parts = drawn.subfigures(len(shared), 1, squeeze=False).flatten()
        for part, methods in zip(parts, shared, strict=True):
            by_examples, by_seconds = part.subplots(1, 2, sharey=True)
            for method in methods:
                _lines(by_examples, by_seconds, method, found[method])
            for panel, unit in ((by_examples, "training examples"), (by_seconds, "training seconds")):
                if goal is not None:
                    panel.axhline(100 * goal, color=GREY, linestyle=":", linewidth=1.2)
                panel.set_xlabel(unit)
                panel.xaxis.get_major_locator().set_params(integer=True)
                panel.grid(color="#DDDDDD")
            by_examples.set_xlim(0, most_examples)
            by_seconds.set_xlim(0, most_seconds)
            by_examples.set_ylim(0, top or 1)
            dotted = f", dotted: {100 * SHARE:.0f}% of full's last" if goal is not None else ""
            by_examples.set_ylabel(f"mean score on {_items(rows)} dev items, %{dotted}")
            by_examples.set_title(label(task), loc="left")
            name_lines(part, methods)
    return drawn


def _lines(by_examples: Axes, by_seconds: Axes, method: str, own: Sequence[Mark]) -> None:
    one = look(method)
    for panel, costs in (
        (by_examples, [mark.examples for mark in own]),
        (by_seconds, [mark.seconds for mark in own]),
    ):
        # Unclipped: a score of zero or the start of training is on an axis.
        panel.plot(
            costs, [100 * mark.score for mark in own], color=one.colour, linestyle=one.line,
            marker=one.marker, markersize=5, clip_on=False,
        )  # fmt: skip


def target(rows: Mapping[str, Row]) -> float | None:
    """`SHARE` of full fine-tuning's last score; None unless it is shown to have gained on these items.

    The variance of scores between 0 and 1 with mean p is p (1 - p) at most, here over the items alone:
    seeds share them.
    """
    own = courses(rows).get("full")
    if own is None:
        return None
    first, last = own[0].score, own[-1].score
    spread = math.sqrt((first * (1 - first) + last * (1 - last)) / _items(rows))
    return SHARE * last if last - first > DEVIATIONS * spread else None


def said(rows: Mapping[str, Row]) -> list[str]:
    """Sentences on the seconds that each method took to a share of full fine-tuning's last score."""
    found = courses(rows)
    if "full" not in found or len(found) < 2:
        return []
    first, last = found["full"][0].score, found["full"][-1].score
    goal = target(rows)
    if goal is None:
        return [
            f"`full` went from {words.percent(first)} to {words.percent(last)} on {_items(rows)} development "
            "items, which shows no gain: no time to a share of that is given."
        ]
    reached = {
        method: next((mark for mark in own if mark.score >= goal), None) for method, own in found.items()
    }
    met = [f"{words.code(name)} {words.seconds(mark.seconds)}" for name, mark in reached.items() if mark]
    short = [
        f"{words.code(name)} ({words.percent(found[name][-1].score)})"
        for name, mark in reached.items()
        if not mark
    ]
    wanted = f"full's last score, {words.percent(goal)} on {_items(rows)} development items"
    return [
        f"{100 * SHARE:.0f}% of {wanted}, was met at the checkpoint after: {', '.join(met)}.",
        *([f"Not met by {words.listed(short)}."] if short else []),
    ]


def _items(rows: Mapping[str, Row]) -> int:
    return min(one.n for row in rows.values() for cell in row.ok for one in cell.checkpoints)
