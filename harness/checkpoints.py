"""Quality as a function of training: the model scored on a few dev items now and then, off the train clock.

It chooses nothing, and training goes on as if nothing had been asked: the same random state, the same
results to the last bit. Where the budget has trials the same items serve to choose the learning rate, so
that such scores are a little too good; test items are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from harness.budget import CHECKPOINT_ITEMS
from harness.data import Batch
from harness.examine import Examiner
from harness.extras import Checkpoint
from harness.task import Example
from harness.train import Stand

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PHASE = "checkpoints"


def due(steps: int, count: int) -> frozenset[int]:
    """The steps after which to score: `count` that double up to the last, and 0 as the curve's origin.

    Most is learnt early, so doubling tells equally well at every scale. Fewer where they would coincide;
    none for a count of 0. Where the clock ends a run, `steps` is an estimate: its end counts instead.
    """
    doubling = {max(1, round(steps / 2**n)) for n in range(count)}
    return frozenset({0, *doubling} if count else ())


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoints:
    """What `train` calls between steps.

    Attributes:
        examples: Dev items to choose from; the first of them are asked.
        batches: What the model is trained on, a batch a step.
        count: See `due`.
        clock: Enters the phase of a name, outside the one that is running.
        found: What was measured so far.
    """

    model: PreTrainedModel
    examiner: Examiner
    examples: Sequence[Example]
    batches: Sequence[Batch]
    count: int
    clock: Callable[[str], AbstractContextManager[None]]
    found: list[Checkpoint] = field(default_factory=list)

    def __call__(self, stand: Stand) -> None:
        """Score the model if a checkpoint is due, or training over; it stays in the mode it was in."""
        between = due(len(self.batches), self.count) - {len(self.batches)}
        scored = any(one.step == stand.step for one in self.found)
        if scored or not self.count or not (stand.last or stand.step in between):
            return
        training = self.model.training
        gpus = [self.model.device] if self.model.device.type == "cuda" else []
        with self.clock(PHASE), torch.random.fork_rng(gpus), self.examiner.engine.uncompiled(self.model):
            self.model.eval()
            examined = self.examiner.examine(self.model, self.examples[:CHECKPOINT_ITEMS], PHASE)
            self.model.train(training)
        self.found.append(
            Checkpoint(
                step=stand.step,
                examples=stand.examples,
                tokens=stand.tokens,
                seconds=stand.seconds,
                score=examined.mean,
                n=len(examined.items),
            )
        )
