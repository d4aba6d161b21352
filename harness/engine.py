"""How steps and answers are computed: `fast`, or `plain` for doubt and debugging.

An engine knows neither task nor method. Both do the same arithmetic on the same batches; results
differ by rounding alone. Fast computes logits at target positions only, keeps fewer activations
(`recompute`), updates weights a block at a time (`optimizer`), shares what prompts have in common
(`evaluate`), and compiles where that pays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from harness.answers import Answer, Answers, Progress, Prompt
from harness.compiling import Compiled, compile_where_it_pays, release, uncompiled
from harness.data import Batch, Encoder
from harness.evaluate import Evaluator, takes_rows
from harness.optimizer import Float32AdamW
from harness.plain import PlainAdamW, PlainEvaluator, plain_loss
from harness.recompute import recompute_gates
from harness.train import Optimizer, target_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class MakeEvaluator(Protocol):
    """Makes what answers prompts with a model."""

    def __call__(
        self, model: PreTrainedModel, encoder: Encoder, *, device: str, progress: Progress
    ) -> Answers:
        """An evaluator of that model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """One way to compute what a cell needs.

    Attributes:
        optimizer: Readies a model for training steps: AdamW over its trained parameters, which are rounded
            to the named precision.
        loss: Mean cross-entropy (nats) over a batch's target tokens.
        evaluator: What answers prompts with a model.
        compiles: Whether training steps may be compiled.
    """

    name: str
    optimizer: Callable[[PreTrainedModel, str], Optimizer]
    loss: Callable[[PreTrainedModel, Batch], torch.Tensor]
    evaluator: MakeEvaluator
    compiles: bool

    def compile(self, model: PreTrainedModel, batches: Sequence[Batch], work: float) -> Compiled:
        """Prepare the model's training steps on `batches`, which take `work` operations in all."""
        if not self.compiles:
            return Compiled(compiled=False, reason=f"the engine {self.name} compiles nothing")
        return compile_where_it_pays(model, batches, work)

    def release(self, model: PreTrainedModel) -> None:
        """Undo `compile`: evaluation brings caches, which would be other graphs."""
        if self.compiles:
            release(model)

    def uncompiled(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        """A block in which the model can be evaluated although its training goes on after it."""
        return uncompiled(model) if self.compiles else nullcontext()


class FittingEvaluator:
    """Answers in batches where the model can, else one prompt at a time; see `Answers`."""

    def __init__(self, model: PreTrainedModel, encoder: Encoder, *, device: str, progress: Progress) -> None:
        self._batched = Evaluator(model, encoder, device=device, progress=progress)
        self._single = PlainEvaluator(model, encoder, device=device, progress=progress)
        peft = getattr(model, "active_peft_config", None)
        self._virtual: int = getattr(peft, "num_virtual_tokens", None) or 0

    @property
    def tokens(self) -> int:
        """Tokens run through the model so far, for the FLOP count."""
        return self._batched.tokens + self._single.tokens

    def choose(self, prompts: Sequence[Prompt], joined: Sequence[str], labels: Sequence[str]) -> list[Answer]:
        """For each prompt the label with the highest log-likelihood, summed over all its tokens."""
        more = sum(len(self._batched.encoder.text(text)) for text in joined)
        return self._by(prompts, more).choose(prompts, joined, labels)

    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int, *, stop: str | None = None
    ) -> list[Answer]:
        """Greedy continuation of each prompt up to the end token, `stop` or `max_new_tokens`."""
        return self._by(prompts, max_new_tokens).generate(prompts, max_new_tokens, stop=stop)

    def _by(self, prompts: Sequence[Prompt], more: int) -> Answers:
        longest = self._virtual + max(len(prompt.ids) for prompt in prompts) + more
        return self._batched if takes_rows(self._batched.core, longest) else self._single


def lean_optimizer(model: PreTrainedModel, precision: str) -> Float32AdamW:
    """AdamW by blocks, over a model whose blocks keep less for the backward pass."""
    recompute_gates(model)
    return Float32AdamW(model, precision)


FAST = Engine(
    name="fast", optimizer=lean_optimizer, loss=target_loss, evaluator=FittingEvaluator, compiles=True
)  # fmt: skip
PLAIN = Engine(
    name="plain", optimizer=PlainAdamW, loss=plain_loss, evaluator=PlainEvaluator, compiles=False
)  # fmt: skip


def engine(name: str) -> Engine:
    """The engine of that name, one of `job.ENGINES`."""
    return {each.name: each for each in (FAST, PLAIN)}[name]
