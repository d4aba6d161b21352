"""Runs a generated program in a separate process. The verdict stays with the parent.

The child receives the program, a function name and arguments, never the expected results. It answers
with literal text, which the parent parses with `ast.literal_eval`. A program that tampers with its own
interpreter or forges messages can therefore only supply values, as an honest one does, and gains
nothing but a guess.

What is covered: endless loops (wall clock and CPU seconds), memory (1 GiB of address space), large
files and results, prints, exits, crashes, ordinary child processes, the parent's environment and the
current folder. Results do not depend on hash randomisation.

What is not covered: reading files that the user can read, the network, processes that leave their
process group (`os.setsid` after a fork; they keep their CPU limit), reading the parent's memory where
the kernel lets one process of a user trace another, filling the disk with many small files, and, for
root, the limit on the number of processes. Where `resource` does not exist (Windows) only the wall
clock, the empty environment and the verdict remain. Run models that you distrust in a container.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import marshal
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from harness.errors import SandboxError

_MEMORY_BYTES = 1 << 30
_FILE_BYTES = 1 << 20
_MAX_DEPTH = 50

# What the child runs. It imports as little as it can, because its start is most of the cost. The limits
# are set here and not in a `preexec_fn`, which is unsafe in a parent with threads and rules out vfork.
_DRIVER = f"""
import marshal, os, sys
source, name, calls, seconds = marshal.loads(sys.stdin.buffer.read())
channel, null = os.dup(1), os.open(os.devnull, os.O_RDWR)
for fd in (0, 1, 2):
    os.dup2(null, fd)
try:
    import resource
except ImportError:
    resource = None
for key, limit in (("CPU", seconds), ("AS", {_MEMORY_BYTES}), ("FSIZE", {_FILE_BYTES}), ("CORE", 0),
                   ("NOFILE", 32), ("NPROC", 0)):
    try:
        resource.setrlimit(getattr(resource, "RLIMIT_" + key), (limit, limit))
    except (AttributeError, OSError, ValueError):
        pass

def text(value, depth=0):
    kind = type(value)
    if depth > {_MAX_DEPTH}:
        raise ValueError("result is nested too deeply")
    if kind is float and value != value:
        return "0j"
    if kind is float:
        return repr(value).replace("inf", "1e999")
    if kind in (int, str, bytes, bool, type(None)):
        return repr(value)
    if kind is dict:
        rows = [text(k, depth + 1) + ":" + text(v, depth + 1) for k, v in value.items()]
        return "{{" + ",".join(rows) + "}}"
    if kind not in (list, tuple, set):
        raise TypeError("result holds a " + kind.__name__ + ", which is not a plain value")
    rows = "".join(text(item, depth + 1) + "," for item in value)
    if kind is set:
        return "{{" + rows + "}}" if rows else "set()"
    return "[" + rows + "]" if kind is list else "(" + rows + ")"

