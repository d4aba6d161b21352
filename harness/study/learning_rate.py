"""Which learning rates suit full fine-tuning, and which LoRA? One sweep for both."""

from __future__ import annotations

from harness import stats
from harness.budget import Budget
from harness.paired import ASSUMED_SEED_DEVIATION
from harness.result import Result
from harness.study.design import Check, Conclusion, Found, Place, Point, Study
from harness.study.evidence import contrast, count, side, times, verdict
from harness.text import rate

FULL, LORA = "full", "lora-r16"
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Two a decade: from one to the next lower is a reduction by 3 or so, within the article's 2 to 5."""
SMOKE_RATES = RATES[2:4]
MOST = 5
"""The largest reduction that the article names."""


def points(budget: Budget, pool: int | None) -> list[Point]:
    """Both methods at every rate; at `smoke` at two, which show that it works."""
    rates = SMOKE_RATES if budget.name == "smoke" else RATES
    return [Point(method=f"{name}@{rate(value)}", budget=budget) for name in (FULL, LORA) for value in rates]


def place(result: Result) -> Place:
    """By the learning rate, on the method's own line."""
    return Place(result.method.partition("@")[0], float(result.identity["learning_rates"][0]))


def conclude(found: Found) -> Conclusion | None:
    """LoRA a step below full fine-tuning's best rate against LoRA at it; where the two best rates lie."""
    full, lora = found.along(FULL), found.along(LORA)
    if not full or not lora:
        return None
    best = max(full, key=lambda value: (found.quality(full[value]).value, -value))
    below = [value for value in lora if best / MOST <= value < best]
    reduced = contrast(found, lora[below[-1]], lora[best]) if below and best in lora else None
    apart = stats.best_ratio(
        *(
            {value: list(found.runs(place).values()) for value, place in line.items()}
            for line in (lora, full)
        ),
        deviation=ASSUMED_SEED_DEVIATION,
    )
    diverged = found.diverged.get(Place(LORA, best), ())
    if diverged:
        said = f"LoRA at that rate diverged in {count(len(diverged), 'seed')}"
    elif reduced is None:
        said = "LoRA has no results both there and at a rate 2 to 5 times lower"
    else:
        said = f"LoRA at {rate(below[-1])} scores {reduced.against(f'LoRA at {rate(best)}')}"
    return Conclusion(
        sentence=f"Full fine-tuning is best at {rate(best)}; {said}; LoRA's best rate is {times(apart)} "
        "full's.",
        checks=(
            Check(
                claim="LoRA does worse at full's best rate than at 2 to 5 times less",
                verdict="agrees" if diverged else verdict(reduced.sign if reduced else 0),
            ),
            Check(claim="LoRA wants a lower rate than full", verdict=verdict(-side(apart, 1, 1))),
        ),
    )


STUDY = Study(
    name="learning-rate",
    title="Learning rates of full fine-tuning and LoRA",
    advice="LoRA uses different learning rates than full fine-tuning. A rate suitable for full FT will "
    "destroy LoRA training. Reduce by 2-5x.",
    where="Common Mistakes, 2",
    mistake=2,
    method="Full fine-tuning and LoRA of rank 16 at the same learning rates, half a decade apart. The "
    "rates are compared on test items: to locate them, not to report the best score as a result. Whether "
    "LoRA is destroyed at full's best rate is for the chart to say; the verdict asks for a loss of quality, "
    "or divergence.",
    points=points,
    place=place,
    series=(FULL, LORA),
    chart="curve",
    axis="learning rate",
    tick=rate,
    conclude=conclude,
)
