"""What crosses between the parent and its workers: a loaded task, and the order for one cell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.budget import Budget
from harness.environment import Environment
from harness.model import ModelSource
from harness.plan import TaskSize
from harness.task import Splits

ENGINES = ("fast", "plain")
"""What `harness.engine` has, named where torch is not imported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A task as loaded once for the whole grid; `code` is `registry.code_of` it."""

    name: str
    description: str
    family: str
    version: int
    hash: str
    code: str | None
    size: TaskSize
    splits: Splits
    baselines: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class PassageLoss:
    """A model's mean loss (nats a token) on the held-out passages of one kind; `sha256` is over those."""

    loss: float
    passages: int
    tokens: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What every trained cell of a grid is held against: the base model's size and what it knows.

    Attributes:
        model_bytes: Size of the weights in the compute precision.
        losses: By kind of passage; see `retention`.
    """

    model_bytes: int
    losses: dict[str, PassageLoss]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """All that a worker needs for one cell; `task` and `method` are references for `registry`.

    `base` is None where nothing is trained or the base model could not be measured.
    """

    task: str
    method: str
    seed: int
    hub: bool
    chat: bool
    engine: str
    splits: Splits
    baselines: dict[str, float]
    budget: Budget
    source: ModelSource
    environment: Environment
    identity: dict[str, Any]
    base: Base | None
    results: Path
