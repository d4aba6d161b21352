"""Which method to use, as far as the figures show: the answer at a report's head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from harness.report import words
from harness.report.comparisons import BETTER, REFERENCES, WORSE, Comparisons
from harness.report.rows import Board, Row, mean, methods_of

*ANCHORS, UNTRAINED = REFERENCES
"""What a method has to keep up with, the first of them that ran; and what training has to beat."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The methods of one task, or of all together, by what is shown of them.

    Attributes:
        anchor: The method that they are held against.
        fit: Shown to be better than the untrained model, where that ran, and by their own 95% interval not
            behind the anchor; by falling quality. Not to be shown worse, with what a correction for many
            comparisons leaves of the error, would be too little to recommend a method.
        gained: Whether any is shown to be better than the untrained model, where that ran.
        between: Shown to be better than the untrained model, and by their own interval behind the anchor, but
            not shown to be worse.
        worse: Shown to be worse than the anchor.
        behind: Of those that fit, how far behind the anchor each may be by its own 95% interval, 0 to 1.
    """

    anchor: str
    fit: tuple[str, ...]
    gained: bool
    between: tuple[str, ...]
    worse: tuple[str, ...]
    behind: Mapping[str, float]


def choice(quality: Mapping[str, float], comparisons: Comparisons, task: str | None) -> Choice | None:
    """What is shown of methods; None unless one was compared with an anchor.

    Args:
        quality: Mean score by method.
        comparisons: Those of the report.
        task: None for all tasks together.
    """
    anchor = next((name for name in ANCHORS if name in quality), None)
    if anchor is None:
        return None
    beside = {name: one for name in quality if (one := comparisons.get(task, name, anchor))}
    if not beside:
        return None
    ahead = {name: comparisons.get(task, name, UNTRAINED) for name in (anchor, *beside)}
    worse = [name for name, one in beside.items() if one.verdict == WORSE]
    gained = [
        name
        for name, one in ahead.items()
        if name not in worse and (UNTRAINED not in quality or (one is not None and one.verdict == BETTER))
    ]
    gained.sort(key=lambda name: -quality[name])
    fit = [name for name in gained if name == anchor or beside[name].difference.high >= 0]
    return Choice(
        anchor=anchor,
        fit=tuple(fit),
        gained=any(one is not None and one.verdict == BETTER for one in ahead.values()),
        between=tuple(name for name in gained if name not in fit),
        worse=tuple(worse),
        behind={name: max(0.0, -beside[name].difference.low) for name in fit if name in beside},
    )


def over_all(whole: Board, comparisons: Comparisons) -> list[str]:
    """The answer over several tasks, in sentences; none where methods were not compared over them.

    Args:
        whole: The part of the board without gaps.
        comparisons: Those of the report.
    """
    own = {method: [task[method] for task in whole.values()] for method in methods_of(whole)}
    quality = {name: fmean(row.quality.value for row in rows if row.quality) for name, rows in own.items()}
    found = choice(quality, comparisons, None)
    if found is None:
        return []
    anchor, tasks = words.code(found.anchor), f"Over {len(whole)} tasks"
    if not found.fit and not found.gained:
        return [f"{tasks} no method is shown to be better than the untrained model."]
    gained = "are shown to be better than the untrained model, and " if UNTRAINED in quality else ""
    scored = [f"{words.code(name)} ({words.percent(quality[name])})" for name in found.fit]
    listed = words.listed(scored) if scored else "none"
    said = [f"{tasks} {gained}may by their 95% intervals be as good as {anchor}: {listed}."]
    if found.behind:
        said += _cheapest({name: own[name] for name in found.fit}, own[found.anchor], anchor)
        far = [f"{words.code(name)} {100 * most:.1f} points" for name, most in found.behind.items()]
        said += [f"By the same intervals they may still be behind {anchor} by up to: {', '.join(far)}."]
    if found.between:
        between = words.names(found.between)
        said.append(f"By such an interval behind {anchor}, though not shown to be: {between}.")
    if found.worse:
        said.append(f"Shown to be worse than {anchor}: {words.names(found.worse)}.")
    return said


def by_task(rows: Board, comparisons: Comparisons) -> pd.DataFrame | None:
    """The answer on each task, a line a task; None where no method was compared with an anchor."""
    lines = []
    for task, own in rows.items():
        quality = {method: row.quality.value for method, row in own.items() if row.quality}
        found = choice(quality, comparisons, task)
        if found is None:
            continue
        best = max(quality, key=lambda name: quality[name])
        fit = {name: [own[name]] for name in found.fit}
        quickest, leanest = (_least(fit, cost) for cost in (_seconds, _peak))
        lines.append(
            {
                "task": words.code(task),
                "scores highest": f"{words.code(best)}, {words.percent(quality[best])}",
                "fit": words.listed([_fit(name, found) for name in found.fit]) if found.fit else "none",
                "fastest of them": f"{words.code(quickest[0])}, {words.seconds(quickest[1])}"
                if quickest
                else words.ABSENT,
                "least memory of them": f"{words.code(leanest[0])}, {words.gigabytes(leanest[1])}"
                if leanest
                else words.ABSENT,
            }
        )
    return pd.DataFrame(lines) if lines else None


def _fit(name: str, found: Choice) -> str:
    far = found.behind.get(name)
    return words.code(name) if far is None else f"{words.code(name)} ({100 * far:.1f})"


def _cheapest(fit: Mapping[str, Sequence[Row]], anchor: Sequence[Row], name: str) -> list[str]:
    """A sentence on which of them trains fastest, and which in the least memory."""
    parts: list[str] = []
    named = None
    for cost, show, what in (
        (_seconds, words.seconds, "trains fastest"),
        (_peak, words.gigabytes, "in the least memory"),
    ):
        least, whole = _least(fit, cost), cost(anchor)
        if least and whole:
            beside = f", {words.share(least[1] / whole)} of {name}'s" if least[1] != whole else ""
            who = "" if least[0] == named else f"{words.code(least[0])} "
            parts.append(f"{who}{what} ({show(least[1])}{beside})")
            named = least[0]
    return [f"Of these {words.listed(parts)}."] if parts else []


def _least(
    fit: Mapping[str, Sequence[Row]], cost: Callable[[Sequence[Row]], float | None]
) -> tuple[str, float] | None:
    """The method of the lowest cost of those whose cost is known: what trains nothing has none."""
    known = {name: spent for name, rows in fit.items() if (spent := cost(rows)) is not None}
    return min(known.items(), key=lambda one: one[1]) if known else None


def _seconds(rows: Sequence[Row]) -> float | None:
    return mean([row.seconds for row in rows])


def _peak(rows: Sequence[Row]) -> float | None:
    return mean([row.peak_bytes for row in rows])
