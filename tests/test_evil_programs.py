"""Runs every program of `tests/evil_programs` in both tiers: none may pass or touch anything.

A program's `f(secret, target, parent, port)` is told what it would have to guess: a file it must not read,
a path it must not create, the test's process and the port of its listeners. It returns "escaped" or what it
read. It is never told `expected`, so that it passes only if it found it out. The programs end in `.evil`,
because what they do is what linters forbid.
"""

import contextlib
import ctypes
import marshal
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil
import pytest

from harness import sandbox
from harness.errors import SandboxError
from harness.sandbox import Outcome, describe, isolation, run_function, same
from harness.sandbox.child import _spare

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has tiers that keep programs in")

SECONDS = 1.0
SLACK = 10.0
"""What a run may take beyond its limit: two children's start, one's end and the reading of an answer, on a
slow processor beside other tests."""

PROGRAMS = {path.stem: path for path in sorted((Path(__file__).parent / "evil_programs").glob("*.evil"))}
WATCHED = ("SIGHUP", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT", "SIGURG", "SIGIO", "SIGWINCH")
PUBLIC = [1, 2, 3]
"""What the programs named `*_result` should return: they give something that only looks like it."""

# Run without isolation to show that the checks see what they are there to see. These do no harm.
SEEN = {
    "read_home": "value",
    "overwrite_secret": "files",
    "write_outside": "files",
    "chmod_secret": "files",
    "connect_tcp": "network",
    "connect_udp": "network",
    "connect_unix": "network",
    "connect_abstract": "network",
    "kill_parent": "signals",
    "double_fork": "processes",
}


@dataclass(kw_only=True)
class Surroundings:
    """What a program could reach, and what it did to it."""

    folders: list[Path]
    token: str
    marker: str
    port: int
    listeners: list[socket.socket]
    signals: list[int] = field(default_factory=list)
    before: dict[str, object] = field(default_factory=dict)

    def arguments(self) -> list[tuple[object, ...]]:
        # One folder is in the home folder and one in /tmp, which a tier may replace by a private one.
        return [(str(f / "secret"), str(f / "target"), os.getpid(), self.port) for f in self.folders]

    def files(self) -> dict[str, object]:
        """Every file that a program knows of, with what can be changed about it."""
        standard = Path(os.__file__).parent
        places = [Path(os.__file__), standard, standard / "site-packages", Path(sys.executable).resolve()]
        places += [path for folder in self.folders for path in (folder, *sorted(folder.iterdir()))]
        state: dict[str, object] = {}
        for place in filter(Path.exists, places):
            facts = place.stat()
            text = place.read_bytes() if place.name == "secret" else None
            state[str(place)] = (facts.st_mode, facts.st_nlink, facts.st_uid, facts.st_mtime_ns, text)
        for shared in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/"):
            for left in Path(shared).glob("tuneoff-evil-*"):
                state[str(left)] = "left behind"
        return state

    def heard(self) -> list[int]:
        """The listeners that got something, by their place."""
        found = []
        for i, listener in enumerate(self.listeners):
            with contextlib.suppress(BlockingIOError):
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(64)
                else:
                    listener.accept()[0].close()
                found.append(i)
        return found

    def trouble(self, outcomes: Sequence[Outcome]) -> list[str]:
        """The kinds of harm that were done."""
        # Not their repr: Python refuses to write integers of many digits.
        said = marshal.dumps([(outcome.value, outcome.error) for outcome in outcomes])
        checks = {
            "value": any(word.encode() in said for word in ("escaped", self.token, self.marker)),
            "files": self.files() != self.before,
            "network": bool(self.heard()),
            "signals": bool(self.signals),
            "processes": bool(left_behind()),
        }
        return [kind for kind, harmed in checks.items() if harmed]


def left_behind() -> list[psutil.Process]:
    """Processes that are still there after a run, but for the one child that is started ahead.

    A child's own orphans become this process's, because it is their subreaper. Their end takes a moment.
    """
    deadline = time.monotonic() + 2
    while True:
        children = psutil.Process().children()
        started = [child for child in children if child.pid not in ADOPTED]
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
                if child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)
                    started = [other for other in started if other.pid != child.pid]
        # The spare is started before a program is loaded, so it is older than anything a program started.
        left = sorted(started, key=lambda child: (child.create_time(), child.pid))[1:]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.01)