def send(mark, body, write=os.write, channel=channel, size={_FILE_BYTES} // (len(calls) + 1)):
    line = (mark + body + "\\n").encode("utf-8", "backslashreplace")
    write(channel, line if len(line) <= size else b"!'result is too large'\\n")

def attempt(make):
    try:
        return "=", text(make())
    except BaseException as error:
        return "!", repr((type(error).__name__ + ": " + str(error))[:200])

scope = {{"__name__": "program", "__builtins__": __builtins__}}
mark, body = attempt(lambda: exec(compile(source, "program", "exec"), scope))
for call in calls:
    send(*((mark, body) if mark == "!" else attempt(lambda: scope[name](*call))))
os._exit(0)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one call gave.

    Attributes:
        value: The result, of plain types only. Means nothing where `error` is set.
        error: Why there is no result, or None.
    """

    value: object = None
    error: str | None = None


def run_function(
    source: str, name: str, calls: Sequence[tuple[object, ...]], *, seconds: float = 4.0
) -> list[Outcome]:
    """Runs `source` in a fresh process and calls its function `name` once for each argument tuple.

    Args:
        source: A Python program that defines the function.
        name: The function to call.
        calls: Arguments, of plain types. The calls share one process and run in order.
        seconds: Wall-clock limit on the whole, the interpreter's start included.

    Returns:
        One outcome a call, in order. Calls that were not reached have an error.

    Raises:
        SandboxError: No process could be started.
        ValueError: The arguments hold something that is not a plain value.
    """
    # Version 2 of the format keeps no references: two calls that share a list receive a copy each.
    request = marshal.dumps((source, name, list(calls), math.ceil(seconds) + 1), 2)
    # Files rather than pipes: nothing to drain, so neither a flood nor a stray holder of the other end
    # can block the parent.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as asked,
        tempfile.TemporaryFile() as answered,
    ):
        asked.write(request)
        asked.seek(0)
        code = _run(asked, answered, folder, seconds)
        answered.seek(0)
        return _outcomes(answered.read(_FILE_BYTES + 1), len(calls), code)


def describe() -> str:
    """The isolation that generated programs get here, in words."""
    limits = (
        "CPU, memory, file and process limits"
        if importlib.util.find_spec("resource")
        else "no limits but time"
    )
    return f"separate process, empty environment, private folder, {limits}; no namespaces"


def same(a: object, b: object) -> bool:
    """Whether two plain values agree, types included: True is not 1, and 1 is not 1.0.

    Floats agree within a relative 1e-9, and nan agrees with nan; keys of dictionaries and members of
    sets must agree exactly, in any order.
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    # The repr of a plain hashable value tells its type as well, where `==` takes 1 for True.
    if isinstance(a, set) and isinstance(b, set):
        return {repr(item) for item in a} == {repr(item) for item in b}
    if isinstance(a, dict) and isinstance(b, dict):
        left, right = ({repr(key): value for key, value in side.items()} for side in (a, b))
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return a == b


def _run(asked: IO[bytes], answered: IO[bytes], folder: str, seconds: float) -> int | None:
    """Runs the driver to its end and kills what it leaves behind; the exit code, or None at a timeout."""
    # Like -I (-E -s -P) but for PYTHONHASHSEED, which -E would ignore: a program that walks a set of
    # strings must behave the same in every run.
    command = [sys.executable, "-s", "-P", "-S", "-B", "-c", _DRIVER]
    environment = {"PYTHONHASHSEED": "0"}
    if "SYSTEMROOT" in os.environ:  # Windows starts no Python without it
        environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    try:
        process = subprocess.Popen(
            command,
            stdin=asked,
            stdout=answered,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxError(f"cannot start {sys.executable!r} to run a generated program: {error}") from error
    try:
        finished = _wait(process, seconds)
    finally:
        # Before the child is reaped, so that its number still names its group and nobody else's.
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
    return process.returncode if finished else None


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process ended in time. Leaves it unreaped where the system has process descriptors."""
    if hasattr(os, "pidfd_open"):
        # Wakes at once, where `Popen.wait` sleeps up to 50 ms at a time.
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(process.pid)
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                return bool(poll.poll(seconds * 1000))
            finally:
                os.close(descriptor)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _outcomes(answer: bytes, count: int, code: int | None) -> list[Outcome]:
    """Reads the child's lines: "=" and a value, or "!" and an error. Anything else voids all of them."""
    lines = answer.split(b"\n")[:-1]
    missing = "timed out" if code is None else f"ended early with exit code {code}"
    try:
        if len(lines) > count or len(answer) > _FILE_BYTES:
            raise ValueError("more results than calls")
        outcomes = [_outcome(line) for line in lines]
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        return [Outcome(error=f"garbled result channel: {error}")] * count
    return outcomes + [Outcome(error=missing)] * (count - len(outcomes))


def _outcome(line: bytes) -> Outcome:
    mark, value = line[:1], _plain(ast.literal_eval(line[1:].decode()))
    if mark == b"!":
        return Outcome(error=str(value))
    if mark != b"=":
        raise ValueError("a line without a mark")
    return Outcome(value=value)


def _plain(value: object) -> object:
    """`value` with every complex number, which stands for nan on the channel, made nan again."""
    if isinstance(value, complex):
        return math.nan
    if isinstance(value, (list, tuple, set)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if value is not None and not isinstance(value, (int, float, str, bytes)):
        raise ValueError(f"a {type(value).__name__} is not a plain value")
    return value
