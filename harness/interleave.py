"""Baseline code and candidate code, run alternately in one job, so that their seconds compare.

Two jobs on two machines of one kind differ by a quarter; two neighbours on one machine by a hundredth.
Each side is a checkout: its `python -m harness` runs in it, with its own code and plugins.

What is not covered: what the machine does between two neighbours, which alternating only evens out.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TuneoffError, UsageError

RAN = (0, 3)
"""Exit codes of a run that stored its results, failed cells included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """Which cells run on which side next."""

    side: str
    task: str
    method: str


def turns(tasks: Sequence[str], methods: Sequence[str]) -> list[Turn]:
    """Every task and method on both sides, in the order ABBA: neither side is always first or warm."""
    found = []
    for at, (task, method) in enumerate((task, method) for task in tasks for method in methods):
        sides = ("baseline", "candidate")[:: -1 if at % 2 else 1]
        found += [Turn(side=side, task=task, method=method) for side in sides]
    return found


def interleave(
    plan: Sequence[Turn],
    checkouts: dict[str, Path],
    results: dict[str, Path],
    options: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Run all turns; afterwards both results folders hold their side of the grid.

    Args:
        plan: From `turns`.
        checkouts: Folder of each side's code.
        results: Folder of each side's results, which must not exist or be empty: results of other code
            would count as this one's.
        options: Further options of `run`, the same for both sides.
        say: Told what happens, a line each.

    Raises:
        UsageError: A checkout is no folder, or a results folder holds something.
        TuneoffError: A run ended otherwise than with its results; its last line is the reason.
    """
    for side, folder in checkouts.items():
        if not folder.is_dir():
            raise UsageError(f"the {side}'s checkout {folder} is no folder")
    for side, folder in results.items():
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(
                f"{folder} is not empty; delete it or name another folder for the {side}'s results"
            )
    for number, turn in enumerate(plan, 1):
        say(f"{number} of {len(plan)}: {turn.side}, {turn.task} under {turn.method}")
        checkout = checkouts[turn.side]
        folder = results[turn.side].resolve()
        report = folder.with_name(f"{folder.name}-report")
        done = subprocess.run(
            [
                _python(checkout), "-m", "harness", "run", "--tasks", turn.task, "--methods", turn.method,
                *options, "--results", str(folder), "--reports", str(report),
            ],
            cwd=checkout, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode not in RAN:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise TuneoffError(f"the {turn.side}'s run ended with exit code {done.returncode}: {last}")


def _python(checkout: Path) -> str:
    """The interpreter of a checkout's own environment, else this one."""
    own = checkout.resolve() / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable
