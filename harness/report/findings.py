"""What the figures show, in sentences: who is ahead, where no difference is shown, what does not compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.paired import ASSUMED_SEED_DEVIATION, FEWEST
from harness.report import words
from harness.report.comparisons import BETTER, REFERENCES, UNDECIDED, WORSE, Comparison, Comparisons
from harness.report.rows import Board, Row, without_model
from harness.result import Result
from harness.stats import Interval

SHARED = ("task_hash", "budget", "recipe", "model", "data", "device", "precision", "machine", "versions")
"""What results must agree on to be compared."""


def findings(task: str, rows: Mapping[str, Row], comparisons: Comparisons) -> list[str]:
    """Sentences on the best method, on how each stands to the references, and on a rule without a model."""
    scored = {method: row.quality for method, row in rows.items() if row.quality}
    if len(scored) < 2:
        return []
    best = max(scored, key=lambda method: scored[method].value)
    said = [
        f"{words.code(best)} scores highest, {words.interval(scored[best])}.",
        *standings(comparisons, task, list(scored)),
    ]
    if rule := without_model(rows):
        said += _beside(*rule, scored)
    return said


def standings(comparisons: Comparisons, task: str | None, methods: Sequence[str]) -> list[str]:
    """A sentence on each reference: which methods are better, which worse, of which no difference is shown.

    Args:
        comparisons: Those of the report.
        task: None for all tasks together.
        methods: Those to speak of, in the order in which they are named.
    """
    said = []
    for reference in REFERENCES:
        found = {method: comparisons.get(task, method, reference) for method in methods}
        known = {method: one for method, one in found.items() if one}
        if known:
            said.append(f"Against {words.code(reference)}: {'; '.join(_standing(known))}.")
    return said


def spread(rows: Board, comparisons: Comparisons) -> str:
    """Sentences on how much seeds move, and whether that was measured or assumed."""
    known, assumed = comparisons.spread, f"{100 * ASSUMED_SEED_DEVIATION:.1f} points"
    if known.measured:
        said = (
            f"Between seeds a mean moves by {100 * known.variance**0.5:.1f} points (standard deviation, "
            "without what both methods share), measured on the seeds that ran"
        )
        said += "." if known.measured >= FEWEST else f" and, as these are few, an assumed {assumed}."
    else:
        said = (
            f"No two methods ran two seeds here: how much a mean moves between seeds is assumed, {assumed}, "
            "and taken as uncertain. `--seeds 3` measures it, and shows smaller differences."
        )
    rows_of_one = [row for own in rows.values() for row in own.values() if len(row.runs) == 1 and row.seeded]
    alone = " The interval of a quality from a single seed does not hold what another seed would change."
    return said + alone * bool(rows_of_one)


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


def _standing(found: Mapping[str, Comparison]) -> list[str]:
    parts = []
    for verdict in (BETTER, WORSE, UNDECIDED):
        own = {method: one for method, one in found.items() if one.verdict == verdict}
        if own:
            needed = [one.detectable for one in own.values() if one.detectable is not None]
            parts.append(f"{verdict}: {_names(list(own))}{_range(needed)}")
    return parts


def _range(needed: Sequence[float]) -> str:
    """From which difference on it would have been shown, in points."""
    if not needed:
        return ""
    ends = list(dict.fromkeys(f"{100 * end:.1f}" for end in (min(needed), max(needed))))
    return f" ({' to '.join(ends)} points would have been)"


def _beside(rule: str, score: float, scored: Mapping[str, Interval]) -> list[str]:
    """Which methods' intervals are not above a rule that needs no model."""
    behind = [method for method, quality in scored.items() if quality.low <= score]
    known = f"the best rule without a model ({words.escaped(rule)}, {words.percent(score)})"
    return (
        [f"Not above {known} with the whole interval: {_names(behind)}."]
        if behind
        else [f"The whole interval of every method is above {known}."]
    )


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
