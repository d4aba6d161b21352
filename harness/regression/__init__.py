"""Two sets of results, compared cell by cell: verdicts on quality and cost. Works without torch.

What is not covered: text that a method generates, beyond its scores; tasks that the baseline does not
have; and drops smaller than the evidence shows, which are `inconclusive` and never a pass.
"""

from __future__ import annotations

from harness.errors import UsageError
from harness.regression import cost, quality
from harness.regression.conditions import changes, obstacles
from harness.regression.outcome import Outcome, Side, outcome, read_results
from harness.regression.quality import Pair
from harness.regression.verdict import FAILED, MISSING, NOT_COMPARABLE, Check, Quality

__all__ = ["MARGIN", "Check", "Outcome", "Side", "compare", "outcome", "read_results"]

MARGIN = 0.02


def compare(baseline: Side, candidate: Side, *, margin: float = MARGIN, interleaved: bool = False) -> Check:
    """Compare every cell of the baseline with the candidate's.

    Args:
        baseline: Cells that ended ok are expected of the candidate; others are not compared.
        candidate: May hold more cells and other seeds.
        margin: Non-inferiority margin, a share of 1: a pass shows that no more than this was lost.
        interleaved: Whether both sides ran alternately in one job, so that seconds compare.

    Raises:
        UsageError: The margin is not between 0 and 1.
        ResultError: The methods of a task have no seed in common.
    """
    if not 0 < margin < 1:
        raise UsageError(f"a margin of {100 * margin:g} points; it must be above 0 and below 100")
    old, new = baseline.cells(), candidate.cells()
    seeds = {seed for cell in new.values() for seed in cell}
    pairs, qualities = [], []
    for (task, method), before in old.items():
        if all(one.status == "skipped" for one in before.values()):
            continue
        after = new.get((task, method), {})
        problem = _problem(before, after, seeds)
        if problem is None:
            pairs.append(Pair(task=task, method=method, baseline=before, candidate=after))
        else:
            verdict, reason = problem
            qualities.append(
                Quality(level="cell", task=task, method=method, verdict=verdict, cells=1, reason=reason)
            )
    judged, spread = quality.judge(pairs, margin)
    differing = [
        change for pair in pairs for change in changes([*pair.baseline.values(), *pair.candidate.values()])
    ]
    return Check(
        baseline=baseline.name,
        candidate=candidate.name,
        margin=margin,
        interleaved=interleaved,
        qualities=(*qualities, *judged),
        costs=tuple(cost.judge(pairs, interleaved=interleaved)),
        changes=tuple(dict.fromkeys(differing)),
        new=tuple(cell for cell in new if cell not in old),
        paired=any(set(pair.baseline) == set(pair.candidate) for pair in pairs),
        seed_deviation=spread.variance**0.5,
        seed_degrees=spread.measured,
    )


def _problem(
    before: dict[int, Outcome], after: dict[int, Outcome], seeds: set[int]
) -> tuple[str, str] | None:
    """Why this cell cannot be compared, as a verdict and its reason."""
    if not all(one.measured for one in before.values()):
        bad = next(one for one in before.values() if not one.measured)
        return NOT_COMPARABLE, f"the baseline's own cell was {bad.status}: {bad.reason or 'no scores'}"
    if not after:
        return MISSING, "the candidate has no such cell"
    seeded = any(one.seeded for one in after.values())
    if seeded and (absent := sorted(seeds - set(after))):
        return MISSING, f"seed {', '.join(map(str, absent))} is missing, which other cells have"
    for seed, one in after.items():
        if one.status == "skipped":
            return MISSING, f"skipped: {one.reason}"
        if not one.measured:
            return FAILED, f"seed {seed} was {one.status}: {one.reason or 'no scores'}"
    if differing := obstacles(before, after):
        return NOT_COMPARABLE, "; ".join(differing)
    if not set[str].intersection(*(set(one.scores) for one in [*before.values(), *after.values()])):
        return NOT_COMPARABLE, "items: none in common"
    return None
