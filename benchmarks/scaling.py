"""How a training step's seconds and memory grow with length, rows, rank and examples, method by method.

    python -m benchmarks.scaling compare [--axes length,rows] [--methods full,lora-r16] [--small]

One size varies, the others stay as in `BASE`; every point is measured in a process of its own, by our loop,
on token ids drawn at random. Beside each stands the formula: operations (harness/flops.py) at the matmul
peak that the machine reached right after the steps, so the least that they can take; and bytes
(benchmarks/memory.py). Peaks are the training loop's, less what the process held before it had a model.

Along `examples` the seconds are those of the whole training run, elsewhere those of one step. A rank is a
number of virtual tokens where a method has those. Methods that train nothing have no steps to time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Annotated

import typer

from benchmarks.common import (
    SKIPPED_STEPS,
    Figures,
    begin,
    embedded,
    measured,
    report,
    save,
    sequence_of,
    tracked,
)
from benchmarks.render import show
from harness import registry
from harness.budget import preset
from harness.data import Batch, batches
from harness.environment import probe
from harness.errors import UsageError
from harness.method import Method

METHODS = "full,lora-r16,qlora-r16,prompt-tuning,adalora,dora-r16,prefix-tuning"
"""Those of the core set that train, and the others of a kind of their own."""

RANKS = {"rank": 1.0, "target_rank": 1.0, "initial_rank": 1.5, "virtual_tokens": 1.0}
"""What a method's attribute is for a rank of one."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """What one process trains.

    Attributes:
        length: Tokens of every sequence.
        rows: Sequences in one step.
        rank: The adapter's, or None for the method's own.
        examples: Sequences in all; they make whole steps, and more than are skipped.
    """

    method: str = ""
    length: int
    rows: int
    rank: int | None = None
    examples: int

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self.examples // self.rows

    def at(self, axis: str, value: int) -> Point:
        """The same with another size along one axis; along any but `examples` the steps stay as they are."""
        moved = replace(self, **{axis: value})
        return moved if axis == "examples" else replace(moved, examples=self.steps * moved.rows)

    def batches(self, vocabulary: int) -> list[Batch]:
        """Batches of random ids: what they say has no part in what they cost."""
        draw = random.Random(0)
        ids = [[draw.randrange(vocabulary) for _ in range(self.length)] for _ in range(self.examples)]
        return batches([sequence_of(row) for row in ids], batch_size=self.rows, epochs=1, seed=0, pad=0)


BASE = Point(length=64, rows=8, examples=32)
AXES = {"length": (64, 128, 256), "rows": (4, 8, 16), "rank": (8, 32, 128), "examples": (32, 64, 128)}
SMALL_BASE = Point(length=32, rows=2, examples=8)
SMALL_AXES = {"length": (16, 32), "rows": (2, 4), "rank": (4, 8), "examples": (8, 16)}
"""For a quick try; times as short as these say little."""


def chosen(point: Point) -> Method:
    """The point's method, in its rank.

    Raises:
        UsageError: There is no such method, or it has no rank.
    """
    method = copy(registry.method(point.method))
    if point.rank is not None:
        if not ranked(method):
            raise UsageError(f"method {point.method!r} has no rank to vary")
        for name in filter(lambda name: hasattr(method, name), RANKS):
            setattr(method, name, round(RANKS[name] * point.rank))
    return method


def ranked(method: Method) -> bool:
    """Whether the method has a rank, or a number of virtual tokens."""
    return any(hasattr(method, name) for name in RANKS)


@app.command()
def measure(point: str) -> None:
    """One point, once, in this process; for `compare`."""
    from benchmarks.our_loop import train_ours

    environment, one = begin(), Point(**json.loads(point))
    source = embedded(environment)
    limits = replace(
        preset("quick"), epochs=1, train_examples=one.examples, batch_size=one.rows, max_length=one.length
    )
    made = one.batches(source.tokenizer().vocab_size)
    report(train_ours(chosen(one), source, made, limits, environment))


@app.command()
def compare(
    methods: Annotated[str, typer.Option(help="Method names separated by commas.")] = METHODS,
    axes: Annotated[str, typer.Option(help="What varies, of: " + ", ".join(AXES))] = ",".join(AXES),
    small: Annotated[bool, typer.Option(help="Few and small sizes, for a quick try.")] = False,
) -> None:
    """Measure every point of the axes; print the tables, draw the charts and store the figures."""
    base, sizes = (SMALL_BASE, SMALL_AXES) if small else (BASE, AXES)
    environment = probe("auto")
    for axis in axes.split(","):
        if axis not in sizes:
            raise UsageError(f"there is no axis {axis!r}; there are: {', '.join(sizes)}")
        rows = _along(axis, sizes[axis], base, methods.split(","))
        others = {"length": base.length, "rows": base.rows, "steps": base.steps}
        save("scaling", axis, environment, rows, {"axis": axis, "base": others})
    show("scaling")


def _along(axis: str, sizes: Sequence[int], base: Point, methods: Sequence[str]) -> list[Figures]:
    points = {
        f"{method} {size}": replace(base, method=method).at(axis, size)
        for method in methods
        if axis != "rank" or ranked(registry.method(method))
        for size in sizes
    }
    return [_row(axis, points[name], _trained(points[name])) for name in tracked(list(points), axis)]


@cache
def _trained(point: Point) -> Figures:
    """A point's figures; one that several axes share is measured once."""
    return measured("benchmarks.scaling", [json.dumps(asdict(point))])


def _row(axis: str, point: Point, run: Figures) -> Figures:
    whole = axis == "examples"
    steps = point.steps - SKIPPED_STEPS
    flops = sum(run["step_flops"]) if whole else sum(run["step_flops"][SKIPPED_STEPS:]) / steps
    return {
        "method": point.method,
        "size": getattr(point, axis),
        "seconds": run["all_seconds"] if whole else run["seconds"] / steps,
        "formula_seconds": flops / run["matmul_peak"],
        "peak_bytes": run["train_peak_bytes"] - run["bare_bytes"],
        "formula_bytes": run["formula_bytes"],
        "compile_seconds": run["compile_seconds"],
    }


if __name__ == "__main__":
    app()
