"""What a comparison needs of one cell: conditions, item scores and costs, without outputs or curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import ResultError
from harness.identity import check_identity
from harness.result import ENVIRONMENT, STATUSES, DamagedError, Result
from harness.store import Store
from harness.typed import check


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One cell of either side.

    Attributes:
        identity: All that determined the cell, as in its result.
        metric: Name of the metric, None where the cell did not end ok.
        scores: Item scores (0 to 1) by item id; empty where the cell did not end ok.
        trained: Whether anything was trained.
        costs: Figures that were measured, by the names in `cost.TOLERANCES`, in their units there.
        environment: As in the result: device, versions, machine, commit.
    """

    status: str
    reason: str | None
    task: str
    method: str
    seed: int
    identity: Mapping[str, Any]
    metric: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    trained: bool = False
    costs: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ResultError(f"status {self.status!r:.80} is not one of {', '.join(STATUSES)}")
        check_identity(self.identity)
        check(self.environment, ENVIRONMENT, "environment")
        for item, score in self.scores.items():
            if not 0 <= score <= 1:
                raise ResultError(f"the score of item {item!r:.80} is {score!r}; it must be from 0 to 1")

    @property
    def cell(self) -> tuple[str, str]:
        """Task and method."""
        return self.task, self.method

    @property
    def seeded(self) -> bool:
        """Whether a seed can change its scores: it trains, or puts drawn examples before the prompts."""
        return self.trained or bool(self.identity.get("shots"))

    @property
    def measured(self) -> bool:
        """Whether it has scores to compare."""
        return self.status == "ok" and bool(self.scores)


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two sets that are compared, and what it is called."""

    name: str
    outcomes: tuple[Outcome, ...]

    def cells(self) -> dict[tuple[str, str], dict[int, Outcome]]:
        """Outcomes by task and method, then by seed."""
        found: dict[tuple[str, str], dict[int, Outcome]] = {}
        for one in sorted(self.outcomes, key=lambda one: (one.task, one.method, one.seed)):
            found.setdefault(one.cell, {})[one.seed] = one
        return found


def outcome(result: Result) -> Outcome:
    """What a comparison needs of a result."""
    return Outcome(
        status=result.status,
        reason=result.reason,
        task=result.task,
        method=result.method,
        seed=result.seed,
        identity=result.identity,
        metric=result.metric.name if result.metric else None,
        scores={item.id: item.score for item in result.items},
        trained=result.train is not None,
        costs=_costs(result),
        environment={
            name: result.environment.get(name)
            for name in ("device", "device_name", "machine", "commit", "versions", "platform")
        },
    )


def read_results(folder: Path, *, forgiving: bool = False) -> Side:
    """The results in a folder of a run.

    Args:
        folder: Holds `<task>/<method>/seed-<n>.json`.
        forgiving: Count a file that is damaged, or holds what is no score, as a cell that failed.

    Raises:
        ResultError: There are none, or one cannot be read.
    """
    store = Store(folder)
    found = []
    for path in store.paths():
        try:
            found.append(outcome(store.read(path)))
        except DamagedError as error:
            seed = path.stem.removeprefix("seed-")
            if not forgiving or not (seed.isascii() and seed.isdigit()):
                raise
            found.append(
                Outcome(
                    status="failed",
                    reason=str(error),
                    task=path.parent.parent.name,
                    method=path.parent.name,
                    seed=int(seed),
                    identity={},
                )
            )
    if not found:
        raise ResultError(f"no results under {folder}; expected <task>/<method>/seed-<n>.json files")
    return Side(name=str(folder), outcomes=tuple(found))


def _costs(result: Result) -> dict[str, float]:
    """The figures of one result that have a tolerance, those it has."""
    main = result.phases.get("train") or result.phases.get("evaluate")
    train, evaluate = result.phases.get("train"), result.phases.get("evaluate")
    figures: dict[str, float | None] = {
        "train_seconds": train.seconds if train else None,
        "evaluate_seconds": evaluate.seconds if evaluate else None,
        "tokens_per_second": result.train.tokens_per_second if result.train else None,
        "peak_bytes": main.peak_bytes if main else None,
        "train_flops": (result.flops or {}).get("train"),
        "trainable": (result.parameters or {}).get("trainable") if result.train else None,
        "disk_bytes": result.adapter_bytes,
    }
    return {name: float(value) for name, value in figures.items() if value is not None}
