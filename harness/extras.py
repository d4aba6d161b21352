"""What a cell measures beside the task's own test items, as a result keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """Mean loss (nats a token) of the base model and of the trained one on the same held-out passages.

    A loss is None where it was not finite. `tokens` are those predicted; `sha256` is over the passages,
    which are those of the standard library of this version of `python`.
    """

    loss_before: float | None
    loss_after: float | None
    passages: int
    tokens: int
    sha256: str
    python: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The mean score (0 to 1) on `n` dev items, and what training it took: `seconds` are the train clock's.

    Step 0 is the adapted model before it is trained.
    """

    step: int
    examples: int
    tokens: int
    seconds: float
    score: float
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Tokens a second: read in one forward pass, and written one after another; all prompts at once."""

    forward: float
    generation: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """An adapter merged into the weights, against the same model with the adapter beside them.

    `difference` is the greatest of two logits at one place (None where it was not finite), `tolerance` what
    rounding explains of it; `agreement` the share of `tokens` after which both expect the same next one.
    """

    difference: float | None
    tolerance: float | None
    agreement: float
    prompts: int
    tokens: int
    apart: Speed
    merged: Speed
