"""What was accepted and checked over time, a line each: small enough to commit, and to draw.

Lines are only ever added. Two commits that each add one conflict in version control; keep both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from harness.atomic import write_atomic
from harness.errors import ResultError
from harness.regression.outcome import Outcome
from harness.result import fingerprint
from harness.typed import build

KINDS = ("accept", "check")
LONGEST = 100_000_000
"""Characters of a history file; what is longer is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One method in one entry, over its tasks: mean score (0 to 1), and mean costs where known."""

    quality: float
    tasks: int
    train_seconds: float | None = None
    peak_bytes: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One accepted baseline, or the candidate of one check.

    Attributes:
        kind: "accept" or "check".
        when: In UTC, as ISO 8601.
        commit: Of the checkout, None outside one.
        verdict: Of a check; None for a baseline.
        reason: Of a baseline; None for a check.
        conditions: Hash of task data, model and budget: only entries of one are drawn as one line.
        machine: Fingerprint; None if several. Only seconds of one are.
    """

    kind: str
    when: str
    who: str | None
    commit: str | None
    verdict: str | None
    reason: str | None
    conditions: str
    machine: str | None
    methods: Mapping[str, Record]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ResultError(f"kind {self.kind!r:.80} is not one of {', '.join(KINDS)}")


def entry(
    outcomes: Sequence[Outcome],
    *,
    kind: str,
    when: str,
    commit: str | None,
    who: str | None = None,
    verdict: str | None = None,
    reason: str | None = None,
) -> Entry:
    """The entry for these outcomes; those that did not end ok are left out."""
    measured = [one for one in outcomes if one.measured]
    conditions = sorted(
        {
            fingerprint(
                {
                    name: one.identity.get(name)
                    for name in (
                        "task",
                        "task_hash",
                        "data",
                        "chat_template",
                        "budget",
                        "device",
                        "precision",
                    )
                }
            )
            + str((one.identity.get("model") or {}).get("sha256"))
            for one in measured
        }
    )
    machines = {one.environment.get("machine") for one in measured}
    machine = machines.pop() if len(machines) == 1 else None
    return Entry(
        kind=kind,
        when=when,
        who=who,
        commit=commit,
        verdict=verdict,
        reason=reason,
        conditions=fingerprint({"cells": conditions})[:16],
        machine=None if machine is None else str(machine),
        methods={
            method: _record([one for one in measured if one.method == method])
            for method in dict.fromkeys(one.method for one in measured)
        },
    )


def append(path: Path, new: Entry) -> None:
    """Add a line; another process may be doing the same.

    Raises:
        ResultError: The file cannot be read or written.
    """
    line = json.dumps(asdict(new), allow_nan=False, separators=(",", ":")) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            write_atomic(path, text + ("\n" if text and not text.endswith("\n") else "") + line)
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror or error}") from error


def read(path: Path) -> list[Entry]:
    """Every entry, the oldest first.

    Raises:
        ResultError: There is no such file, or a line of it is no entry; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ResultError(
            f"there is no history {path}; `baseline accept` and `check --history` write one"
        ) from error
    except (OSError, ValueError) as error:
        raise ResultError(f"cannot read {path}: {error}") from error
    if len(text) > LONGEST:
        raise ResultError(f"{path} is too long for a history")
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(build(Entry, json.loads(line)))
        except (ValueError, RecursionError, ResultError) as error:
            raise ResultError(f"{path}, line {number}: {error}") from error
    return sorted(found, key=lambda one: one.when)


def _record(outcomes: Sequence[Outcome]) -> Record:
    tasks: dict[str, list[Outcome]] = {}
    for one in outcomes:
        tasks.setdefault(one.task, []).append(one)
    means = [_mean([_mean(list(one.scores.values())) for one in own]) for own in tasks.values()]
    return Record(
        quality=_mean(means),
        tasks=len(tasks),
        train_seconds=_cost(outcomes, "train_seconds"),
        peak_bytes=_cost(outcomes, "peak_bytes"),
    )


def _cost(outcomes: Sequence[Outcome], name: str) -> float | None:
    known = [one.costs[name] for one in outcomes if name in one.costs]
    return _mean(known) if len(known) == len(outcomes) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
