"""What a cell reads of its task: examples to train on, encoded and in batches, to show, and to ask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.data import Batch, Encoder, Shots, batches, draw, solved
from harness.job import Job
from harness.matching import Supply
from harness.task import Example, Task

if TYPE_CHECKING:
    from harness.method import Method

TARGET_SLACK = 1.25
"""Generation may run this much longer than the longest target seen in training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """The examples of one cell, the same for every method but for `shots`.

    Attributes:
        train: Drawn by the seed from the task's pool, which may have fewer than the preset asks for.
        shots: Solved ones to stand before every prompt, as texts.
        supply: Batches of `train`.
        twice: A batch of its sequence of median length, twice, which stands for all in counts of operations.
        truncated: How many of its sequences were cut.
        max_new_tokens: Of one generated answer.
    """

    train: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example]
    shots: Shots
    supply: Supply
    twice: Batch
    truncated: int
    max_new_tokens: int


def read(job: Job, task: Task, method: Method, encoder: Encoder) -> Material:
    """Draw and encode a cell's examples."""
    budget, seed, pad = job.budget, job.seed, encoder.end
    train = draw(job.splits.train, budget.train_examples, seed)
    encoded = [encoder.pair(task.prompt(one), task.target(one)) for one in train]
    longest = max(len(sequence.ids) - sequence.target_start for sequence in encoded)
    middle = sorted(encoded, key=lambda sequence: len(sequence.ids))[len(encoded) // 2]
    (twice,) = batches([middle, middle], batch_size=2, epochs=1, seed=seed, pad=pad)
    return Material(
        train=train,
        dev=job.splits.dev[: budget.dev_examples],
        test=job.splits.test[: budget.test_examples],
        shots=_shots(job, task, method.shots, encoder, train),
        supply=Supply(encoded, batch_size=budget.batch_size, seed=seed, pad=pad),
        twice=twice,
        truncated=sum(sequence.truncated for sequence in encoded),
        max_new_tokens=min(budget.max_new_tokens, math.ceil(TARGET_SLACK * longest)),
    )


def _shots(job: Job, task: Task, count: int, encoder: Encoder, train: Sequence[Example]) -> Shots:
    """As many as asked for, or as the model has positions for before a prompt and its answer."""
    shots = tuple(encoder.clipped(*shot) for shot in solved(task, train, count, job.seed))
    positions = job.source.positions() if shots else None
    rest = job.budget.max_length + job.budget.max_new_tokens
    while shots and positions and len(encoder.prompt("", shots=shots)[0]) + rest > positions:
        shots = shots[:-1]
    return shots
