"""Costs against their tolerances. Those of time are gated only where both sides had the same machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.regression import verdict as verdicts
from harness.regression.outcome import Outcome
from harness.regression.quality import Pair
from harness.regression.verdict import Cost


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How far one cost of a method may rise; shares of 1.

    Attributes:
        label: What the report calls it, with its unit.
        one_job: Allowed where both sides ran interleaved in one job, or where the cost is not of time.
        noisy: Judge each task by its best seed rather than the mean over seeds: what else a machine does can
            only add to it.
        total: Judge the geometric mean over tasks rather than the worst of them.
        exact: A fall is a regression too: the method is no longer the same.
        by_seed: Depends on the examples that a seed draws.
        phase: The cost that tells how long the phase lasts that this one is timed in; None for costs that
            are not of time.
    """

    label: str
    one_job: float
    noisy: bool = False
    total: bool = False
    exact: bool = False
    by_seed: bool = True
    phase: str | None = None


SHORTEST = 5.0
"""Seconds: a baseline's phase below this tells more of the machine's noise than of the code."""
SAME_MACHINE = 0.35
"""Allowed for costs of time where the sides are two jobs, and only the machines' fingerprints agree."""

# Public benchmark suites saw 0.3% between runs in one job and 26% between jobs of one kind of machine;
# cells here are short, so one job gets more room than that.
TOLERANCES = {
    "train_seconds": Tolerance(
        label="training, s", one_job=0.10, noisy=True, total=True, phase="train_seconds"
    ),
    "evaluate_seconds": Tolerance(
        label="evaluation, s", one_job=0.15, noisy=True, total=True, phase="evaluate_seconds"
    ),
    "tokens_per_second": Tolerance(
        label="training tokens/s", one_job=0.10, noisy=True, total=True, by_seed=False, phase="train_seconds"
    ),
    "peak_bytes": Tolerance(label="peak memory, GB", one_job=0.10, noisy=True),
    "train_flops": Tolerance(label="training TFLOPs", one_job=0.01),
    "trainable": Tolerance(label="parameters trained", one_job=0.0, exact=True, by_seed=False),
    "disk_bytes": Tolerance(label="on disk, MB", one_job=0.0, exact=True, by_seed=False),
}
OTHER_SEEDS = 0.10
"""Added for costs that depend on the drawn examples where the sides have no seed in common."""
HIGHER_IS_BETTER = ("tokens_per_second",)


def judge(pairs: Sequence[Pair], *, interleaved: bool) -> list[Cost]:
    """The verdict on every cost of every method, over its tasks and the seeds that both sides ran."""
    found = []
    for method in dict.fromkeys(pair.method for pair in pairs):
        own = [pair for pair in pairs if pair.method == method]
        for cost in TOLERANCES:
            verdict = _judge(method, cost, own, interleaved)
            if verdict is not None:
                found.append(verdict)
    return found


def _judge(method: str, cost: str, pairs: Sequence[Pair], interleaved: bool) -> Cost | None:
    tolerance = TOLERANCES[cost]
    figures = {
        pair.task: (_over_seeds(pair, pair.baseline, cost), _over_seeds(pair, pair.candidate, cost))
        for pair in pairs
    }
    known = {task: (old, new) for task, (old, new) in figures.items() if old is not None and new is not None}
    if all(old is None and new is None for old, new in figures.values()):
        return None
    if not known:
        return Cost(method=method, cost=cost, verdict=verdicts.NOT_GATED, reason="known on one side only")
    baseline, candidate = (math.fsum(pair[side] for pair in known.values()) / len(known) for side in (0, 1))
    ratios = {task: _ratio(cost, old, new) for task, (old, new) in known.items()}
    if tolerance.total:
        task, ratio = None, math.exp(math.fsum(math.log(one) for one in ratios.values()) / len(ratios))
    else:
        task = max(ratios, key=lambda name: _distance(ratios[name], tolerance))
        ratio = ratios[task]
    reason = _reason(tolerance, pairs, interleaved)
    allowed = SAME_MACHINE if tolerance.phase is not None and not interleaved else tolerance.one_job
    if tolerance.by_seed and not all(_shared(pair) for pair in pairs):
        allowed += OTHER_SEEDS
    if reason is not None:
        verdict = verdicts.NOT_GATED
    elif _distance(ratio, tolerance) > math.log1p(allowed) + 1e-9:
        verdict = verdicts.REGRESSION
    else:
        better = math.log(ratio) < -math.log1p(allowed) - 1e-9
        verdict = verdicts.IMPROVEMENT if better else verdicts.PASS
    return Cost(
        method=method,
        cost=cost,
        verdict=verdict,
        baseline=baseline,
        candidate=candidate,
        ratio=ratio,
        allowed=allowed,
        task=task,
        reason=reason,
    )


def _reason(tolerance: Tolerance, pairs: Sequence[Pair], interleaved: bool) -> str | None:
    """Why this cost says nothing here, or None."""
    outcomes = [one for pair in pairs for side in (pair.baseline, pair.candidate) for one in side.values()]
    if not tolerance.exact and len(_values(outcomes, "device")) > 1:
        return "another device"
    if tolerance.phase is None:
        return None
    if not interleaved and (len(machines := _values(outcomes, "machine")) > 1 or None in machines):
        return "another machine"
    lasted = [_over_seeds(pair, pair.baseline, tolerance.phase) for pair in pairs]
    known = [seconds for seconds in lasted if seconds is not None]
    if known and math.fsum(known) / len(known) < SHORTEST:
        return f"too short: less than {SHORTEST:g} s"
    return None


def _values(outcomes: Sequence[Outcome], name: str) -> set[object]:
    return {str(value) if (value := one.environment.get(name)) is not None else None for one in outcomes}


def _shared(pair: Pair) -> set[int]:
    return set(pair.baseline) & set(pair.candidate)


def _over_seeds(pair: Pair, side: dict[int, Outcome], cost: str) -> float | None:
    """Over the seeds that both sides ran, over all where there is none; None if one is unknown.

    Of noisy costs the best seed's.
    """
    chosen = [side[seed].costs.get(cost) for seed in _shared(pair) or side]
    known = [value for value in chosen if value is not None]
    if len(known) < len(chosen):
        return None
    if TOLERANCES[cost].noisy:
        return max(known) if cost in HIGHER_IS_BETTER else min(known)
    return math.fsum(known) / len(known)


def _ratio(cost: str, baseline: float, candidate: float) -> float:
    """How many times as dear; from 1e-9 to 1e9, so that a zero on one side has a ratio too."""
    if cost in HIGHER_IS_BETTER:
        baseline, candidate = candidate, baseline
    if baseline == candidate:
        return 1.0
    return min(1e9, max(1e-9, candidate / baseline if baseline else math.inf))


def _distance(ratio: float, tolerance: Tolerance) -> float:
    """How much worse, as a logarithm; any change is worse where the cost must be exact."""
    return abs(math.log(ratio)) if tolerance.exact else math.log(ratio)
