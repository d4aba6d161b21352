"""Where work runs: one fresh process a call, forked from a server that has torch imported already.

A worker that dies, hangs or runs out of memory is an outcome, never the end of the run.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from harness.errors import TuneoffError, UsageError

WORK = "harness.worker"
"""The module whose functions run in workers. It imports torch, so the parent never imports it."""

TERMINATE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Died:
    """A call that brought no value: the status its result gets, and why."""

    status: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Raised:
    """A user error that the call raised, to be raised again in the parent."""

    error: TuneoffError


class Executor:
    """Runs functions of one module in worker processes, one at a time."""

    def __init__(self, module: str = WORK) -> None:
        self._module = module
        _adopt_orphans()
        if "forkserver" in multiprocessing.get_all_start_methods():
            self._context: Any = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload([module])
        else:
            self._context = multiprocessing.get_context("spawn")

    def call(
        self,
        function: str,
        *arguments: Any,
        timeout: float,
        on_message: Callable[[Any], None] = lambda message: None,
    ) -> Any:
        """The module's `function(*arguments, send)` in a fresh process: its value, or `Died`.

        What the function passes to `send` reaches `on_message`; all of it must be picklable.

        Raises:
            TuneoffError: The function raised one, or no process can be started here.
        """
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_worker, args=(self._module, function, arguments, sender), daemon=False
        )
        kills = _kernel_kills()
        _start(process)
        known = {child.pid for child in psutil.Process().children()}
        sender.close()
        try:
            outcome = self._follow(process, receiver, timeout, on_message)
        except BaseException:
            # No grace: whoever interrupts again while it is waited for would leave the worker running.
            process.kill()
            raise
        finally:
            _stop(process)
            _end_orphans(known)
            receiver.close()
        if outcome is None:
            outcome = _died(process.exitcode, kills)
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome

    def _follow(
        self, process: Any, receiver: Connection, timeout: float, on_message: Callable[[Any], None]
    ) -> Any:
        """Pass messages on until the value comes; None if the process ended without one."""
        deadline = time.monotonic() + timeout
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return Died(status="timeout", reason=f"stopped after {timeout:.0f} s, its limit")
            ready = wait([receiver, process.sentinel], timeout=min(remaining, 1.0))
            if receiver not in ready:
                # What the worker left behind may hold its end of the pipe open: then no end of file comes.
                if process.sentinel in ready and not receiver.poll():
                    process.join(TERMINATE_SECONDS)
                    return None
                continue
            try:
                kind, value = receiver.recv()
            except (EOFError, ConnectionResetError):
                process.join(TERMINATE_SECONDS)
                return None
            if kind == "value":
                return value
            on_message(value)


def _start(process: Any) -> None:
    try:
        process.start()
    except (OSError, EOFError) as error:
        if "AF_UNIX path too long" not in str(error):
            raise UsageError(
                f"cannot start a worker process ({error or 'what starts them ended'}): memory may be short, "
                f"or {tempfile.gettempdir()}, where temporary files go, full or missing"
            ) from error
        raise UsageError(
            f"{tempfile.gettempdir()}, where temporary files go, is too long a path for the sockets of "
            "worker processes; set TMPDIR to a shorter one"
        ) from error


def _worker(module: str, function: str, arguments: tuple[Any, ...], sender: Connection) -> None:
    """Entry point of a worker process."""
    with contextlib.suppress(AttributeError):
        os.setsid()  # so that stopping the worker also stops what it started
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _guard(multiprocessing.parent_process(), sender)
    lock = threading.Lock()

    def send(kind: str, value: Any) -> None:
        with lock:
            sender.send((kind, value))

    try:
        work = getattr(importlib.import_module(module), function)
        value = work(*arguments, lambda message: send("message", message))
    except BaseException as error:
        if is_out_of_memory(error):
            value = Died(status="oom", reason=first_line(error))
        elif isinstance(error, TuneoffError):
            value = Raised(error=error)
        else:
            value = Died(status="failed", reason=f"{first_line(error)} at {where(error)}")
        send("value", value)
        if isinstance(value, Died):
            with contextlib.suppress(OSError, ValueError):  # a plugin may have closed it
                traceback.print_exc(file=sys.stderr)
        raise SystemExit(1) from error
    send("value", value)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether there was no memory: Python and torch on a GPU have types for it, torch on a CPU has none."""
    if error is None:
        return False
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or is_out_of_memory(error.__cause__)
    )


def first_line(error: BaseException) -> str:
    """An error's type and the first line of its message."""
    line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def where(error: BaseException) -> str:
    """File and line that raised an error."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def _guard(parent: Any, sender: Connection) -> None:
    """Have this process ended as soon as the parent is gone: nobody would wait for its cell.

    By another process: a thread could not while a regular expression holds the interpreter's lock.
    """
    worker = os.getpid()
    if not hasattr(os, "fork"):
        threading.Thread(target=_end_with, args=(parent, worker), daemon=True).start()
    elif os.fork() == 0:
        sender.close()
        _end_with(parent, worker)


def _end_with(parent: Any, worker: int) -> None:
    """Once the parent is gone, end the worker, all it started, and this process."""
    wait([parent.sentinel])
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(worker)
        # The worker first: it must not take the death of a child for an answer.
        for one in (process, *process.children(recursive=True)):
            if one.pid != os.getpid():
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
    if hasattr(os, "killpg"):
        os.killpg(worker, signal.SIGKILL)
    os._exit(1)


def _adopt_orphans() -> None:
    """From now on this process is the parent of what its workers leave behind (Linux; else does nothing)."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _end_orphans(known: set[int]) -> None:
    """End every child of this process but the known ones, and the children that they leave in turn."""
    while orphans := [child for child in psutil.Process().children() if child.pid not in known]:
        for orphan in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()
        ended, _ = psutil.wait_procs(orphans, timeout=TERMINATE_SECONDS)
        if not ended:  # stuck in the kernel
            return


def _stop(process: Any) -> None:
    """End the process and its group, if it still runs."""
    process.join(2.0)  # a worker that has sent its value only has to leave
    if process.is_alive():
        process.terminate()
        process.join(TERMINATE_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    if hasattr(os, "killpg") and process.pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _died(exitcode: int | None, kills_before: int) -> Died:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        if name == "SIGKILL" and _kernel_kills() > kills_before:
            return Died(status="oom", reason="killed by the kernel for lack of memory")
        return Died(status="failed", reason=f"the worker was ended by {name}")
    return Died(status="failed", reason=f"the worker left with exit code {exitcode} and no result")


def _kernel_kills() -> int:
    """How many processes the kernel has killed for memory so far; 0 where it does not say."""
    statistics = Path("/proc/vmstat")
    if statistics.exists():
        for line in statistics.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
