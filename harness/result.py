"""What one cell leaves behind: a frozen record, and its JSON form."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.errors import ResultError
from harness.extras import Checkpoint, Merged, Retention
from harness.identity import check_identity, upgraded
from harness.typed import build, check

SCHEMA_VERSION = 5
READABLE = (1, 2, 3, 4, 5)
"""What an older version has not is read as None or empty: 1 has no baselines, 2 no rungs, retention or
readability, 3 no checkpoints and nothing merged, 4 no reason why. Budgets get what 3 has not: `identity`."""
STATUSES = ("ok", "skipped", "oom", "degenerate", "failed", "timeout")
ENVIRONMENT: dict[str, Any] = {
    "versions": Mapping[str, Any] | None,
    **dict.fromkeys(("memory_bytes", "gpu_memory_bytes"), float | None),
}
"""What a report reads of the mapping, which is otherwise free."""
FINAL = frozenset({"ok", "skipped", "degenerate"})
"""Statuses that the same command again would only reproduce; the others are tried again."""
PLACE = ("machine", "precision")
"""Parts of an identity that say where a cell ran; a machine computes in the precision that it is fast in."""


class DamagedError(ResultError):
    """The file's text is not a result, or no longer the one that was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """The mean item score with its 95% interval over `n` items, all from 0 to 1."""

    name: str
    value: float
    ci_low: float
    ci_high: float
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One test item: its score (0 to 1) and what the model answered.

    `truncated` is of prompt or answer, `unfinished` of the answer alone; `readable` is the task's word.
    """

    id: str
    score: float
    output: str
    truncated: bool
    unfinished: bool | None = None
    readable: bool | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise ResultError(f"the score of item {self.id!r:.80} is {self.score!r}; it must be from 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One optimizer step: cumulative target-loss inputs and train-clock seconds at its end.

    `loss` is the mean over target tokens (nats); `grad_norm` the L2 norm before clipping.
    Either is None where it was not finite.
    """

    step: int
    tokens: int
    seconds: float
    loss: float | None
    learning_rate: float
    grad_norm: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """What one phase cost. Byte figures are absolute peaks within the phase, None where unknown.

    `peak_bytes` is the peak resident set on a CPU and the peak allocated by torch on a GPU;
    `peak_reserved_bytes` and `peak_device_bytes` (NVML, the whole process) exist on a GPU only.
    """

    seconds: float
    peak_bytes: int | None
    peak_reserved_bytes: int | None = None
    peak_device_bytes: int | None = None
    utilisation: float | None = None
    energy_joules: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One learning rate tried on dev: its score there and the seconds it took, evaluation included.

    `rung` counts from 1 and `steps` are the optimizer steps that the rate was tried for.
    """

    learning_rate: float
    score: float
    seconds: float
    rung: int | None = None
    steps: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """The training run that was evaluated: what it saw, repetitions included; `tokens` without padding.

    `drawn` are the different examples that it drew on, of which `truncated` were cut.
    """

    steps: int
    examples: int
    tokens: int
    tokens_per_second: float
    learning_rate: float
    truncated: int
    trials: tuple[Trial, ...] = ()
    drawn: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Everything measured in one cell.

    Attributes:
        identity: All that determined the outcome, as plain JSON values; results with equal
            identities are interchangeable.
        baselines: Mean score on the same test items of answers without learning, by rule.
        parameters: `total` and `trainable` counts.
        adapter_bytes: Size of the file that training leaves, an adapter's or a whole model's; None if
            nothing is trained or it could not be written.
        model_bytes: Size of the base model's weights in the compute precision, to hold that against.
        retention: By kind of passage, "prose" and "code"; None where nothing was trained.
        checkpoints: Scores on dev items while it trained, which chose nothing.
        merged: None where nothing was merged.
        unmerged: Why the adapter of a cell that ended ok was not, where merging was asked for; version 4 and
            earlier ones do not tell.
        flops: `train` and `evaluate` as counted, `train_formula` by the published formula.
        environment: Device, versions, machine fingerprint, commit.
    """

    status: str
    reason: str | None
    task: str
    method: str
    seed: int
    identity: Mapping[str, Any]
    family: str
    metric: Metric | None = None
    baselines: Mapping[str, float] | None = None
    items: tuple[Item, ...] = ()
    curve: tuple[Point, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    phases: Mapping[str, Phase] = field(default_factory=dict)
    train: Training | None = None
    generation: Mapping[str, Any] | None = None
    parameters: Mapping[str, int] | None = None
    adapter_bytes: int | None = None
    model_bytes: int | None = None
    retention: Mapping[str, Retention] | None = None
    merged: Merged | None = None
    unmerged: str | None = None
    flops: Mapping[str, float | None] | None = None
    energy_joules: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ResultError(f"status {self.status!r} is not one of {', '.join(STATUSES)}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the identity."""
        return fingerprint(self.identity)

    @property
    def place(self) -> tuple[Any, ...]:
        """Where it ran, by `PLACE`."""
        return tuple(self.identity.get(name) for name in PLACE)

    def to_json(self) -> str:
        """The file's text, with a checksum over all the rest."""
        body = {**asdict(self), "fingerprint": self.fingerprint}
        return json.dumps({**body, "checksum": _checksum(body)}, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """The result that `to_json` wrote.

        Raises:
            DamagedError: The text is incomplete, was edited, or is of no schema version there ever was.
            ResultError: A newer Tuneoff wrote it.
        """
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"not a complete JSON object ({error})") from error
        if not isinstance(body, dict) or "schema_version" not in body:
            raise DamagedError("not a Tuneoff result: schema_version is missing")
        version = body["schema_version"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ResultError(
                f"a newer Tuneoff wrote it (schema_version {version}; this one reads {SCHEMA_VERSION}); "
                "upgrade, or name another folder"
            )
        if version not in READABLE:
            raise DamagedError(f"schema_version {version!r} is not one of {', '.join(map(str, READABLE))}")
        checksum = body.pop("checksum", None)
        if checksum != _checksum(body):
            raise DamagedError("the checksum does not match: the file was edited or damaged")
        del body["fingerprint"]
        if "model_bytes" not in body:
            body["adapter_bytes"] = None  # it was the size in memory of the trained tensors
        body["schema_version"] = SCHEMA_VERSION
        result = build(cls, {**body, "identity": upgraded(body.get("identity"))})
        check_identity(result.identity)
        check(result.environment, ENVIRONMENT, "environment")
        return result


def fingerprint(identity: Mapping[str, Any]) -> str:
    """SHA-256 of an identity, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def finite(value: float) -> float | None:
    """The value, or None where it is NaN or infinite: JSON has no word for those."""
    return value if math.isfinite(value) else None


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
