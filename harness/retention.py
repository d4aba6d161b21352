"""What of its general abilities a model keeps: its loss on text that has nothing to do with the task.

The base model and the trained one read the same passages; the difference is what training cost. What is
not covered: abilities that a loss on prose and code does not show, such as following instructions.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from harness.anatomy import weight_bytes
from harness.budget import Budget
from harness.data import Batch, Encoded, Encoder, batches
from harness.engine import engine
from harness.extras import Retention
from harness.job import Base, PassageLoss
from harness.model import ModelSource, quieten
from harness.passages import KINDS, passages
from harness.result import finite

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PASSAGES = 8
"""Passages of each kind at most."""

ROWS = 8
"""Passages in one batch: their logits at every position have to fit beside the model."""


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


def passage_losses(
    model: PreTrainedModel,
    encoder: Encoder,
    loss_of: Callable[[PreTrainedModel, Batch], torch.Tensor],
    *,
    device: str,
    count: int,
) -> dict[str, PassageLoss]:
    """The model's loss on `count` passages of each kind; kinds that this Python has none of are absent."""
    losses = {}
    for kind in KINDS:
        own = passages(kind, count)
        if own:
            made = encode(encoder, own.texts)
            losses[kind] = PassageLoss(
                loss=mean_loss(model, made, loss_of, device),
                passages=len(own.texts),
                tokens=sum(len(batch.targets) for batch in made),
                sha256=own.sha256,
            )
    return losses


def measure_base(source: ModelSource, budget: Budget, engine_name: str, cores: int, send: Any) -> Base:
    """The base model as all trained cells of a grid are held against it."""
    quieten()
    torch.set_num_threads(cores)
    model = source.load()
    return Base(
        model_bytes=weight_bytes(model),
        losses=passage_losses(
            model,
            Encoder(source.tokenizer(), budget.max_length),
            engine(engine_name).loss,
            device=source.device,
            count=passages_for(budget.test_examples),
        ),
    )


def compare(before: Mapping[str, PassageLoss], after: Mapping[str, PassageLoss]) -> dict[str, Retention]:
    """Both models' losses on the same passages, for a result."""
    return {
        kind: Retention(
            loss_before=finite(before[kind].loss),
            loss_after=finite(own.loss),
            passages=own.passages,
            tokens=own.tokens,
            sha256=own.sha256,
            python=platform.python_version(),
        )
        for kind, own in after.items()
    }
