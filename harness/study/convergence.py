"""Which converges faster, by the step and by the clock?"""

from __future__ import annotations

from harness.budget import Budget
from harness.report import words
from harness.stats import Interval
from harness.study.design import Check, Conclusion, Found, Place, Point, Study, by_method, same_budget
from harness.study.evidence import count, loss_gaps, side, verdict

FULL, LORA, QLORA = "full", "lora-r16", "qlora-r16"
SMOKE_METHODS = (FULL, LORA)
"""The two that the conclusion compares."""


def points(budget: Budget, pool: int | None) -> list[Point]:
    """The three methods under the budget as it is; two of them at `smoke`."""
    methods = SMOKE_METHODS if budget.name == "smoke" else (FULL, LORA, QLORA)
    return same_budget(*methods)(budget, pool)


def conclude(found: Found) -> Conclusion | None:
    """Full fine-tuning's training loss less LoRA's, over the same steps and over the same seconds."""
    gaps = loss_gaps(found, Place(FULL), Place(LORA))
    if gaps is None:
        return None
    late = f", {_nats(gaps.late)} over the rest" if gaps.late else ""
    means = f"means of {count(gaps.seeds, 'seed')}; below zero, full is ahead"
    clock = f"it is {_nats(gaps.seconds)}" if gaps.seconds else "too few seeds ran on one machine to say"
    return Conclusion(
        sentence=f"Over the same steps, full fine-tuning's training loss is {_nats(gaps.steps)} against "
        f"LoRA's: {_nats(gaps.early)} over the first fifth of them{late} ({means}). Over the same seconds "
        f"{clock}.",
        checks=(Check(claim="full converges faster per step", verdict=verdict(-side(gaps.steps, 0, 0))),),
    )


def _nats(gap: Interval) -> str:
    text = f"{words.nats(gap.value, signed=True)} nats [{words.nats(gap.low)}, {words.nats(gap.high)}]"
    return text if side(gap, 0, 0) else f"{text} (no difference shown)"


STUDY = Study(
    name="convergence",
    title="Convergence by steps and by seconds",
    advice="Full fine-tuning converges faster per gradient step but requires more total steps for optimal "
    "performance.",
    where="Full Fine-Tuning: When You Have Unlimited Resources",
    method="Training loss of full fine-tuning, LoRA and (but at `smoke`) QLoRA of rank 16, each at its own "
    "learning rate (the default, or chosen on dev by a budget with trials), on the same batches in the same "
    "order. The interval is over seeds, so that there are at least three (at `smoke` two). How many steps "
    "the best quality takes is not tested.",
    points=points,
    place=by_method,
    series=(FULL, LORA, QLORA),
    chart="losses",
    against=lambda found: Place(LORA),
    conclude=conclude,
    least_seeds=3,
)
