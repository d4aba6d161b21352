"""Where the methods stand against the references: the comparisons of a report as a table and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from harness.paired import ASSUMED_SEED_DEVIATION, FEWEST
from harness.report import words
from harness.report.comparisons import BETTER, REFERENCES, UNDECIDED, WORSE, Comparison, Comparisons
from harness.report.rows import Board

MOST_NAMED = 6
"""Methods without a shown difference that a sentence lists; more of them are all that it does not name."""


def comparison_table(
    comparisons: Comparisons, task: str | None, methods: Sequence[str]
) -> pd.DataFrame | None:
    """How the methods stand to every reference on one task, or over all; None where nothing compares."""
    references = [name for name in REFERENCES if name in methods]
    most = max((one.tasks for one in comparisons.found.get(task, {}).values()), default=0)
    lines = []
    for method in methods:
        found = [comparisons.get(task, method, reference) for reference in references]
        if any(found):
            line = {"method": words.code(method)}
            for reference, one in zip(references, found, strict=True):
                line[f"against {words.code(reference)}"] = _compared(one, most)
            lines.append(line)
    return pd.DataFrame(lines) if lines else None


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
        repeated = [
            task
            for task, own in rows.items()
            if any(len(row.runs) > 1 and row.seeded for row in own.values())
        ]
        where = f" of {words.names(repeated)}, and taken for the other tasks too" * (
            len(repeated) < len(rows)
        )
        said = (
            f"Between seeds a mean moves by {100 * known.variance**0.5:.1f} points (standard deviation, "
            f"without what both methods share), measured on the seeds that ran{where}"
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


def _standing(found: Mapping[str, Comparison]) -> list[str]:
    parts: list[str] = []
    for verdict in (BETTER, WORSE, UNDECIDED):
        own = {method: one for method, one in found.items() if one.verdict == verdict}
        if own:
            needed = [one.detectable for one in own.values() if one.detectable is not None]
            rest = verdict == UNDECIDED and len(own) > MOST_NAMED
            counted = f"{'the other' if parts else 'all'} {len(own)} methods"
            who = counted if rest else words.names(list(own))
            parts.append(f"{verdict}: {who}{_range(needed)}")
    return parts


def _compared(one: Comparison | None, most: int) -> str:
    if one is None:
        return words.ABSENT
    if one.identical:
        return f"{one.verdict}: every item the same"
    needed = "" if one.detectable is None else f", needed {100 * one.detectable:.1f}"
    difference = f"{words.points(one.difference, unit='')}, {words.p_value(one.p_value)}"
    tasks = f", {one.tasks} tasks" if one.tasks < most else ""
    return f"{one.verdict}: {difference}{needed}{tasks}"


def _range(needed: Sequence[float]) -> str:
    """From which difference on it would have been shown, in points."""
    if not needed:
        return ""
    ends = list(dict.fromkeys(f"{100 * end:.1f}" for end in (min(needed), max(needed))))
    return f" ({' to '.join(ends)} points would have been)"
