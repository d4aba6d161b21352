"""What does it cost to store the frozen weights in fewer bits?"""

from __future__ import annotations

from harness.study.design import Check, Conclusion, Found, Place, Study, by_method, same_budget
from harness.study.evidence import contrast, side, slowdown, step_time, verdict, within

NONE, INT8, NF4, FP4 = "lora-r16", "lora-r16-int8", "qlora-r16", "qlora-r16-fp4"
RATE = "1e-3"
"""LoRA's default (a test holds it to that), here for all: only the storage of the frozen weights differs."""
NEGLIGIBLE = -0.01
"""A loss of less than a point, as the article has it."""
SLOWER = (2.0, 3.0)


def conclude(found: Found) -> Conclusion | None:
    """NF4 against weights that are not quantised: quality, and the time of a step."""
    lost = contrast(found, Place(NF4), Place(NONE))
    if lost is None:
        return None
    slower = slowdown(found, Place(NF4), Place(NONE))
    return Conclusion(
        sentence=f"LoRA over NF4 weights scores {lost.against('LoRA over weights as they come')}, and "
        f"{step_time(slower)}.",
        checks=(
            Check(
                claim="4 bits cost less than a point",
                verdict=verdict(side(lost.between, NEGLIGIBLE, NEGLIGIBLE)),
            ),
            Check(claim="training is 2 to 3 times slower", verdict=within(slower, *SLOWER)),
        ),
    )


STUDY = Study(
    name="quantisation",
    title="Quantised base weights",
    advice="Only 2-3x slower than full precision LoRA [...] The 4-bit quantization introduces negligible "
    "quality loss (typically <1% accuracy impact).",
    where="QLoRA: LoRA for Penny-Pinchers",
    method="LoRA of rank 16 over frozen weights as they come, in 8-bit integers, in NF4 and in FP4 "
    "(both with double quantisation), all at LoRA's default learning rate, so that only the storage differs: "
    "over NF4 a higher one may do better (the report has `qlora-r16` at its own default, and the memory). "
    "What few bits cost depends on the model's size: of a model 50 times as large this says little. The "
    "embedded model's weights come rounded to 4 bits, of another kind, so that rounding them again may cost "
    "it less than a model that never was.",
    points=same_budget(*(f"{name}@{RATE}" for name in (NONE, INT8, NF4, FP4))),
    place=by_method,
    series=(NONE, INT8, NF4, FP4),
    chart="dots",
    against=lambda found: Place(NONE),
    conclude=conclude,
)
