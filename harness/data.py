"""Examples to token batches: the same subset, order and batches for every method."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from harness.errors import ModelError
from harness.task import Example, Task, join

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BUCKET_BATCHES = 16
"""Batches that are sorted by length together: less padding, while the order stays nearly random."""

WIDTH_MULTIPLE = 8
"""Batch widths are rounded up to this: few distinct shapes, so that kernels set up for one are used again."""

Shots = Sequence[tuple[str, str]]
"""Prompts with their targets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """One training sequence: begin token, prompt, target, end token.

    Attributes:
        ids: Token ids of the whole sequence.
        target_start: Index in `ids` of the first target token.
        truncated: Whether the prompt lost its middle, or the target its end, to fit.
    """

    ids: tuple[int, ...]
    target_start: int
    truncated: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Right-padded sequences and where their losses are.

    Attributes:
        ids: Token ids, (rows, width).
        mask: 1 at real tokens, (rows, width).
        rows, columns: Positions whose next token is a target, (targets,) each.
        targets: Those next tokens, (targets,).
        tokens: Real tokens in the batch.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    targets: torch.Tensor
    tokens: int

    def to(self, device: str) -> Batch:
        """The same batch on `device`."""
        return Batch(
            ids=self.ids.to(device),
            mask=self.mask.to(device),
            rows=self.rows.to(device),
            columns=self.columns.to(device),
            targets=self.targets.to(device),
            tokens=self.tokens,
        )


