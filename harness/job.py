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
    """A task as loaded once for the whole grid."""

    name: str
    family: str
    version: int
    hash: str
    size: TaskSize
    splits: Splits
    baselines: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """All that a worker needs for one cell; `task` and `method` are references for `registry`."""

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
    results: Path
