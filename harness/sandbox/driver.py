"""What the child runs: it locks itself in, then executes a program and answers calls. Never imported.

It sees the standard library alone and shares its interpreter with the program, so nothing it says is
believed: the parent takes values from it and compares them itself. The limits are set here and not between
fork and exec in the parent, which would be unsafe in a process with threads.
"""

import ctypes
import marshal
import os
import stat
import struct
import sys
from _json import encode_basestring_ascii as quote
from collections.abc import Callable
from functools import partial
from typing import Any


def receive() -> Any:
    """The next request: a length of four bytes and a marshalled value; ends the child at the end of input."""
    size = struct.unpack("<I", read(4))[0]
    return marshal.loads(read(size))


def read(size: int) -> bytes:
    """Exactly `size` bytes of the parent's."""
    parts = []
    while size:
        part = os.read(0, size)
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def limit(limits: dict[str, int]) -> None:
    """Resource limits, as many as the system has."""
    try:
        import resource
    except ImportError:
        return
    for name, value in limits.items():
        try:
            resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
        except (AttributeError, OSError, ValueError):
            # macOS has no usable address space limit; the parent's probe decides what a tier must hold.
            continue


def system(libc: "ctypes.CDLL", number: int, *arguments: object) -> int:
    """A system call's value; OSError where it fails."""
    value: int = libc.syscall(ctypes.c_long(number), *arguments)
    if value < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return value


def landlock(libc: "ctypes.CDLL", readable: list[str]) -> None:
    """Forbid every file but those beneath `readable`, TCP, and where the kernel can, signals to others.

    Numbers of calls and rights are those of linux/landlock.h.
    """
    create, add, restrict = 444, 445, 446
    version = system(libc, create, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 3:
        raise OSError(0, "before Linux 6.2 Landlock cannot forbid to empty a file")
    rights = (1 << (15, 15, 16)[min(version, 5) - 3]) - 1
    net, scoped = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attribute = ctypes.create_string_buffer(struct.pack("=QQQ", rights, net, scoped)[:size], size)
    ruleset = system(libc, create, attribute, ctypes.c_size_t(size), ctypes.c_uint(0))
    for path in readable:
        try:
            folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        # Reading files and folders; the second right does not apply to a file.
        allowed = 0b1100 if stat.S_ISDIR(os.fstat(folder).st_mode) else 0b110 if path == os.devnull else 0b100
        rule = ctypes.create_string_buffer(struct.pack("=Qi", allowed, folder), 12)
        system(libc, add, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint(0))
        os.close(folder)
    system(libc, restrict, ctypes.c_int(ruleset), ctypes.c_uint(0))
    os.close(ruleset)


def seccomp(libc: "ctypes.CDLL", program: bytes) -> None:
    """Install a classic BPF filter on this process's system calls."""
    set_seccomp, filter_mode = 22, 2
    rows = ctypes.create_string_buffer(program, len(program))
    length = len(program) // 8
    header = ctypes.create_string_buffer(struct.pack("@HP", length, ctypes.addressof(rows)))
    if libc.prctl(set_seccomp, filter_mode, header, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def lock(limits: dict[str, int], readable: list[str] | None, program: bytes | None) -> None:
    """Everything that keeps this process in, from the weakest to what forbids changing it."""
    limit(limits)
    if readable is None and program is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, death_signal, kill = 38, 1, 9
    if libc.prctl(death_signal, kill, 0, 0, 0) or libc.prctl(no_new_privileges, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if readable is not None:
        landlock(libc, readable)
    if program is not None:
        seccomp(libc, program)


def encode(value: Any, depth: int, most: int) -> str:
    """JSON for a plain value (see values.py); TypeError for anything else."""
    if depth > most:
        raise ValueError("result is nested too deeply")
    kind = type(value)
    if value is None or kind is bool:
        return "null" if value is None else "true" if value else "false"
    if kind is str:
        return quote(value)
    if kind is int:
        return repr(value) if -(2**63) <= value < 2**63 else f'["i","{value:x}"]'
    if kind is float:
        return f'["f","{value.hex()}"]'
    if kind is complex:
        return f'["c","{value.real.hex()}","{value.imag.hex()}"]'
    if kind is bytes:
        return f'["b","{value.hex()}"]'
    tags: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "z", dict: "d"}
    if kind not in tags:
        raise TypeError("result holds a " + kind.__name__ + ", which is not a plain value")
    items = [part for item in value.items() for part in item] if kind is dict else value
    return "[" + ",".join([f'"{tags[kind]}"', *[encode(item, depth + 1, most) for item in items]]) + "]"


def attempt(make: Callable[[], object], depth: int) -> str:
    """A line with the value of `make()`, or with why there is none."""
    try:
        return "=" + encode(make(), 0, depth)
    except BaseException as error:  # noqa: BLE001 -- whatever a program raises is its answer
        try:
            reason = (type(error).__name__ + ": " + str(error))[:200]
        except BaseException:  # noqa: BLE001 -- its text is the program's code as well
            reason = "an error that cannot be shown"
        return "!" + quote(reason)


def invoke(scope: dict[str, Any], name: str, arguments: tuple[object, ...]) -> object:
    """What the program's function returns."""
    return scope[name](*arguments)


def main() -> None:
    """Lock, load one program, answer its calls until the parent closes the channel."""
    # Modules that programs ask for most, while there is nothing to wait for.
    import collections  # noqa: F401
    import math  # noqa: F401
    import re  # noqa: F401
    import typing  # noqa: F401

    limits, readable, program, depth, size = receive()
    channel, null = os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
    lock(limits, readable, program)
    write = os.write

    def send(line: str) -> None:
        data = (line + "\n").encode("ascii")
        data = data if len(data) <= size else b'!"result is too large"\n'
        while data:
            data = data[write(channel, data) :]

    scope: dict[str, Any] = {"__name__": "program", "__builtins__": __builtins__}
    source = receive()
    send(attempt(lambda: exec(compile(source, "program", "exec"), scope), depth))
    while True:
        send(attempt(partial(invoke, scope, *receive()), depth))


if __name__ == "__main__":
    sys.setrecursionlimit(1000)
    main()
