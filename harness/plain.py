"""The engine `plain`: the same results by the shortest code, to hold the fast one against.

Nothing here is shared with the fast paths but the batches and the recipe: full logits with labels of
-100, torch's AdamW over all masters at once, each prompt and each label run alone and without a cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from harness.answers import Answer, Progress, Prompt, before, end_tokens
from harness.budget import RECIPE
from harness.data import Batch, Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IGNORED = -100
"""The label that torch's cross-entropy leaves out."""


def plain_loss(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy (nats) over the batch's target tokens, from the logits of every position."""
    labels = torch.full_like(batch.ids, IGNORED)
    labels[batch.rows, batch.columns + 1] = batch.targets
    logits = model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits
    logits = logits[:, -batch.ids.shape[1] :]  # virtual tokens come first
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED
    )


class PlainAdamW:
    """torch.optim.AdamW over float32 masters of a model's trained parameters; see `Float32AdamW`."""

    def __init__(self, model: torch.nn.Module, precision: str) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.masters = [torch.nn.Parameter(p.detach().float().clone()) for p in self.parameters]
        for parameter in self.parameters:
            parameter.data = parameter.data.to(getattr(torch, precision))
        self.optimizer = torch.optim.AdamW(
            self.masters, lr=0.0, betas=RECIPE.betas, eps=RECIPE.eps, weight_decay=RECIPE.weight_decay
        )

    def step(self, learning_rate: float) -> float:
        """One clipped update; returns the gradients' L2 norm before clipping."""
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
        norm = float(torch.nn.utils.clip_grad_norm_(self.masters, RECIPE.clip_norm))
        if math.isfinite(norm) and norm > 0:
            self.optimizer.param_groups[0]["lr"] = learning_rate
            self.optimizer.step()
        self._write()
        return norm

    @torch.no_grad()
    def finish_step(self) -> None:
        """Take over what was written into parameters since `step`, and free the gradients."""
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            kept = parameter == master.to(parameter.dtype)
            master.copy_(torch.where(kept, master, parameter.float()))
            parameter.grad = None

    @torch.no_grad()
    def _write(self) -> None:
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            parameter.copy_(master)


class PlainEvaluator:
    """Answers prompts one at a time; see `Evaluator`, whose answers these are but for rounding."""

    def __init__(self, model: PreTrainedModel, encoder: Encoder, *, device: str, progress: Progress) -> None:
        self.model = model
        self.encoder = encoder
        self.device = device
        self.progress = progress
        self.tokens = 0

    @torch.inference_mode()
    def choose(self, prompts: Sequence[Prompt], joined: Sequence[str], labels: Sequence[str]) -> list[Answer]:
        """For each prompt the label with the highest log-likelihood, summed over all its tokens."""
        choices = [self.encoder.text(text) for text in joined]
        answers = []
        for prompt in prompts:
            scores = [self._log_likelihood(prompt.ids, choice) for choice in choices]
            best = max(range(len(labels)), key=scores.__getitem__)
            answers.append(Answer(text=labels[best], truncated=prompt.truncated))
            self.progress(len(answers), len(prompts))
        return answers

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int, *, stop: str | None = None
    ) -> list[Answer]:
        """Greedy continuation of each prompt up to the end token, `stop` or `max_new_tokens`."""
        answers = []
        ends = end_tokens(self.model, self.encoder)
        for prompt in prompts:
            ids: list[int] = []
            text, ended = "", False
            while not ended and len(ids) < max_new_tokens:
                token = int(self._logits(prompt.ids + ids)[-1].argmax())
                ended = token in ends
                if not ended:
                    ids.append(token)
                    whole = str(self.encoder.tokenizer.decode(ids, skip_special_tokens=True))
                    text = before(stop, whole)
                    ended = text != whole
            cut = prompt.truncated or not ended
            answers.append(Answer(text=text, truncated=cut, unfinished=not ended))
            self.progress(len(answers), len(prompts))
        return answers

    def _logits(self, ids: list[int]) -> torch.Tensor:
        """Logits behind each of `ids`, (ids, vocabulary)."""
        self.tokens += len(ids)
        rows = torch.tensor([ids], device=self.device)
        logits: torch.Tensor = self.model(
            input_ids=rows, attention_mask=torch.ones_like(rows), use_cache=False
        ).logits[0, -len(ids) :]
        return logits

    def _log_likelihood(self, prompt: list[int], choice: list[int]) -> float:
        logits = self._logits(prompt + choice[:-1])[len(prompt) - 1 :].float().log_softmax(dim=-1)
        return float(sum(logits[slot, token] for slot, token in enumerate(choice)))
