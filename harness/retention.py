"""What of its general abilities a model keeps: its loss on text that has nothing to do with the task.

The base model and the trained one read the same passages; the difference is what training cost. What is
not covered: abilities that a loss on prose and code does not show, such as following instructions.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from harness.data import Batch, Encoded, Encoder, batches
from harness.passages import KINDS, Passages, passages
from harness.result import Retention, finite

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PASSAGES = 8
"""Passages of each kind at most."""

ROWS = 8
"""Passages in one batch: their logits at every position have to fit beside the model."""

Losses = Mapping[str, float]
"""By kind of passage, nats a token."""


def passages_for(test_items: int) -> int:
    """Passages of each kind: as many as the test has items in all, so that small budgets stay small."""
    return max(1, min(PASSAGES, test_items // len(KINDS)))


def encode(encoder: Encoder, texts: Sequence[str]) -> list[Batch]:
    """Batches whose targets are all tokens of the texts, each behind the begin token.

    A text is cut to the encoder's `max_length`, the begin token included.
    """
    ids = [(encoder.begin, *encoder.text(text))[: encoder.max_length] for text in texts]
    encoded = [Encoded(ids=one, target_start=1, truncated=False) for one in ids]
    return batches(encoded, batch_size=ROWS, epochs=1, seed=0, pad=encoder.end)


@torch.no_grad()
def mean_loss(
    model: PreTrainedModel,
    made: Sequence[Batch],
    loss_of: Callable[[PreTrainedModel, Batch], torch.Tensor],
    device: str,
) -> float:
    """Mean cross-entropy (nats) over all target tokens of the batches, however they are batched."""
    total = sum(loss_of(model, batch.to(device)).item() * len(batch.targets) for batch in made)
    return total / sum(len(batch.targets) for batch in made)


class Retained:
    """The passages of one cell, asked twice: of the base model and of the trained one.

    `loss_of` is the engine's; the base's losses come first.
    """

    def __init__(
        self,
        encoder: Encoder,
        loss_of: Callable[[PreTrainedModel, Batch], torch.Tensor],
        *,
        device: str,
        count: int,
    ) -> None:
        self._loss_of = loss_of
        self._device = device
        found = {kind: passages(kind, count) for kind in KINDS}
        self._passages: dict[str, Passages] = {kind: own for kind, own in found.items() if own}
        self._batches = {kind: encode(encoder, own.texts) for kind, own in self._passages.items()}

    def losses(self, model: PreTrainedModel) -> Losses:
        """The model's mean loss on the passages of each kind."""
        return {
            kind: mean_loss(model, made, self._loss_of, self._device) for kind, made in self._batches.items()
        }

    def compare(self, before: Losses, after: Losses) -> dict[str, Retention]:
        """Both models' losses for a result, by kind; kinds that this Python has no passages of are absent."""
        return {
            kind: Retention(
                loss_before=finite(before[kind]),
                loss_after=finite(after[kind]),
                passages=len(own.texts),
                tokens=sum(len(batch.targets) for batch in self._batches[kind]),
                sha256=own.sha256,
                python=platform.python_version(),
            )
            for kind, own in self._passages.items()
        }
