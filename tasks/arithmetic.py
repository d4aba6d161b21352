"""Short sums and differences, worked out from left to right one equation at a time.

Source: the `chain_sum` generator of `reasoning-gym` 0.1.25 (Apache-2.0). One row:

    Question: 63 + 33 - 95 = ?
    Answer:   63 + 33 = 96; 96 - 95 = 1

Two to four numbers of one to three digits, all of a row equally long. `SHAPES` says how many rows there are
of each kind, and leans towards those that a very small model can learn: sums of one-digit numbers are nearly
free for it, four three-digit numbers nearly out of reach, so a score says how far up that ladder a method
came. The shares are the same in all splits but for the shortest rows, of which there are not enough.

Left out: rows with a 0 or with a number both added and taken away (shorter sums in disguise), and rows whose
running total falls below zero at any step.

Two rows are the same problem if the same numbers are added and the same taken away, in whatever order; no
problem stands twice, in one split or in two. Nor is a pair of test or dev a step of a chain in train, but for
pairs of one-digit numbers: those few sums are steps everywhere.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from decimal import Decimal
from itertools import accumulate, islice, pairwise

from harness.errors import PluginError
from harness.task import Example, Splits, Task, mixed

# (numbers, digits of each): rows in test, half as many in dev, `TRAIN_FACTOR` times as many in train
SHAPES = {
    (2, 1): 10, (2, 2): 70, (2, 3): 60,
    (3, 1): 70, (3, 2): 60, (3, 3): 30,
    (4, 1): 50, (4, 2): 40, (4, 3): 10,
}  # fmt: skip
TRAIN_FACTOR = 6
MAX_TRAIN = {(2, 1): 60, (3, 1): 340}  # there are 81 and 509 such problems altogether
SEED = 30_240
POOL = 6_000  # rows addressed of each shape, of which only those still wanted are generated
NUMBER = re.compile(r"(?<![\d)])-?\d[\d,]*(?:\.\d+)?", re.ASCII)


class Arithmetic(Task):
    """A chain of additions and subtractions in, its steps and result out."""

    name = "arithmetic"
    version = 1
    family = "reasoning"
    metric = "exact_match"
    stop = "\n"
    description = "Sums and differences of two to four numbers of one to three digits, step by step."
    source = "reasoning-gym 0.1.25, chain_sum"
    license = "Apache-2.0"
    sizes = (2320, 200, 400)

    def load(self) -> Splits:
        """Generate all rows; about a second, most of it the import.

        Raises:
            PluginError: `reasoning-gym` is not installed.
        """
        streams = {shape: _distinct(*shape) for shape in SHAPES}
        pools: dict[str, list[Example]] = {"test": [], "dev": [], "train": []}
        held_out: set[str] = set()
        for split, pool in pools.items():
            for shape, rows in SHAPES.items():
                size = {"test": rows, "dev": rows // 2, "train": MAX_TRAIN.get(shape, TRAIN_FACTOR * rows)}
                fresh = (e for e in streams[shape] if shape[1] == 1 or held_out.isdisjoint(_pairs(e)))
                pool += islice(fresh, size[split])
            held_out |= {example.group for example in pool}
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """How to work, and the chain."""
        rule = "Work from left to right. Write every step as an equation, all on one line."
        return f"{rule}\n\nQuestion: {example.data['expression']} = ?\nAnswer:"

    def target(self, example: Example) -> str:
        """One equation a step, separated by semicolons; the last number is the result."""
        return example.data["steps"]

    def score(self, example: Example, output: str) -> float:
        """1.0 where the last number of the first line that is not empty is the result, else 0.0.

        The steps before it are not judged.
        """
        numbers = _numbers(output)
        return float(bool(numbers) and Decimal(numbers[-1].replace(",", "")) == int(example.data["result"]))

    def readable(self, example: Example, output: str) -> bool:
        """Whether that line has a number."""
        return bool(_numbers(output))

    def naive(self, example: Example) -> str:
        """The first number of the chain, copied."""
        return example.data["expression"].split()[0]


def _numbers(output: str) -> list[str]:
    """The numbers of the first line that is not empty."""
    line, *_ = output.strip().splitlines() or [""]
    return NUMBER.findall(line)


def _distinct(terms: int, digits: int) -> Iterator[Example]:
    """The different problems of one shape, as many as `POOL` rows hold."""
    with warnings.catch_warnings():
        # A dependency of it compares strings with "is", which Python reports on the first compilation.
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            from reasoning_gym.arithmetic.chain_sum import ChainSumConfig, ChainSumDataset
        except ImportError as error:
            raise PluginError("arithmetic needs its data: pip install reasoning-gym==0.1.25") from error
    # Row n of a data set is seeded with seed + n: with one seed for all, shapes would share their numbers.
    seed = SEED + POOL * (10 * terms + digits)
    config = ChainSumConfig(
        min_terms=terms, max_terms=terms, min_digits=digits, max_digits=digits, seed=seed, size=POOL
    )
    rows = ChainSumDataset(config)
    seen: set[str] = set()
    for index in range(POOL):
        expression: str = rows[index]["metadata"]["expression"]
        numbers = _signed(expression)
        totals = list(accumulate(numbers))
        group = _group(numbers)
        cancels = any(-number in numbers for number in numbers)  # 0 is its own negative
        if cancels or min(totals) < 0 or group in seen:
            continue
        seen.add(group)
        data = {"expression": expression, "steps": _steps(numbers, totals), "result": str(totals[-1])}
        yield Example(id=f"{terms}x{digits}-{index:04}", group=group, data=data)


def _signed(expression: str) -> list[int]:
    """The numbers of "43 + 19 - 25" with the signs they are counted with."""
    first, *rest = expression.split()
    return [int(first), *(int(sign + number) for sign, number in zip(rest[::2], rest[1::2], strict=True))]


def _group(numbers: list[int]) -> str:
    """The same for every order of the signed numbers."""
    return " ".join(f"{number:+}" for number in sorted(numbers, reverse=True))


def _pairs(example: Example) -> set[str]:
    """The groups that an example's steps would have as problems of their own."""
    numbers = _signed(example.data["expression"])
    return {
        _group([before, number]) for before, number in zip(accumulate(numbers), numbers[1:], strict=False)
    }


def _steps(numbers: list[int], totals: list[int]) -> str:
    """The equations of the signed numbers and their running totals: "43 + 19 = 62; 62 - 25 = 37"."""
    return "; ".join(
        f"{before} {'-' if number < 0 else '+'} {abs(number)} = {after}"
        for (before, after), number in zip(pairwise(totals), numbers[1:], strict=True)
    )
