"""Runs generated programs where they can neither touch anything nor mark themselves passed.

The verdict stays here: a child receives a program, a function's name and arguments, never what is expected.
It answers with text, of which only plain values come out (see values.py). A program that tampers with
its own interpreter or forges answers can therefore only supply values, as an honest one does, and gains
nothing but a guess.

Each program gets a child of its own, with fresh namespaces where the machine has them (see isolation.py for
the tiers, SECURITY.md for what they hold and what they do not): a second or a few of wall-clock, 60 s of CPU,
1 GiB of address space, 32 open files, files and answers of 1 MiB, no processes and no threads.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from harness.errors import SandboxError
from harness.sandbox import isolation
from harness.sandbox.child import Child, ExchangeError, take
from harness.sandbox.values import decode, same

__all__ = ["Outcome", "Program", "describe", "run_function", "same"]

SECONDS = 4.0
"""The wall-clock that a program gets unless told otherwise, for its loading and all of its calls."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one call gave.

    Attributes:
        value: The result, of plain types only. Means nothing where `error` is set.
        error: Why there is no result, or None.
    """

    value: object = None
    error: str | None = None


class Program:
    """One generated program in a child of its own; a context manager.

    A trusted test can run here against it::

        with Program(source) as program:
            passed = program.call("area", (2, 3)).value == 6
    """

    def __init__(self, source: str, *, seconds: float = SECONDS, tier: isolation.Tier | None = None) -> None:
        """Take a child; the program is loaded at once.

        Args:
            source: A Python program.
            seconds: Wall-clock limit on its loading and all calls, trusted work between them included.
            tier: What keeps it in; the strongest that holds here by default.

        Raises:
            SandboxError: No tier holds, or no process could be started.
        """
        self._child = take(tier or _tier())
        self._deadline = time.monotonic() + seconds
        self._broken: str | None = None
        self._unloaded = self._ask(source).error

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()

    def call(self, name: str, arguments: Sequence[object]) -> Outcome:
        """What the program's function `name` returns for `arguments`, of plain types, which are copied.

        Raises:
            ValueError: The arguments hold something that is not a plain value.
        """
        if self._unloaded is not None:
            return Outcome(error=self._unloaded)
        return self._ask((name, tuple(arguments)))

    def _ask(self, request: object) -> Outcome:
        if self._broken is None:
            try:
                return _outcome(self._child.ask(request, self._deadline))
            except ExchangeError as error:
                self._broken = str(error)
        return Outcome(error=self._broken)


def run_function(
    source: str, name: str, calls: Sequence[Sequence[object]], *, seconds: float = SECONDS
) -> list[Outcome]:
    """Runs `source` in a fresh process and calls its function `name` once for each argument tuple.

    Args:
        source: A Python program that defines the function.
        name: The function to call.
        calls: Arguments, of plain types. The calls share one process and run in order.
        seconds: Wall-clock limit on the whole.

    Returns:
        One outcome a call, in order. Calls that were not reached have an error. If the program breaks the
        exchange, calls before that keep their values.

    Raises:
        SandboxError: Nothing here keeps a program in, or no process could be started.
        ValueError: The arguments hold something that is not a plain value.
    """
    with Program(source, seconds=seconds) as program:
        return [program.call(name, arguments) for arguments in calls]


def describe() -> str:
    """The isolation that generated programs get here, in words.

    Raises:
        SandboxError: None.
    """
    return _tier().describe()


def described() -> str:
    """The same, or why there is none: tasks that run no program run all the same."""
    try:
        return describe()
    except SandboxError as error:
        return f"none: {error}"


@functools.cache
def _choose(wanted: str | None) -> isolation.Tier:
    return isolation.choose(wanted, _try_out)


def _tier() -> isolation.Tier:
    return _choose(os.environ.get(isolation.SWITCH))


def _try_out(tier: isolation.Tier) -> str | None:
    """What is wrong with a tier, or None: it must run a program, and unless it is `process`, keep it in."""
    # In the home folder, which is where a private file would be; elsewhere if that cannot be written.
    home = Path.home()
    with tempfile.TemporaryDirectory(
        prefix=".tuneoff-probe-", dir=home if os.access(home, os.W_OK) else None
    ) as folder:
        secret = Path(folder, "secret")
        secret.touch()
        arguments = (str(secret), str(Path(folder, "target")), os.getpid())
        with Program(isolation.ESCAPES, tier=tier) as program:
            outcome = program.call("escapes", arguments)
    if outcome.error is not None:
        return _complaint(tier) or outcome.error
    if tier.name == "process" or outcome.value == []:
        return None
    return f"a program could {outcome.value}"


def _complaint(tier: isolation.Tier) -> str:
    """The last line that a child of this tier writes when it cannot start."""
    child = Child(tier, stderr=subprocess.PIPE)
    try:
        child.ask("", time.monotonic() + SECONDS)
    except ExchangeError:
        lines = child.errors.read().decode(errors="replace").strip().splitlines() if child.errors else []
        return lines[-1] if lines else ""
    finally:
        child.kill()
    return ""


def _outcome(line: str) -> Outcome:
    """Reads a line: "=" and a value, or "!" and an error.

    Raises:
        ExchangeError: It is neither.
    """
    try:
        if line[:1] == "=":
            return Outcome(value=decode(line[1:]))
        reason = decode(line[1:]) if line[:1] == "!" else None
    except ValueError as error:
        raise ExchangeError(f"garbled result channel: {error}") from error
    if not isinstance(reason, str):
        raise ExchangeError("garbled result channel: a line without a mark")
    # The program may have written it: short, and nothing that a terminal obeys or a file cannot hold.
    shown = "".join(character if character.isprintable() else "?" for character in reason[:200])
    return Outcome(error=shown)