class Encoder:
    """Token ids for prompts and targets.

    Every plain sequence starts with the tokenizer's BOS token, or EOS where it has none, so that all
    prompts share at least one leading token (see `evaluate`). With `chat`, prompts and shots stand as
    turns in the model's own chat template instead. Prompt and target are tokenised apart, so that a
    prompt's ids never depend on its answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int, *, chat: bool = False) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.chat = chat
        if tokenizer.eos_token_id is None:
            raise ModelError("this model's tokenizer names no end token (eos_token), by which answers end")
        self.end: int = tokenizer.eos_token_id
        self.begin: int = self.end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        self._opening = self._chat_pieces(())[-1] if chat else ""

    def text(self, text: str) -> list[int]:
        """Ids of `text` alone, without special tokens; text that spells a special token stays text."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids

    def follow(self, prompt: str, target: str) -> str:
        """The target as it stands after `prompt`, or after the opening of the assistant's turn."""
        return join(self._opening or prompt, target)

    def prompt(self, prompt: str, *, shots: Shots = (), room: int = 0) -> tuple[list[int], bool]:
        """Ids of everything before the answer, and whether the prompt lost its middle.

        The prompt, with what a chat template puts around it, is cut to `max_length - room` tokens.
        Shots do not count: they are a method's own cost.
        """
        around = sum(map(len, self._around(()))) if self.chat else 1
        ids, limit = self.text(prompt), max(self.max_length - room - around, 2)
        truncated = len(ids) > limit
        if truncated:  # a prompt's ends hold the instruction and the question
            ids = ids[: limit - limit // 2] + ids[len(ids) - limit // 2 :]
        before, after = self._around(shots)
        return [*before, *ids, *after], truncated

    def pair(self, prompt: str, target: str) -> Encoded:
        """One training sequence of at most `max_length` tokens; a target gets half of them at most."""
        answer = [*self.text(self.follow(prompt, target)), self.end]
        cut = len(answer) > self.max_length // 2
        answer = answer[: self.max_length // 2]
        ids, truncated = self.prompt(prompt, room=len(answer))
        return Encoded(ids=(*ids, *answer), target_start=len(ids), truncated=truncated or cut)

    def clipped(self, prompt: str, target: str) -> tuple[str, str]:
        """A shot, cut as a training sequence is where it would not fit into one."""
        if not self.pair(prompt, target).truncated:
            return prompt, target
        answer = self.text(self.follow(prompt, target))[: self.max_length // 2 - 1]
        ids, _ = self.prompt(prompt, room=len(answer) + 1)
        around = [len(part) for part in self._around(())]
        kept = ids[around[0] : len(ids) - around[1]]
        text, answered = (str(self.tokenizer.decode(part)) for part in (kept, answer))
        return text, answered

    def _around(self, shots: Shots) -> tuple[list[int], list[int]]:
        """Ids before and after the prompt's own."""
        if not self.chat:
            text = "".join(f"{prompt}{join(prompt, target)}\n\n" for prompt, target in shots)
            return [self.begin, *(self.text(text) if text else ())], []
        contents = [content for shot in shots for content in shot]
        *pieces, after = (
            self.tokenizer.encode(piece, add_special_tokens=False) for piece in self._chat_pieces(shots)
        )
        before = pieces[0] or [self.begin]
        for content, piece in zip(contents, pieces[1:], strict=True):
            before += [*self.text(content), *piece]
        return before, after

    def _chat_pieces(self, shots: Shots) -> list[str]:
        """What the chat template puts before, between and after the contents of its turns.

        Raises:
            ModelError: The tokenizer has no chat template, or one that alters what users say.
        """
        if self.tokenizer.chat_template is None:
            raise ModelError("this model has no chat template; run it without --chat-template")
        marks = [f"content-{n}-of-a-turn" for n in range(2 * len(shots) + 1)]
        turns = [{"role": "assistant" if n % 2 else "user", "content": mark} for n, mark in enumerate(marks)]
        rest = str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        pieces = []
        for mark in marks:
            piece, found, rest = rest.partition(mark)
            if not found:
                raise ModelError("this model's chat template drops or reorders turns; run without it")
            pieces.append(piece)
        return [*pieces, rest]


def draw(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """`count` examples of the train pool, chosen and ordered by the seed; all of them if there are fewer."""
    return random.Random(f"subset-{seed}").sample(list(examples), min(count, len(examples)))


def solved(task: Task, examples: Sequence[Example], count: int, seed: int) -> Shots:
    """`count` train examples to stand before every prompt, spread over the labels if there are any."""
    chosen: list[Example] = []
    order = random.Random(f"shots-{seed}").sample(list(examples), len(examples))
    while len(chosen) < count and order:
        taken = {task.target(example) for example in chosen}
        fresh = (example for example in order if task.labels is None or task.target(example) not in taken)
        example = next(fresh, order[0])
        order.remove(example)
        chosen.append(example)
    return tuple((task.prompt(example), task.target(example)) for example in chosen)


def batches(encoded: Sequence[Encoded], *, batch_size: int, epochs: int, seed: int, pad: int) -> list[Batch]:
    """The batches of so many passes over the sequences: the first of their `stream`."""
    steps = epochs * -(-len(encoded) // batch_size)
    return list(itertools.islice(stream(encoded, batch_size=batch_size, seed=seed, pad=pad), steps))


def stream(encoded: Sequence[Encoded], *, batch_size: int, seed: int, pad: int) -> Iterator[Batch]:
    """Batches without end, pass after pass: shuffled each time, of similar length within a batch."""
    for epoch in itertools.count():
        generator = random.Random(f"order-{seed}-{epoch}")
        order = generator.sample(range(len(encoded)), len(encoded))
        window = batch_size * BUCKET_BATCHES
        plan = []
        for start in range(0, len(order), window):
            bucket = sorted(order[start : start + window], key=lambda index: len(encoded[index].ids))
            plan += [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
        generator.shuffle(plan)
        yield from (_batch([encoded[index] for index in indices], pad) for indices in plan)


def head_of(batch: Batch, rows: int) -> Batch:
    """The first `rows` sequences of a batch, at its width."""
    own = batch.rows < rows
    return Batch(
        ids=batch.ids[:rows],
        mask=batch.mask[:rows],
        rows=batch.rows[own],
        columns=batch.columns[own],
        targets=batch.targets[own],
        tokens=int(batch.mask[:rows].sum()),
    )


def _batch(sequences: Sequence[Encoded], pad: int) -> Batch:
    width = max(len(sequence.ids) for sequence in sequences)
    width += -width % WIDTH_MULTIPLE
    ids = torch.full((len(sequences), width), pad)
    mask = torch.zeros_like(ids)
    rows, columns, targets = [], [], []
    for row, sequence in enumerate(sequences):
        length = len(sequence.ids)
        ids[row, :length] = torch.tensor(sequence.ids)
        mask[row, :length] = 1
        for position in range(sequence.target_start, length):
            rows.append(row)
            columns.append(position - 1)
            targets.append(sequence.ids[position])
    return Batch(
        ids=ids,
        mask=mask,
        rows=torch.tensor(rows),
        columns=torch.tensor(columns),
        targets=torch.tensor(targets),
        tokens=int(mask.sum()),
    )
