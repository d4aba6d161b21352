"""Does LoRA on few examples want a lower learning rate and dropout?"""

from __future__ import annotations

from dataclasses import replace

from harness.budget import Budget
from harness.result import Result
from harness.study.design import Check, Conclusion, Found, Place, Point, Study
from harness.study.evidence import contrast, count, mean_contrast, verdict

SIZES = (64, 256, 1024, 4096)
SMOKE_SIZES = (16, 32)
SEEN = 1024
"""Examples that training sees at least, however few there are to repeat."""
RATE, LOWER = "1e-3", "3e-4"
"""The default learning rate, and a third or so of it: within the 2 to 5 times less that the article names."""

PLAIN, BOTH = "neither", "dropout and lower rate"
VARIANTS = {
    f"lora-r16@{RATE}": PLAIN,
    f"lora-r16-dropout@{RATE}": "dropout",
    f"lora-r16@{LOWER}": "lower rate",
    f"lora-r16-dropout@{LOWER}": BOTH,
}
"""What each method is called in the chart."""
SMOKE_VARIANTS = [method for method, name in VARIANTS.items() if name in (PLAIN, BOTH)]
"""The two that the conclusion compares."""


def resized(budget: Budget, examples: int) -> Budget:
    """The budget with so many train examples, no fewer steps and passes than it had, and `SEEN` examples.

    Who has few examples trains on them several times over, and the advice is on what then goes wrong. With
    equal passes, 64 examples would be a few steps: nothing could be learned by heart, and a lower rate would
    look bad because nothing was learned yet. At `smoke`, which shows that it works, the budget's steps do.
    """
    a_pass = -(-examples // budget.batch_size)
    least = budget.steps if budget.name == "smoke" else max(budget.steps, -(-SEEN // budget.batch_size))
    return replace(
        budget,
        name=f"{budget.name}-{examples}-examples",
        train_examples=examples,
        epochs=max(budget.epochs, -(-least // a_pass)),
    )


def points(budget: Budget, pool: int | None) -> list[Point]:
    """Every variant at every size, the largest ones cut to what the tasks have; few of both at `smoke`."""
    wanted, variants = (SMOKE_SIZES, SMOKE_VARIANTS) if budget.name == "smoke" else (SIZES, list(VARIANTS))
    sizes = sorted({size if pool is None else min(size, pool) for size in wanted})
    return [Point(method=method, budget=resized(budget, size)) for size in sizes for method in variants]


def place(result: Result) -> Place:
    """By the number of train examples, on the variant's line."""
    return Place(VARIANTS[result.method], float(result.identity["budget"]["train_examples"]))


def conclude(found: Found) -> Conclusion | None:
    """The whole advice against none of it: over all sizes, and at the smallest."""
    plain, both = found.along(PLAIN), found.along(BOTH)
    shared = sorted(plain.keys() & both.keys())
    over_all = mean_contrast(found, [(both[size], plain[size]) for size in shared])
    fewest = contrast(found, both[shared[0]], plain[shared[0]]) if shared else None
    if over_all is None or fewest is None:
        return None
    least, most = int(shared[0]), int(shared[-1])
    both_score = "LoRA with dropout and a third of its learning rate scores"
    if least == most:
        said = f"At {count(least, 'example')}, {both_score} {fewest.against('LoRA with neither')}"
    else:
        said = (
            f"Over {least:,} to {count(most, 'example')}, {both_score} "
            f"{over_all.against('LoRA with neither')}; at {count(least, 'example')}, "
            f"{fewest.against('neither')}"
        )
    return Conclusion(
        sentence=f"{said}.",
        checks=(
            Check(
                claim="below 5,000 examples, a lower rate and dropout help",
                verdict=verdict(over_all.sign if len(shared) > 1 else 0),
            ),
        ),
    )


STUDY = Study(
    name="small-data",
    title="LoRA on few examples",
    advice="Parameter efficiency doesn't eliminate overfitting. On datasets under 5K examples, reduce "
    "learning rate and add dropout.",
    where="Common Mistakes, 4",
    mistake=4,
    method="LoRA of rank 16 on 64 to 4,096 examples (or all there are), with and without dropout of "
    "0.1 and a third of the default learning rate. A small set is passed over until training has seen "
    f"{SEEN:,} examples, or had the budget's steps if they are more, as one does with few examples; no set "
    "gets fewer passes than the budget has. The loss at the end tells whether they were learned by heart.",
    points=points,
    place=place,
    series=tuple(VARIANTS.values()),
    chart="curve",
    axis="train examples",
    against=lambda found: Place(PLAIN, found.x),
    conclude=conclude,
)
