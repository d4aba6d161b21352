"""Workers that answer, raise, die, hang and outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.executor import Died, Executor

WORK = "tests.workers"


@pytest.fixture
def executor() -> Executor:
    return Executor(WORK)


def test_values_and_messages_come_back(executor: Executor) -> None:
    messages: list[object] = []
    assert executor.call("add", 2, 3, timeout=60, on_message=messages.append) == 5
    assert messages == ["adding", 2, 3]


def test_user_errors_are_raised_in_the_parent(executor: Executor) -> None:
    with pytest.raises(UsageError, match="no such thing"):
        executor.call("refuse", timeout=60)


def test_a_folder_for_temporary_files_that_no_socket_can_have_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    call = f"from harness.executor import Executor; Executor({WORK!r}).call('add', 2, 3, timeout=60)"
    done = subprocess.run(
        [sys.executable, "-c", call],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"UsageError: {folder}" in done.stderr
    assert "set TMPDIR to a shorter one" in done.stderr


@pytest.mark.parametrize(
    ("function", "status", "reason"),
    [
        ("divide", "failed", "ZeroDivisionError: division by zero at workers.py:"),
        ("leave", "failed", "SystemExit: 7"),
        ("vanish", "failed", "exit code 3 and no result"),
        ("killed", "failed", "ended by SIGKILL"),
        ("segfault", "failed", "ended by SIGSEGV"),
        ("hungry", "oom", "MemoryError"),
        ("torch_hungry", "oom", "can't allocate memory"),
    ],
)
def test_whatever_happens_to_a_worker_is_an_outcome(
    executor: Executor, function: str, status: str, reason: str
) -> None:
    outcome = executor.call(function, timeout=60)
    assert isinstance(outcome, Died)
    assert outcome.status == status
    assert reason in outcome.reason


def test_an_interrupted_call_ends_its_worker_at_once(executor: Executor) -> None:
    """Whoever interrupts a second time must not find a wait that leaves the worker behind."""
    seen: list[tuple[int, float]] = []

    def interrupt(pid: object) -> None:
        assert isinstance(pid, int)
        seen.append((pid, time.monotonic()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.call("linger", timeout=60, on_message=interrupt)
    ((pid, interrupted),) = seen
    assert time.monotonic() - interrupted < 1.5
    assert not _running(pid)


def test_a_worker_that_hangs_is_stopped_with_its_children(executor: Executor, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    start = time.monotonic()
    outcome = executor.call("hang", str(note), timeout=3)
    assert outcome == Died(status="timeout", reason="stopped after 3 s, its limit")
    assert time.monotonic() - start < 20
    child = int(note.read_text())
    time.sleep(0.5)
    assert not _running(child)


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "from harness.executor import Executor\n"
        "if __name__ == '__main__':\n"
        f"    Executor('tests.hanging').call('hang', {str(note)!r}, timeout=600)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, script], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    ) as parent:
        for _ in range(300):
            if note.exists() and note.read_text():
                break
            time.sleep(0.1)
        worker = int(note.with_suffix(".worker").read_text())
        assert _running(worker)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for _ in range(100):
        if not _running(worker):
            break
        time.sleep(0.1)
    assert not _running(worker)
    os.kill(int(note.read_text()), signal.SIGKILL)


def _running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
