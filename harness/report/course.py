"""How quality grew with training, from the checkpoints of each cell: a figure a task, and sentences on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from matplotlib import style
from matplotlib.figure import Figure

from harness.report import words
from harness.report.chart import HEIGHT, STYLE, WIDTH, label, name_lines
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
    """Scores on dev against examples and against train seconds, a line a method; None without checkpoints."""
    found = courses(rows)
    if not found:
        return None
    with style.context(["default", STYLE]):
        drawn = Figure(figsize=(WIDTH, HEIGHT))
        by_examples, by_seconds = drawn.subplots(1, 2, sharey=True)
        for method, own in found.items():
            own_look, scores = look(method), [100 * mark.score for mark in own]
            for panel, costs in (
                (by_examples, [mark.examples for mark in own]),
                (by_seconds, [mark.seconds for mark in own]),
            ):
                # Unclipped: a score of zero or the start of training is on an axis.
                panel.plot(
                    costs, scores, color=own_look.colour, linestyle=own_look.line, marker=own_look.marker,
                    markersize=5, clip_on=False,
                )  # fmt: skip
        goal = target(rows)
        for panel, unit in ((by_examples, "training examples"), (by_seconds, "training seconds")):
            if goal is not None:
                panel.axhline(100 * goal, color=GREY, linestyle=":", linewidth=1.2)
            panel.set_xlabel(unit)
            panel.set_xlim(left=0)
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(color="#DDDDDD")
        by_examples.set_ylim(bottom=0)
        dotted = f", dotted: {100 * SHARE:.0f}% of full's last" if goal is not None else ""
        by_examples.set_ylabel(f"mean score on dev, %{dotted}")
        by_examples.set_title(label(task), loc="left")
        name_lines(drawn, list(found))
    return drawn


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
    return [
        f"{100 * SHARE:.0f}% of full's last score, {words.percent(goal)}, was met at the checkpoint after: "
        f"{', '.join(met)}.",
        *([f"Not met by {words.listed(short)}."] if short else []),
    ]


def _items(rows: Mapping[str, Row]) -> int:
    return min(one.n for row in rows.values() for cell in row.ok for one in cell.checkpoints)
