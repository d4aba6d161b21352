"""A child process that holds one generated program, and the exchange with it.

Requests are a length and a marshalled value, answers one line of text. The child may send anything at any
time, or nothing: every read and write has a deadline and a bound, and an answer that nobody asked for ends
the exchange.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import struct
import subprocess
import threading
import time
import weakref
from pathlib import Path
from typing import Any

from harness.errors import SandboxError
from harness.sandbox import values
from harness.sandbox.isolation import ENVIRONMENT, Tier

MEMORY_BYTES = 1 << 30
ANSWER_BYTES = 1 << 20
FILE_BYTES = 1 << 20
CPU_SECONDS = 60
"""A backstop for a child whose parent was stopped; the parent's own limit is far shorter."""

_DRIVER = (Path(__file__).parent / "driver.py").read_text(encoding="utf-8")
_LIMITS = {"CPU": CPU_SECONDS, "AS": MEMORY_BYTES, "FSIZE": FILE_BYTES, "CORE": 0, "NOFILE": 32, "NPROC": 0}


class ExchangeError(Exception):
    """The child is of no use any more: it ended, was too slow, or broke the form of an answer."""


class Child:
    """A started interpreter that waits for its program."""

    def __init__(self, tier: Tier, *, stderr: int = subprocess.DEVNULL) -> None:
        """Start it; it locks itself in while the caller goes on.

        Raises:
            SandboxError: No process could be started.
        """
        environment = dict(ENVIRONMENT)
        if "SYSTEMROOT" in os.environ:  # Windows starts no Python without it
            environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
        try:
            self._process = subprocess.Popen(
                [*tier.command, "-c", _DRIVER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd="/" if os.name == "posix" else None,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise SandboxError(
                f"cannot start {tier.command[0]!r} for a generated program: {error}"
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._buffer = bytearray()
        self._left = ANSWER_BYTES
        self.errors = self._process.stderr
        os.set_blocking(self._to, False)
        self._end = weakref.finalize(self, _end, self._process, os.getpid())
        settings = (_LIMITS, tier.readable, tier.filter, values.MAX_DEPTH, ANSWER_BYTES)
        with contextlib.suppress(ExchangeError):  # one that has ended already shows it at its first request
            self._send(settings, time.monotonic() + 1)

    def alive(self) -> bool:
        """Whether it still runs and has said nothing yet."""
        return self._process.poll() is None and not self._readable(0)

    def ask(self, request: Any, deadline: float) -> str:
        """The answer's line, without its end.

        Args:
            request: What `marshal` can write.
            deadline: On the monotonic clock, seconds.

        Raises:
            ExchangeError: There is none in time, or the child broke the exchange.
        """
        if self._buffer or self._readable(0):
            raise ExchangeError("garbled result channel: an answer before its question")
        self._send(request, deadline)
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            # The clock is asked as well: a drip of data would be ready each time.
            if time.monotonic() > deadline or not self._readable(deadline - time.monotonic()):
                raise ExchangeError("timed out")
            part = os.read(self._from, 1 << 16)
            if not part:
                raise ExchangeError(f"ended early with {self._ending()}")
            self._buffer += part
            self._left -= len(part)
            if self._left < 0:
                raise ExchangeError("garbled result channel: too much was written")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            return line.decode("ascii")
        except UnicodeDecodeError as error:
            raise ExchangeError("garbled result channel: not text") from error

    def kill(self) -> None:
        """End it and what it left behind; returns when it is gone. One that is dropped ends by itself."""
        self._end()

    def _send(self, request: Any, deadline: float) -> None:
        # Version 2 of the format keeps no references: two arguments that share a list become a copy each.
        body = marshal.dumps(request, 2)
        data = memoryview(struct.pack("<I", len(body)) + body)
        while data:
            poll = select.poll()
            poll.register(self._to, select.POLLOUT)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise ExchangeError("timed out")
            try:
                data = data[os.write(self._to, data) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise ExchangeError(f"ended early with {self._ending()}") from error

    def _readable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._from, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _ending(self) -> str:
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "its channel closed"
        return f"exit code {code}"


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """Kill a process and its group, in the process that started it and not in a fork of that."""
    if os.getpid() == owner:
        # Before it is reaped, so that its number still names its group and nobody else's.
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


class _Spare(threading.local):
    """One child of this thread, started ahead: a child dies with the thread that started it."""

    child: Child | None = None
    tier: Tier | None = None
    owner: int = 0


_spare = _Spare()


def take(tier: Tier) -> Child:
    """A fresh child that nobody used, mostly one that waits already; the next is started meanwhile."""
    waiting, _spare.child = _spare.child, None
    child = None
    if waiting is not None and _spare.owner == os.getpid():  # after a fork the spare is the parent's
        if _spare.tier is tier and waiting.alive():
            child = waiting
        else:
            waiting.kill()
    child = child or Child(tier)
    _spare.child, _spare.tier, _spare.owner = Child(tier), tier, os.getpid()
    return child
