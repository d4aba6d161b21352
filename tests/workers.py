"""Functions for `test_executor` to run in worker processes."""

import os
import signal
import sys
import time
from collections.abc import Callable

import harness.worker  # noqa: F401 -- a process has one fork server: later tests' cells find torch imported
from harness.errors import UsageError
from tests.hanging import hang  # noqa: F401 -- called by its name

Send = Callable[[object], None]


def add(a: int, b: int, send: Send) -> int:
    send("adding")
    send(a)
    send(b)
    return a + b


def refuse(send: Send) -> None:
    raise UsageError("no such thing")


def divide(send: Send) -> float:
    return 1 / 0


def leave(send: Send) -> None:
    sys.exit(7)


def vanish(send: Send) -> None:
    os._exit(3)


def killed(send: Send) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(send: Send) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hungry(send: Send) -> None:
    raise MemoryError


def torch_hungry(send: Send) -> None:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes")


def linger(send: Send) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    send(os.getpid())
    time.sleep(600)
