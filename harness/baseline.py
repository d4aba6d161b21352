"""Accepted sets of results: one compact file with every item's score, and who accepted it, when and why.

A baseline holds no outputs and no curves, so it is small enough to commit, and what it was accepted from
can be deleted. Nothing but `accept` ever writes one.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Any

from harness import environment
from harness.atomic import write_atomic
from harness.errors import ResultError, UsageError
from harness.identity import upgraded
from harness.regression.outcome import Outcome, Side, read_results
from harness.store import Store
from harness.typed import build

FILE = "baseline.json"
VERSION = 1
LONGEST_REASON = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """Who accepted a baseline, and what it came from.

    Attributes:
        who: Name and address of git's configuration, else the account's name.
        when: In UTC, as ISO 8601.
        commit: Of the checkout that accepted it, with a plus sign if that was changed; None outside one.
        versions: Of Python and the packages that matter, where it was accepted.
        source: The results folder.
    """

    who: str
    when: str
    commit: str | None
    versions: Mapping[str, str]
    source: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """An accepted set of results."""

    accepted: Accepted
    outcomes: tuple[Outcome, ...]

    def side(self, name: str) -> Side:
        """The cells, to compare with."""
        return Side(name=name, outcomes=self.outcomes)


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """A baseline's JSON. `items` are each task's item ids, in the order of the cells' scores."""

    accepted: Accepted
    items: Mapping[str, tuple[str, ...]]
    cells: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scores:
    """What of a cell in the file is not as in its `Outcome`: None for items of its task that it has not."""

    task: str
    scores: tuple[float | None, ...]


def accept(results: Path, folder: Path, reason: str) -> Baseline:
    """Make the results of a run the baseline in `folder`, in place of the one there.

    Raises:
        UsageError: There is no reason, or a cell failed: what did not work is nothing to measure by.
        ResultError: The results cannot be read, or the file cannot be written.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason must say why, in 1 to {LONGEST_REASON} characters")
    side = read_results(results)
    bad = [one for one in side.outcomes if not one.measured and one.status != "skipped"]
    if bad:
        raise UsageError(
            f"{len(bad)} of {len(side.outcomes)} cells did not end ok, such as {bad[0].task}/{bad[0].method} "
            f"seed {bad[0].seed}: {bad[0].status}; a baseline needs all of them"
        )
    accepted = Accepted(
        who=_who(),
        when=now(),
        commit=environment.commit(Path.cwd(), ()),
        versions=environment.versions(),
        source=results.as_posix(),
        reason=reason,
    )
    baseline = Baseline(accepted=accepted, outcomes=side.outcomes)
    write_atomic(folder / FILE, _text(baseline))
    return baseline


def read(folder: Path) -> Baseline:
    """The baseline in a folder.

    Raises:
        ResultError: There is none, it was edited or damaged, or a newer Tuneoff wrote it.
    """
    path = folder / FILE
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(body, dict) or not isinstance(body.get("version"), int):
            raise ValueError("not a baseline: version is missing")
        if body["version"] != VERSION:
            raise ValueError(f"version {body['version']!r:.40} is not {VERSION}; this Tuneoff cannot read it")
        if body.pop("checksum", None) != _checksum(body):
            raise ValueError("the checksum does not match: the file was edited or damaged")
        baseline = _parsed(build(_File, body, "baseline"))
    except FileNotFoundError as error:
        raise ResultError(
            f"neither a baseline nor results in {folder}; "
            "`python -m harness baseline accept RESULTS --reason WHY` makes a baseline"
        ) from error
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError, ResultError) as error:
        raise ResultError(
            f"{path}: {error}. Take it from version control again, or accept another."
        ) from error
    return baseline


def read_side(folder: Path, *, forgiving: bool = False) -> Side:
    """Either side of a check: the baseline in a folder, or a run's results if it holds none.

    Raises:
        ResultError: Neither can be read.
    """
    if (folder / FILE).exists() or not any(Store(folder).paths()):
        return read(folder).side(str(folder))
    return read_results(folder, forgiving=forgiving)


def now() -> str:
    """This second, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parsed(file: _File) -> Baseline:
    outcomes = []
    for cell in file.cells:
        own = build(_Scores, cell, "cell")
        items = file.items.get(own.task, ())
        if own.scores and len(items) != len(own.scores):
            raise ResultError(
                f"task {own.task!r:.80} has {len(items)} items, a cell {len(own.scores)} scores"
            )
        scores = {item: score for item, score in zip(items, own.scores, strict=False) if score is not None}
        identity = upgraded(cell.get("identity"))
        outcomes.append(build(Outcome, {**cell, "identity": identity, "scores": scores}))
    return Baseline(accepted=file.accepted, outcomes=tuple(outcomes))


def _short(score: float | None) -> float | None:
    """The same number; zeros and ones take one character."""
    return int(score) if score in (0, 1) else score


def _text(baseline: Baseline) -> str:
    """A cell a line, so that a change of one cell is a change of one line."""
    items: dict[str, dict[str, None]] = {}
    for one in baseline.outcomes:
        items.setdefault(one.task, {}).update(dict.fromkeys(one.scores))
    head = {
        "version": VERSION,
        "accepted": asdict(baseline.accepted),
        "items": {task: list(ids) for task, ids in items.items() if ids},
    }
    cells = [
        {**asdict(one), "scores": [_short(one.scores.get(item)) for item in items[one.task]]}
        for one in baseline.outcomes
    ]
    body = json.loads(json.dumps({**head, "cells": cells}, allow_nan=False))
    lines = ",\n".join(_compact(cell) for cell in body["cells"])
    return f'{_compact(head)[:-1]},\n"cells":[\n{lines}\n],\n"checksum":"{_checksum(body)}"}}\n'


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _who() -> str:
    found = []
    for field in ("user.name", "user.email"):
        try:
            done = subprocess.run(["git", "config", field], capture_output=True, text=True, check=False)
        except OSError:
            break
        if done.stdout.strip():
            found.append(done.stdout.strip())
    name = " ".join([*found[:1], *(f"<{address}>" for address in found[1:])])
    try:
        return name or os.environ.get("USER") or getuser()
    except (KeyError, OSError, ImportError):  # a container may run under a number without a name
        return f"user {os.getuid()}"
