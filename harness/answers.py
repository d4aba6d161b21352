"""What a cell asks of a model and what it gets: prompts as ids, answers as text, and where these end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.data import Encoder, Shots

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A prompt's ids, and whether its middle was cut."""

    ids: list[int]
    truncated: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the model answered.

    `unfinished` if it met the limit of new tokens, `truncated` if that or if its prompt was cut.
    """

    text: str
    truncated: bool
    unfinished: bool = False


class Answers(Protocol):
    """What a cell asks of an evaluator."""

    @property
    def tokens(self) -> int:
        """Tokens run through the model so far, for the FLOP count."""

    def choose(self, prompts: Sequence[Prompt], joined: Sequence[str], labels: Sequence[str]) -> list[Answer]:
        """For each prompt the label with the highest log-likelihood, summed over all its tokens."""

    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int, *, stop: str | None = None
    ) -> list[Answer]:
        """Greedy continuation of each prompt up to the end token, `stop` or `max_new_tokens`."""


def encode_prompts(encoder: Encoder, prompts: Sequence[str], shots: Shots) -> list[Prompt]:
    """Prompts as ids, each behind the same shots."""
    return [
        Prompt(ids=ids, truncated=cut) for ids, cut in (encoder.prompt(text, shots=shots) for text in prompts)
    ]


def end_tokens(model: PreTrainedModel, encoder: Encoder) -> frozenset[int]:
    """What ends an answer: the tokenizer's end token, and those at which the model's makers have it stop.

    Of chat models the latter may be the end of a turn, which an untrained one writes instead of the former.
    """
    given = model.generation_config.eos_token_id  # one, several or None
    return frozenset({encoder.end, *(given if isinstance(given, list) else [given])} - {None})


def before(stop: str | None, text: str) -> str:
    """`text` up to the first `stop` that follows something other than white space."""
    start = len(text) - len(text.lstrip())
    return text if stop is None else text[:start] + text[start:].partition(stop)[0]
