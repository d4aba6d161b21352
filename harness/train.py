"""The one training loop. It knows neither the task nor the method, only a model and its batches.

Whatever is trained is kept in float32 and computed in the model's own precision: the optimizer
holds float32 copies of the trained tensors and writes them back after each step. Against autocast
over float32 weights this saves the casts of every step and gives all methods the same activations.
Loss is the mean cross-entropy over target tokens; how it and the update are computed is the engine's.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch

from harness.budget import RECIPE
from harness.data import Batch
from harness.result import Point, finite

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A finished training run.

    Attributes:
        curve: One point a step.
        examples: Sequences seen, repetitions included.
        tokens: Real tokens seen, padding excluded.
        positions: Tokens seen, padding included.
        degenerate: Why the run cannot count as training, or None.
    """

    curve: tuple[Point, ...]
    examples: int
    tokens: int
    positions: int
    degenerate: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeLimit:
    """Where the clock ends a run.

    Attributes:
        seconds: Of the train clock; no step starts after them.
        more: The batches after those that were expected to fill the time.
    """

    seconds: float
    more: Iterable[Batch]

    def place(self, elapsed: float, steps: int) -> float | None:
        """Where the next step stands among `steps` that fill the time, from 1; None where it is over."""
        if elapsed >= self.seconds:
            return None
        return min(steps, 1 + steps * elapsed / self.seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stand:
    """How far training is between two steps, as `Trained` counts it; `last` if it is over.

    Seconds are of the train clock.
    """

    step: int = 0
    examples: int = 0
    tokens: int = 0
    positions: int = 0
    seconds: float = 0.0
    last: bool = False

    def after(self, batch: Batch, seconds: float) -> Stand:
        """A step on the batch further, at so many seconds."""
        return Stand(
            step=self.step + 1,
            examples=self.examples + batch.ids.shape[0],
            tokens=self.tokens + batch.tokens,
            positions=self.positions + batch.ids.numel(),
            seconds=seconds,
        )


class Optimizer(Protocol):
    """What the loop asks of an optimizer; it is made with the model whose parameters it trains."""

    def step(self, learning_rate: float) -> float:
        """One clipped update; returns the gradients' L2 norm before clipping. They stay for now."""

    def finish_step(self) -> None:
        """Take over what was written into parameters since `step`, and free the gradients."""


@contextlib.contextmanager
def logits_at(
    model: PreTrainedModel, rows: torch.Tensor, columns: torch.Tensor, width: int
) -> Iterator[None]:
    """Within the block, the model's head sees only the hidden states at these positions of its input.

    A forward pass then returns logits of shape (positions, vocabulary). `width` is the input's; a
    model that puts virtual tokens before it shifts the positions by what its hidden states are longer.
    """

    def select(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[torch.Tensor]:
        hidden = args[0]
        return (hidden[rows, columns + (hidden.shape[1] - width)],)

    head = model.get_output_embeddings()
    if head is None:
        raise TypeError(f"{type(model).__name__} has no output embedding; it is not a causal language model")
    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


def target_loss(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy (nats) over the batch's target tokens."""
    with logits_at(model, batch.rows, batch.columns, batch.ids.shape[1]):
        logits = model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float(), batch.targets)


def rate_at(step: float, steps: int, peak: float) -> float:
    """Learning rate of `step` (from 1): linear warm-up over the first tenth, then linear decay, to zero
    after the last.

    Between two steps it is between their rates, for schedules that follow the clock.
    """
    warmup = max(1, round(RECIPE.warmup_share * steps))
    return peak * min(step / warmup, (steps - step + 1) / (steps - warmup + 1))


def train(
    model: PreTrainedModel,
    optimizer: Optimizer,
    batches: Sequence[Batch],
    *,
    loss_of: Callable[[PreTrainedModel, Batch], torch.Tensor],
    learning_rate: float,
    device: str,
    penalty: Callable[[PreTrainedModel], torch.Tensor | None],
    after_step: Callable[[PreTrainedModel, int], None],
    progress: Callable[[int, int], None],
    limit: TimeLimit | None = None,
    pause: Callable[[Stand], None] | None = None,
) -> Trained:
    """Train what `optimizer` holds on `batches`, one step each.

    With a `limit` the batches are what was expected to fill its time: training goes on beyond them, or ends
    before, and the learning rate follows the share of the time that is gone.

    `penalty` and `after_step` are the method's (see `Method`); the recorded losses are without the penalty.
    Before the first step and after each, `pause` is told how far training is, and at the end once more that
    this was the last; the clock stands still meanwhile, and the model must come back as it was. Stops at the
    first loss or gradient that is not finite.
    """
    stand = Stand()
    if pause:
        pause(stand)
    model.train()
    curve: list[Point] = []
    degenerate = None
    start = time.perf_counter()
    for cpu_batch in itertools.chain(batches, limit.more if limit else ()):
        step = stand.step + 1
        place = limit.place(time.perf_counter() - start, len(batches)) if limit else step
        if place is None:
            break
        batch = cpu_batch.to(device)
        rate = rate_at(place, len(batches), learning_rate)
        loss = loss_of(model, batch)
        extra = penalty(model)
        (loss if extra is None else loss + extra).backward()  # type: ignore[no-untyped-call]
        norm = optimizer.step(rate)
        after_step(model, step)
        optimizer.finish_step()
        value = loss.item()
        stand = stand.after(batch, time.perf_counter() - start)
        curve.append(_point(stand, value, rate, norm))
        progress(min(step, len(batches)), len(batches))
        if not math.isfinite(value) or not math.isfinite(norm):
            degenerate = f"loss {value} and gradient norm {norm} at step {step}"
            break
        if pause:
            away = time.perf_counter()
            pause(stand)
            start += time.perf_counter() - away
    if pause and degenerate is None:
        pause(replace(stand, last=True))
    model.eval()
    return Trained(
        curve=tuple(curve),
        examples=stand.examples,
        tokens=stand.tokens,
        positions=stand.positions,
        degenerate=degenerate or _learnt_nothing(curve),
    )


def _point(stand: Stand, loss: float, rate: float, norm: float) -> Point:
    """The step that led there."""
    return Point(
        step=stand.step,
        tokens=stand.tokens,
        seconds=stand.seconds,
        loss=finite(loss),
        learning_rate=rate,
        grad_norm=finite(norm),
    )


def _learnt_nothing(curve: Sequence[Point]) -> str | None:
    """Why a run that went to its end cannot count as training, None where it can."""
    if not any(point.grad_norm for point in curve):
        return "every gradient was zero"
    if len(curve) > 1 and len({point.loss for point in curve}) == 1:
        return "the loss never moved"
    return None
