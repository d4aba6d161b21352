"""Answers to prompts: scoring of closed label sets, and batched greedy generation.

The leading tokens that all prompts share (instruction, shots, and whatever virtual tokens an
adapter brings) are run once, and their key-value cache serves every batch. Labels are scored all
in one pass behind their prompt: each label sees the prompt and itself, never another label.

Assumes a decoder whose attention takes a 4D mask and explicit positions and sees all that went before, as
most of transformers' do; `takes_rows` tells.
"""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from harness.answers import Answer, Progress, Prompt, before, end_tokens
from harness.data import Encoder
from harness.decoding import grouped_attention, with_room
from harness.train import logits_at

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

ROWS = 32
"""Prompts in one batch."""

LOGITS = 2**30
"""Logits that one batch of labels may hold: at most 4 GB in float32."""

COMPACT_SHARE = 0.75
"""Finished rows are dropped from a generating batch when fewer than this share are still going."""


def takes_rows(model: PreTrainedModel, positions: int) -> bool:
    """Whether rows of at most so many positions, paddings between, can go on from one cache.

    Not where layers hold a state instead of keys and values, see no further back than a window, or count
    distances by places in the cache (ALiBi) rather than by the positions that they are given.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    whole = {"full_attention", "sliding_attention"}
    if (
        model._is_stateful
        or not kinds <= whole
        or "local" in (getattr(config, "attention_layers", None) or ())
    ):
        return False
    window = getattr(config, "sliding_window", None)
    by_place = getattr(config, "alibi", False) or config.model_type in ("bloom", "mpt")
    told = "position_ids" in inspect.signature(model.forward).parameters
    return told and not by_place and (not window or positions <= window)


class Evaluator:
    """Answers prompts with one model, in batches.

    Attributes:
        tokens: Tokens run through the model so far, for the FLOP count.
    """

    def __init__(self, model: PreTrainedModel, encoder: Encoder, *, device: str, progress: Progress) -> None:
        self.model = model
        # Adapters that prepend virtual tokens act in the shared prefix; after it the core model goes on.
        self.core: PreTrainedModel = getattr(model, "get_base_model", lambda: model)()
        self.encoder = encoder
        self.device = device
        self.progress = progress
        self.tokens = 0
        self.dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())

    @torch.inference_mode()
    def choose(self, prompts: Sequence[Prompt], joined: Sequence[str], labels: Sequence[str]) -> list[Answer]:
        """For each prompt the label with the highest log-likelihood, summed over all its tokens.

        No length normalisation: once a label's first token is settled the rest is nearly certain, so
        a mean over tokens would favour long labels (it put "weak copyleft" first on 146 of 200 items).
        `joined` are the labels as they follow a prompt (see `Encoder.follow`).
        """
        choices = [self.encoder.text(text) for text in joined]
        prefix, length = self._prefix(prompts)
        answers: dict[int, Answer] = {}
        columns = 1 + sum(len(choice) - 1 for choice in choices)
        most = max(1, LOGITS // (columns * self.core.config.get_text_config().vocab_size))
        for indices in self._batches(prompts, min(ROWS, most)):
            rows = [prompts[index].ids[length:] for index in indices]
            scores = self._label_scores(copy.deepcopy(prefix), rows, choices)
            for index, best in zip(indices, scores.argmax(dim=1).tolist(), strict=True):
                answers[index] = Answer(text=labels[best], truncated=prompts[index].truncated)
            self.progress(len(answers), len(prompts))
        return [answers[index] for index in range(len(prompts))]

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int, *, stop: str | None = None
    ) -> list[Answer]:
        """Greedy continuation of each prompt up to the end token, `stop` or `max_new_tokens`.

        `stop` counts from the first character that is not white space, and is not part of the answer.
        """
        prefix, length = self._prefix(prompts)
        answers: dict[int, Answer] = {}
        with grouped_attention(self.core):
            for indices in self._batches(prompts, ROWS):
                rows = [prompts[index].ids[length:] for index in indices]
                outputs = self._greedy(copy.deepcopy(prefix), rows, max_new_tokens, stop)
                for index, (ids, ended) in zip(indices, outputs, strict=True):
                    text = before(stop, self._decode(ids))
                    cut = prompts[index].truncated or not ended
                    answers[index] = Answer(text=text, truncated=cut, unfinished=not ended)
                self.progress(len(answers), len(prompts))
        return [answers[index] for index in range(len(prompts))]

    def _batches(self, prompts: Sequence[Prompt], rows: int) -> list[list[int]]:
        """Indices of prompts in batches of so many and of similar length, longest first."""
        order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index].ids))
        return [order[start : start + rows] for start in range(0, len(order), rows)]

    def _prefix(self, prompts: Sequence[Prompt]) -> tuple[DynamicCache, int]:
        """Cache of one row for the leading ids that all prompts share, and how many ids that is."""
        shortest = min(len(prompt.ids) for prompt in prompts)
        first = prompts[0].ids
        length = 1  # every prompt begins with the begin token and has at least one more
        while length < shortest - 1 and all(prompt.ids[length] == first[length] for prompt in prompts):
            length += 1
        ids = torch.tensor([first[:length]], device=self.device)
        self.tokens += length
        zero = torch.zeros(1, dtype=torch.long, device=self.device)
        with logits_at(self.model, zero, zero, length):
            output = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True)
        cache: DynamicCache = output.past_key_values
        return cache, length

    def _left_pad(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask of shape (rows, width), real tokens at the right."""
        width = max(len(row) for row in rows)
        ids = torch.tensor([[self.encoder.end] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self.device), mask.to(self.device)

    def _label_scores(
        self, cache: DynamicCache, rows: list[list[int]], choices: list[list[int]]
    ) -> torch.Tensor:
        """Log-likelihood of each whole label, (rows, labels).

        The input is [left-padded prompt | label 1 but its last token | label 2 ... ]; one 4D mask
        lets each label attend to prefix, prompt and itself.
        """
        past = cache.get_seq_length()
        cache.batch_repeat_interleave(len(rows))
        ids, mask = self._left_pad(rows)
        count, width = ids.shape
        tails = [choice[:-1] for choice in choices]
        owner = torch.tensor([i for i, tail in enumerate(tails) for _ in tail], dtype=torch.long)
        offset = torch.tensor([j for tail in tails for j in range(len(tail))], dtype=torch.long)
        extra = len(owner)
        total = width + extra
        tail_ids = torch.tensor([token for tail in tails for token in tail], dtype=torch.long)
        ids = torch.cat([ids, tail_ids.to(self.device).expand(count, extra)], dim=1)

        lengths = mask.sum(dim=1, keepdim=True)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        positions = past + torch.cat([positions, lengths + offset.to(self.device)], dim=1)

        visible = torch.ones(total, total, dtype=torch.bool).tril()
        visible[width:, width:] &= owner[:, None] == owner[None, :]
        block = (
            visible.to(self.device)[None]
            & torch.cat([mask.bool(), mask.new_ones(count, extra).bool()], dim=1)[:, None]
        )
        allowed = torch.cat([block.new_ones(count, total, past), block], dim=2)
        bias = torch.zeros(allowed.shape, dtype=self.dtype, device=self.device)
        bias.masked_fill_(~allowed, torch.finfo(self.dtype).min)

        # Logits at the prompt's last position give every label's first token, those at label tokens the rest.
        columns = torch.arange(width - 1, total, device=self.device)
        at_rows = torch.arange(count, device=self.device).repeat_interleave(len(columns))
        with logits_at(self.core, at_rows, columns.repeat(count), total):
            logits = self.core(
                input_ids=ids,
                attention_mask=bias[:, None],
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            ).logits
        self.tokens += int(mask.sum()) + count * extra
        scores = torch.empty(count, len(choices), device=self.device)
        ends = itertools.accumulate((len(choice) - 1 for choice in choices), initial=1)
        slots = [[0, *range(start, end)] for start, end in itertools.pairwise(ends)]
        # Row by row: with many labels, the whole batch's likelihoods of all tokens would take gigabytes.
        for row, own in enumerate(logits.view(count, len(columns), -1)):
            log_likelihood = own.float().log_softmax(dim=-1)
            for label, (places, choice) in enumerate(zip(slots, choices, strict=True)):
                scores[row, label] = log_likelihood[places, choice].sum()
        return scores

    def _decode(self, ids: list[int]) -> str:
        return str(self.encoder.tokenizer.decode(ids, skip_special_tokens=True))

    def _greedy(
        self, cache: DynamicCache, rows: list[list[int]], max_new_tokens: int, stop: str | None
    ) -> list[tuple[list[int], bool]]:
        """For each row the new ids without the end token, and whether it or `stop` came."""
        past = cache.get_seq_length()
        cache.batch_repeat_interleave(len(rows))
        with_room(cache)
        ids, mask = self._left_pad(rows)
        positions = past + (mask.cumsum(dim=1) - 1).clamp(min=0)
        mask = torch.cat([mask.new_ones(len(rows), past), mask], dim=1)
        outputs: list[list[int]] = [[] for _ in rows]
        ended = [False] * len(rows)
        going = list(range(len(rows)))
        ends = end_tokens(self.model, self.encoder)
        self.tokens += sum(map(len, rows))
        for _ in range(max_new_tokens):
            tokens = self._next(ids, mask, positions, cache)
            for row, token in zip(going, tokens.tolist(), strict=True):
                if ended[row]:
                    continue
                if token in ends:
                    ended[row] = True
                else:
                    outputs[row].append(token)
                    text = self._decode(outputs[row]) if stop else ""
                    ended[row] = before(stop, text) != text
            alive = [slot for slot, row in enumerate(going) if not ended[row]]
            if not alive:
                break
            self.tokens += len(alive)
            ids, positions = tokens[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(going), 1)], dim=1)
            if len(alive) < COMPACT_SHARE * len(going):
                keep = torch.tensor(alive, device=self.device)
                cache.batch_select_indices(keep)
                ids, positions, mask = ids[keep], positions[keep], mask[keep]
                going = [going[slot] for slot in alive]
        return list(zip(outputs, ended, strict=True))

    def _next(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        """The most likely next token of each row, (rows,); `cache` grows by the given ids."""
        count, width = ids.shape
        rows = torch.arange(count, device=self.device)
        with logits_at(self.core, rows, torch.full_like(rows, width - 1), width):
            output: Any = self.core(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            )
        best: torch.Tensor = output.logits.argmax(dim=-1)
        return best
