"""Where results lie: one JSON file a cell, written atomically and read with care."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.atomic import write_atomic
from harness.errors import ResultError
from harness.result import DamagedError, Result

TEMPORARY = re.compile(r"\..+\.json\.\d+")
"""What `write_atomic` calls a result that is being written."""


class Store:
    """Results of one run, one file a cell: `<root>/<task>/<method>/seed-<n>.json`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, task: str, method: str, seed: int) -> Path:
        """Where that cell's result is or will be."""
        return self.root / task / method / f"seed-{seed}.json"

    def write(self, result: Result) -> None:
        """Store one result atomically, replacing an earlier one of the same cell."""
        write_atomic(self.path(result.task, result.method, result.seed), result.to_json())

    def read(self, path: Path) -> Result:
        """The result in `path`.

        Raises:
            DamagedError: It holds no result; the message names the file and what to do.
            ResultError: It cannot be read here, or a newer Tuneoff wrote it.
        """
        try:
            return Result.from_json(path.read_text(encoding="utf-8"))
        except (DamagedError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DamagedError(f"{path}: {error}. Delete the file and run the same command again.") from error
        except ResultError as error:
            raise ResultError(f"{path}: {error}") from error
        except OSError as error:
            raise ResultError(f"cannot read {path}: {error.strerror or error}") from error

    def set_aside(self, cells: Iterable[tuple[str, str, int]]) -> None:
        """Make way for new results of these cells; the old ones stay beside, until `replaced`.

        Raises:
            ResultError: The folder cannot be written.
        """
        for path in (self.path(*cell) for cell in cells):
            try:
                path.replace(_aside(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ResultError(f"cannot move {path}: {error.strerror or error}") from error

    def replaced(self, cell: tuple[str, str, int]) -> None:
        """Remove what was set aside of a cell that has its new result."""
        _aside(self.path(*cell)).unlink(missing_ok=True)

    def keep_damaged(self, path: Path) -> Path:
        """Move a file that cannot be read out of the way, for its owner to look at; where it is then."""
        return path.replace(path.with_name(f"{path.name}.damaged"))

    def tidy(self) -> None:
        """Remove what writers left that were killed in the middle; only whoever holds the folder may."""
        for path in self.root.glob("*/*/.*"):
            if TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def paths(self) -> Iterator[Path]:
        """Every result file, by task, method and seed."""
        yield from sorted(self.root.glob("*/*/seed-*.json"))

    def load(self) -> list[Result]:
        """Every stored result.

        Raises:
            ResultError: The folder holds none, or one of them cannot be read.
        """
        results = [self.read(path) for path in self.paths()]
        if not results:
            raise ResultError(f"no results under {self.root}; expected <task>/<method>/seed-<n>.json files")
        return results


def _aside(path: Path) -> Path:
    """Where an old result waits while a new one is made in its place."""
    return path.with_name(f"{path.name}.replaced")
