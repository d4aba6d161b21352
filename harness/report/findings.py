"""What the figures of one task show, in sentences: who is ahead, where no difference is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.report import words
from harness.report.rows import Board, Row, paired, without_model
from harness.result import Result
from harness.stats import Interval, overlaps

SHARED = ("task_hash", "budget", "recipe", "model", "data", "device", "precision", "machine", "versions")
"""What results must agree on to be compared."""


def findings(rows: Mapping[str, Row]) -> list[str]:
    """Sentences on the best method, on full fine-tuning and on the gain over zero-shot."""
    scored = {method: row.quality for method, row in rows.items() if row.quality}
    if len(scored) < 2:
        return []
    best = max(scored, key=lambda method: scored[method].value)
    said = [
        f"{words.code(best)} scores highest, {words.interval(scored[best])}.",
        *_against(rows, scored, best),
    ]
    if "full" in scored and best != "full":
        said += [
            f"Full fine-tuning scores {words.interval(scored['full'])}.",
            *_against(rows, scored, "full"),
        ]
    if "zero-shot" in scored:
        said += _gains(scored)
    if rule := without_model(rows):
        said += _beside(*rule, scored)
    return said


def cautions(rows: Board) -> list[str]:
    """Sentences on results that were measured under different conditions and do not compare."""
    said = []
    for task, own in rows.items():
        cells = [cell for row in own.values() for cell in row.ok]
        mixed = [name for name in SHARED if len(_distinct(cells, name)) > 1]
        if mixed:
            said.append(
                f"The results of {words.code(task)} differ in {words.listed(mixed)}: they do not compare, "
                "and the figures of this report that join them mean little. Run them again under one setting."
            )
    return said


def _against(rows: Mapping[str, Row], scored: Mapping[str, Interval], reference: str) -> list[str]:
    """How the other methods stand to one: by intervals first, item by item where those overlap."""
    below: list[str] = []
    above: list[str] = []
    same: list[str] = []
    said: list[str] = []
    name = words.code(reference)
    for method, quality in scored.items():
        if method == reference:
            continue
        between = paired(rows, method, reference)
        if not overlaps(quality, scored[reference]):
            (above if quality.value > scored[reference].value else below).append(method)
        elif between and (between.low > 0 or between.high < 0):
            where = "ahead" if between.value > 0 else "behind"
            said.append(
                f"{words.code(method)} and {name} overlap, yet item by item {words.code(method)} is {where}: "
                f"{words.points(between)}."
            )
        else:
            same.append(method)
    if same:
        count = min(rows[method].items for method in (*same, reference))
        verb = "and {} overlap" if len(same) == 1 else "each overlap with {}"
        said.insert(0, f"{_names(same)} {verb.format(name)}: no difference shown at n={count}.")
    if above:
        said.append(f"Above {name}, without overlap: {_names(above)}.")
    if below:
        said.append(f"Below {name}, without overlap: {_names(below)}.")
    return said


def _gains(scored: Mapping[str, Interval]) -> list[str]:
    zero = scored["zero-shot"]
    better = [method for method, quality in scored.items() if quality.low > zero.high]
    worse = [method for method, quality in scored.items() if quality.high < zero.low]
    said = [
        f"Beat `zero-shot` ({words.interval(zero)}) without overlap: {_names(better)}."
        if better
        else f"No method is shown to beat `zero-shot` ({words.interval(zero)}): every interval reaches it."
    ]
    if worse:
        said.append(f"Worse than `zero-shot`, without overlap: {_names(worse)}.")
    return said


def _beside(rule: str, score: float, scored: Mapping[str, Interval]) -> list[str]:
    """Which methods are not shown to do better than a rule that needs no model."""
    behind = [method for method, quality in scored.items() if quality.low <= score]
    known = f"the best rule without a model ({words.escaped(rule)}, {words.percent(score)})"
    return [f"Not shown to beat {known}: {_names(behind)}." if behind else f"Every method beats {known}."]


def _names(methods: Sequence[str]) -> str:
    return words.listed([words.code(method) for method in methods])


def _distinct(cells: Sequence[Result], name: str) -> list[Any]:
    """The different values under one key of the identities that have it."""
    found: list[Any] = []
    for cell in cells:
        value = cell.identity.get(name)
        if value is not None and value not in found:
            found.append(value)
    return found