ADOPTED: set[int] = set()
"""Children of this process from before the test, as those of other tests' tiers are."""


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Surroundings]:
    token, marker = secrets.token_hex(16), secrets.token_hex(16)
    monkeypatch.setenv("TUNEOFF_EVIL_MARKER", marker)
    libc = ctypes.CDLL(None)
    subreaper = 36
    with contextlib.ExitStack() as stack:
        libc.prctl(subreaper, 1, 0, 0, 0)
        stack.callback(libc.prctl, subreaper, 0, 0, 0, 0)
        homes = (Path.home(), Path("/tmp"))
        folders = [
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".evil-", dir=home)))
            for home in homes
            if os.access(home, os.W_OK)
        ]
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = tcp.getsockname()[1]
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", port))
        listeners = [tcp, udp]
        for address in (f"\0tuneoff-evil-{port}", *(str(folder / "socket") for folder in folders)):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
            listeners.append(listener)
        for listener in listeners:
            listener.setblocking(False)
        for folder in folders:
            (folder / "secret").write_text(token)
        found = Surroundings(folders=folders, token=token, marker=marker, port=port, listeners=listeners)

        def note(number: int, frame: FrameType | None) -> None:
            found.signals.append(number)

        for name in WATCHED:
            number = getattr(signal, name)
            stack.callback(signal.signal, number, signal.signal(number, note))
        found.before = found.files()
        yield found


@pytest.fixture(params=["bwrap", "landlock"])
def tier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = str(request.param)
    made = isolation.make(name)
    if isinstance(made, str):
        pytest.skip(made)
    monkeypatch.setenv(isolation.SWITCH, name)
    try:
        described = describe()
    except SandboxError as error:
        pytest.skip(str(error))
    assert described.startswith(name)
    return name


def run(program: str, calls: Sequence[Sequence[object]]) -> list[Outcome]:
    """Runs a program with no other child of this process's about but one that is started ahead."""
    # A spare of another test's tier would count as left behind; this replaces it.
    if _spare.tier is not sandbox._tier():
        run_function("def f():\n    pass", "f", [()])
    ADOPTED.clear()
    ADOPTED.update(child.pid for child in psutil.Process().children())
    return run_function(PROGRAMS[program].read_text(encoding="utf-8"), "f", calls, seconds=SECONDS)


def passes(outcomes: Sequence[Outcome], expected: object) -> bool:
    """The verdict as a task gives it."""
    return all(outcome.error is None and same(outcome.value, expected) for outcome in outcomes)


def test_there_are_enough_programs_and_the_verdict_is_no_formality() -> None:
    assert len(PROGRAMS) >= 45
    assert passes([Outcome(value=PUBLIC)], [1, 2, 3])
    assert not passes([Outcome(value=PUBLIC), Outcome(error="x")], PUBLIC)


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_neither_passes_nor_touches_anything(program: str, tier: str, surroundings: Surroundings) -> None:
    calls = surroundings.arguments()
    expected: object = PUBLIC if program.endswith("_result") else secrets.token_hex(16)
    start = time.monotonic()
    outcomes = run(program, calls)
    elapsed = time.monotonic() - start
    assert len(outcomes) == len(calls) > 0
    assert not passes(outcomes, expected)
    assert surroundings.trouble(outcomes) == []
    assert elapsed < SECONDS + SLACK


@pytest.mark.parametrize("program", SEEN)
def test_the_checks_see_a_program_that_nothing_keeps_in(
    program: str, surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(isolation.SWITCH, "process")
    # NPROC is all that stops a fork there, and nothing does where the user is root.
    if program == "double_fork" and os.geteuid() != 0:
        pytest.skip("a process limit is enough to stop it")
    outcomes = run(program, surroundings.arguments())
    trouble = surroundings.trouble(outcomes)
    for left in left_behind():
        left.kill()
    assert SEEN[program] in trouble
    assert ("value" in trouble) == any(
        "escaped" in repr(o) or surroundings.token in repr(o) for o in outcomes
    )
