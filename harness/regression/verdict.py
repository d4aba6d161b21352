"""Verdicts, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PASS = "pass"
REGRESSION = "regression"
IMPROVEMENT = "improvement"
INCONCLUSIVE = "inconclusive"
NOT_COMPARABLE = "not comparable"
MISSING = "missing"
FAILED = "failed"
NOT_GATED = "not gated"

WORST_FIRST = (REGRESSION, FAILED, MISSING, NOT_COMPARABLE, INCONCLUSIVE, IMPROVEMENT, PASS, NOT_GATED)
UNTESTED = (FAILED, MISSING, NOT_COMPARABLE)
"""Verdicts of cells of which one side has no scores that would compare."""

EXIT_PASS, EXIT_REGRESSION, EXIT_FAILED, EXIT_INCONCLUSIVE = 0, 1, 3, 4
"""2 is bad usage, as everywhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The figures behind a verdict; scores from 0 to 1, candidate minus baseline.

    Attributes:
        baseline: Mean score over seeds and shared items (and over cells, for a total).
        change: The difference, with `low` and `high` the ends of its 95% interval.
        error: Its standard error.
        p_value: One-sided, of a drop, after Holm's correction over the whole check.
        detectable: The smallest drop that this test would have called in 90%.
        more_items: How many times the items would settle it, None where items alone cannot.
        more_seeds: How many times the seeds would, None where seeds change nothing.
        items: Shared items, over all cells of a total.
        seeds: Seeds a cell has on the side that has fewer.
        identical: Every item scored the same on both sides.
    """

    baseline: float
    candidate: float
    change: float
    low: float
    high: float
    error: float
    p_value: float
    detectable: float
    more_items: float | None
    more_seeds: float | None
    items: int
    seeds: int
    identical: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """The verdict on one cell, or on the total of a method, a task or the whole suite.

    Attributes:
        level: "cell", "method", "task" or "suite".
        cells: How many cells it covers.
        reason: For verdicts without evidence: which field differs, what is missing, why it failed.
        evidence: None where nothing could be tested.
    """

    level: str
    task: str | None
    method: str | None
    verdict: str
    cells: int
    reason: str | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The verdict on one cost of one method, over its tasks.

    Attributes:
        cost: Name in `cost.TOLERANCES`.
        baseline: Mean over the cells compared, in the cost's unit; `candidate` likewise.
        ratio: What is judged: candidate over baseline, above 1 for worse.
        allowed: How far `ratio` may be from 1.
        task: The task it is worst on, where the worst is judged.
        reason: Why it is not gated.
    """

    method: str
    cost: str
    verdict: str
    baseline: float | None = None
    candidate: float | None = None
    ratio: float | None = None
    allowed: float | None = None
    task: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A finished comparison.

    Attributes:
        baseline: What the sides are called; `candidate` likewise.
        margin: Non-inferiority margin, a share of 1.
        changes: Fields of the cells' identities that differ and may.
        new: Cells that the baseline does not have.
        seed_deviation: Standard deviation of a cell's mean between seeds (of its paired difference
            where `paired`); `seed_degrees` says how many degrees of freedom measured it, 0 if assumed.
    """

    baseline: str
    candidate: str
    margin: float
    interleaved: bool
    qualities: tuple[Quality, ...]
    costs: tuple[Cost, ...]
    changes: tuple[str, ...]
    new: tuple[tuple[str, str], ...]
    paired: bool
    seed_deviation: float
    seed_degrees: int

    @property
    def verdict(self) -> str:
        """The worst of all; a check in which no cell compared is a failed one."""
        cells = [one.verdict for one in self.qualities if one.level == "cell"]
        if all(verdict in UNTESTED for verdict in cells):
            return FAILED
        verdicts = [one.verdict for one in self.qualities] + [one.verdict for one in self.costs]
        worst = min(verdicts, key=WORST_FIRST.index)
        return {MISSING: FAILED, NOT_COMPARABLE: INCONCLUSIVE, IMPROVEMENT: PASS, NOT_GATED: PASS}.get(
            worst, worst
        )

    def exit_code(self, *, strict: bool) -> int:
        """0 pass, 1 regression, 3 a cell failed or nothing compared, 4 inconclusive if `strict`, else 0."""
        inconclusive = EXIT_INCONCLUSIVE if strict else EXIT_PASS
        codes = {REGRESSION: EXIT_REGRESSION, FAILED: EXIT_FAILED, INCONCLUSIVE: inconclusive}
        return codes.get(self.verdict, EXIT_PASS)


def worst_first(qualities: Sequence[Quality]) -> list[Quality]:
    """By verdict, then by change, the largest drop first."""
    return sorted(
        qualities,
        key=lambda one: (
            WORST_FIRST.index(one.verdict),
            one.evidence.change if one.evidence else 0.0,
            one.task or "",
            one.method or "",
        ),
    )
