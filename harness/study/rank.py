"""Does a high rank pay? LoRA from rank 8 to 256."""

from __future__ import annotations

from harness.result import Result
from harness.study.design import MARGIN, Check, Conclusion, Found, Place, Study, same_budget
from harness.study.evidence import contrast, side, slowdown, step_time, verdict, within

LINE = "LoRA"
RANKS = (8, 16, 32, 64, 256)
START, HIGH = Place(LINE, 16), Place(LINE, 256)
ABOUT_TEN = (7.0, 14.0)
"""What "10x longer" is read as: within a factor of 1.4."""


def place(result: Result) -> Place:
    """By the adapter's rank."""
    return Place(LINE, float(result.identity["method_config"]["r"]))


def conclude(found: Found) -> Conclusion | None:
    """Rank 256 against rank 16: the gain in quality, and the time of a step."""
    gain, slower = contrast(found, HIGH, START), slowdown(found, HIGH, START)
    if gain is None:
        return None
    return Conclusion(
        sentence=f"Rank 256 scores {gain.against('rank 16')}, and {step_time(slower)}.",
        checks=(
            Check(
                claim="rank 256 gains little over rank 16",
                verdict=verdict(-side(gain.between, MARGIN, MARGIN)),
            ),
            Check(claim="it takes 10 times as long", verdict=within(slower, *ABOUT_TEN)),
        ),
    )


STUDY = Study(
    name="rank",
    title="LoRA's rank",
    advice="Rank 256 on a 7B model doesn't give 256x better results. It gives marginal improvements "
    "but takes 10x longer. Start with rank 8-16.",
    where="Common Mistakes, 1",
    mistake=1,
    method="LoRA of rank 8 to 256, each at its own learning rate and a scale alpha / rank of 2. The rate "
    "is chosen on dev where the budget has trials; without them it is the default, which a sweep chose for "
    "rank 16 alone, so that what the rank does and what the rate does are not told apart. A gain below 2 "
    "points counts as marginal. In a model narrower than a 7B one, the same rank is a larger share of the "
    "work, so that the ratio of times here is above that of a wide model.",
    points=same_budget(*(f"lora-r{rank}" for rank in RANKS)),
    place=place,
    series=(LINE,),
    chart="curve",
    axis="rank",
    costs=True,
    against=lambda found: START,
    conclude=conclude,
)
