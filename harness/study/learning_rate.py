"""Which learning rates suit full fine-tuning, and which LoRA? One sweep for both."""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness import stats
from harness.budget import Budget
from harness.report import words
from harness.result import Result
from harness.stats import Interval
from harness.study.design import Check, Conclusion, Found, Place, Point, Study
from harness.study.evidence import Contrast, contrast, verdict
from harness.text import rate

FULL, LORA = "full", "lora-r16"
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Two a decade: from one to the next lower is a reduction by 3 or so, within the article's 2 to 5."""
SMOKE_RATES = RATES[2:4]
MOST = 5
"""The largest reduction that the article names."""
LEFT = 0.5
"""LoRA is called destroyed at a rate where less than this share is left of what it scores, at its best, above
a rule without a model: training that collapses ends at such a rule, not at zero."""


def points(budget: Budget, pool: int | None) -> list[Point]:
    """Both methods at every rate; at `smoke` at two, which show that it works."""
    rates = SMOKE_RATES if budget.name == "smoke" else RATES
    return [Point(method=f"{name}@{rate(value)}", budget=budget) for name in (FULL, LORA) for value in rates]


def place(result: Result) -> Place:
    """By the learning rate, on the method's own line."""
    return Place(result.method.partition("@")[0], float(result.identity["learning_rates"][0]))


def conclude(found: Found) -> Conclusion | None:
    """LoRA at full fine-tuning's best rate, against a step below it and its own best; where those two lie."""
    full, lora = found.along(FULL), found.along(LORA)
    if not full or not lora:
        return None
    best, own = stats.best(
        [{value: list(found.runs(place).values()) for value, place in line.items()} for line in (full, lora)],
        deviation=found.spread.variance**0.5,
    )
    # What is said of the best rate has to hold for each that may be it.
    reduced = {value: _reduced(found, lora, value) for value in best.likely()}
    signs = {one[1].sign if one else 0 for one in reduced.values()}
    left = [_left(found, lora, value, own.value) for value in best.likely()]
    destroyed = {-one.sign if one else 0 for one in left}
    apart = stats.best_ratio(own, best)
    # The ends belong to the ranges of two neighbours, so that 1 is none of either's own.
    higher = (apart.low >= 1) - (apart.high <= 1) if full.keys() == lora.keys() else 0
    return Conclusion(
        sentence=f"Full fine-tuning is best at {_rates(best)}{_there(found, lora, best.value, own.value)}; "
        f"{_said(best.value, reduced[best.value])}; LoRA's best rate is {_times(apart)}.",
        checks=(
            Check(
                claim="LoRA does worse at full's best rate than at 2 to 5 times less",
                verdict=verdict(signs.pop() if len(signs) == 1 else 0),
            ),
            Check(claim="LoRA wants a lower rate than full", verdict=verdict(-higher)),
            Check(
                claim="full's best rate destroys LoRA: less than half of its gain over no model is left",
                verdict=verdict(destroyed.pop() if len(destroyed) == 1 else 0),
            ),
        ),
    )


def _reduced(found: Found, lora: Mapping[float, Place], value: float) -> tuple[float, Contrast] | None:
    """The rate below `value` by as much as the article names, and LoRA there against LoRA at `value`."""
    below = [one for one in lora if value / MOST <= one < value]
    against = contrast(found, lora[below[-1]], lora[value]) if below and value in lora else None
    return (below[-1], against) if against else None


def _left(found: Found, lora: Mapping[float, Place], value: float, own: float) -> Contrast | None:
    """LoRA at a rate against so much of its best score that it would not be destroyed.

    None of one rate, and where LoRA at its best is not shown to be above a rule without a model.
    """
    floor = found.without_model
    if value not in lora or len(lora) < 2 or floor is None:
        return None
    gain = contrast(found, lora[own], lora[own], share=0, floor=floor)
    if gain is None or gain.sign != 1:
        return None
    return contrast(found, lora[value], lora[own], share=LEFT, floor=floor)


def _there(found: Found, lora: Mapping[float, Place], value: float, own: float) -> str:
    """How LoRA does at full fine-tuning's best rate, and at its own."""
    if value not in lora or value == own:
        return ", and so is LoRA" * (value == own)
    here, best = (words.percent(found.quality(lora[one]).value) for one in (value, own))
    return f", where LoRA scores {here}, and {best} at its own best, {rate(own)}"


def _rates(best: stats.Best) -> str:
    others = [rate(value) for value in best.likely() if value != best.value]
    return f"{rate(best.value)} ({words.listed(others)} may be as good)" if others else rate(best.value)


def _said(value: float, reduced: tuple[float, Contrast] | None) -> str:
    if reduced is None:
        return "LoRA has no results both there and at a rate 2 to 5 times lower"
    return f"LoRA at {rate(reduced[0])} scores {reduced[1].against(f'LoRA at {rate(value)}')}"


def _times(apart: Interval) -> str:
    """A ratio of best rates with its interval, which has no end where a best rate is the last one tried."""
    high = f"{apart.high:.2g}]" if math.isfinite(apart.high) else "no end)"
    return f"{apart.value:.2g} times full's, from what these rates can tell [{apart.low:.2g}, {high}"


STUDY = Study(
    name="learning-rate",
    title="Learning rates of full fine-tuning and LoRA",
    advice="LoRA uses different learning rates than full fine-tuning. A rate suitable for full FT will "
    "destroy LoRA training. Reduce by 2-5x.",
    where="Common Mistakes, 2",
    mistake=2,
    method="Full fine-tuning and LoRA of rank 16 at the same learning rates, half a decade apart. The "
    "rates are compared on test items: to locate them, not to report the best score as a result. A verdict "
    "has to hold whichever of the rates that may be full's best is taken for it. The best of a grid of rates "
    "stands for the range half way to its neighbours.",
    points=points,
    place=place,
    series=(FULL, LORA),
    chart="curve",
    axis="learning rate",
    tick=rate,
    conclude=conclude,
)
