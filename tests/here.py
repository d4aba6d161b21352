"""Interfaces without what takes their time: programs run in this process, figures are not drawn.

Programs only where they are this project's own, and the verdict is asked for, not what keeps a program in.
"""

from __future__ import annotations

import builtins
import marshal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.sandbox import Outcome


class Program:
    """As `sandbox.Program`, but nothing ends a program that goes on."""

    def __init__(self, source: str) -> None:
        self._scope: dict[str, Any] = {"__name__": "program", "__builtins__": builtins}
        self._unloaded = _outcome(lambda: exec(compile(source, "program", "exec"), self._scope)).error

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def call(self, name: str, arguments: Sequence[object]) -> Outcome:
        if self._unloaded is not None:
            return Outcome(error=self._unloaded)
        copied = _copy(tuple(arguments))
        return _outcome(lambda: self._scope[name](*copied))


def run_function(source: str, name: str, calls: Sequence[Sequence[object]]) -> list[Outcome]:
    """As `sandbox.run_function`."""
    with Program(source) as program:
        return [program.call(name, arguments) for arguments in calls]


def touch(figure: Any, path: Path) -> None:
    """As `harness.report.chart.save`, for a figure that nobody looks at."""
    path.touch()


def _copy(value: Any) -> Any:
    """What crosses to a child and back: a copy, and of plain types alone."""
    return marshal.loads(marshal.dumps(value, 2))


def _outcome(make: Callable[[], object]) -> Outcome:
    try:
        return Outcome(value=_copy(make()))
    except Exception as error:  # noqa: BLE001 -- whatever a program raises is its answer
        return Outcome(error=f"{type(error).__name__}: {error}")
