import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness import sandbox
from harness.errors import SandboxError, UsageError
from harness.sandbox import Outcome, Program, isolation, run_function, same, seccomp

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs resource limits and process groups")


def run(source: str, *calls: tuple[object, ...], seconds: float = 4.0) -> list[Outcome]:
    return run_function(source, "f", calls or ((1,), (2,)), seconds=seconds)


def failed(source: str, seconds: float = 4.0) -> bool:
    outcomes = run(source, seconds=seconds)
    assert len(outcomes) == 2
    return all(outcome.error is not None and outcome.value is None for outcome in outcomes)


def test_plain_values_cross_unchanged():
    values: list[object] = [1, True, -2.5, 1e300, math.inf, -math.inf, "a\n'\"\\é\ud800", b"\x00\n", None]
    values += [
        1j,
        complex(-0.0, math.inf),
        complex(1, math.nan),
        10**100000,
        -(10**20),
        2**63,
        -(2**63),
        frozenset({1, (2,)}),
    ]
    values += [(), (1,), [], [[1], (2,)], {1, 2}, set(), {}, {"k": [1.0, None], (1, 2): {3}}]
    outcomes = run("def f(a):\n    return a", *((value,) for value in values))
    for outcome, value in zip(outcomes, values, strict=True):
        assert outcome.error is None
        assert same(outcome.value, value), value


def test_nan_crosses():
    (outcome,) = run("def f(a):\n    return [float('nan'), a]", (1,))
    assert outcome.error is None
    assert same(outcome.value, [math.nan, 1])


def test_one_bad_call_leaves_the_others():
    outcomes = run("def f(a):\n    return 10 // a", (1,), (0,), (5,))
    assert [outcome.value for outcome in outcomes] == [10, None, 2]
    assert outcomes[1].error is not None
    assert "ZeroDivisionError" in outcomes[1].error


def test_calls_do_not_share_their_arguments():
    shared = [1]
    outcomes = run("def f(a):\n    a.append(2)\n    return a", (shared,), (shared,))
    assert [outcome.value for outcome in outcomes] == [[1, 2], [1, 2]]
    assert shared == [1]


@pytest.mark.parametrize(
    "source",
    [
        "def f(a)\n    return a",
        "def g(a):\n    return a",
        "",
        "f = 3",
        "\x00",
        "raise ValueError('no')",
        "import sys\nsys.exit(0)\ndef f(a):\n    return a",
        "def f(a):\n    raise KeyError(a)",
        "def f(a):\n    raise SystemExit",
        "import os\ndef f(a):\n    os._exit(0)",
        "import os, signal\ndef f(a):\n    os.kill(os.getpid(), signal.SIGTERM)",
        "def f(a):\n    return f(a)",
        "def f(a):\n    return (v for v in [a])",
        "def f(a):\n    return filter(None, [a])",
        "def f(a):\n    return f",
        "def f(a):\n    x = []\n    x.append(x)\n    return x",
        "class E(Exception):\n    def __str__(self):\n        raise E\ndef f(a):\n    raise E",
    ],
)
def test_programs_without_a_plain_result_fail(source):
    assert failed(source)


@pytest.mark.parametrize("kind", ["int", "str", "list", "dict", "float"])
def test_a_subclass_that_equals_everything_does_not_cross(kind):
    outcomes = run(
        f"class Any({kind}):\n"
        "    def __eq__(self, other):\n        return True\n"
        "    __hash__ = None\n"
        "    def __repr__(self):\n        return '1'\n"
        "def f(a):\n    return [Any()] if a == 2 else Any()"
    )
    assert all(outcome.error is not None and "Any" in outcome.error for outcome in outcomes)


def test_endless_loop_ends_at_the_limit():
    started = time.monotonic()
    assert failed("def f(a):\n    while True:\n        pass", seconds=0.5)
    assert failed("import time\ntime.sleep(60)", seconds=0.5)
    assert time.monotonic() - started < 10


def test_results_before_a_timeout_are_kept():
    outcomes = run("def f(a):\n    while a == 2:\n        pass\n    return a", (1,), (2,), (3,), seconds=1.0)
    assert outcomes[0] == Outcome(value=1)
    assert [outcome.error for outcome in outcomes[1:]] == ["timed out"] * 2


@posix_only
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce the address space limit")
def test_memory_is_limited():
    outcomes = run("def f(a):\n    return len(bytearray(4 << 30))")
    assert all(outcome.error is not None and "MemoryError" in outcome.error for outcome in outcomes)


def test_prints_go_nowhere(capfd):
    source = "import sys\ndef f(a):\n    print('x' * 10 ** 6)\n    print('y', file=sys.stderr)\n    return a"
    outcomes = run(source)
    assert [outcome.value for outcome in outcomes] == [1, 2]
    assert capfd.readouterr() == ("", "")


def test_a_large_result_fails_and_leaves_the_others():
    outcomes = run("def f(a):\n    return 'x' * 10 ** (7 if a == 1 else 1)")
    assert outcomes == [Outcome(error="result is too large"), Outcome(value="x" * 10)]


_EVERY_FD = """
import os
for fd in range(256):
    try:
        os.write(fd, {data!r})
    except OSError:
        pass
"""


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\n",
        b"=object()\n",
        b"={}\n",
        b"=1.5\n",
        b"=[]\n",
        b"=NaN\n",
        b"=1\n=1\n=1\n",
        b"\xff\n",
        b"=" + b"[" * 5000 + b"\n",
    ],
)
def test_garbage_on_the_channel_voids_every_result(data):
    assert failed(_EVERY_FD.format(data=data) + "def f(a):\n    return a")


def test_a_forged_reason_is_short_and_printable():
    forge = _EVERY_FD.format(data=b'!"\\u001b[31m' + b"x" * 999 + b'\\ud800"\n').replace("\n", "\n    ")
    outcome, _ = run(f"def f(a):\n    {forge}\n    os._exit(0)")
    assert outcome.error is not None
    assert outcome.error.startswith("?[31mxxx")
    assert len(outcome.error) == 200


def test_negative_zero_keeps_its_sign():
    (outcome,) = run("def f(a):\n    return [a, -a]", (-0.0,))
    assert isinstance(outcome.value, list)
    assert [math.copysign(1, value) for value in outcome.value] == [-1, 1]


def test_answers_ahead_of_their_questions_count_for_nothing():
    outcomes = run(_EVERY_FD.format(data=b"=true\n=true\n") + "os._exit(0)")
    assert [outcome.value for outcome in outcomes] == [None, None]
    assert all(outcome.error for outcome in outcomes)


def test_a_forged_answer_supplies_a_value_at_most():
    # The forger does not know what is expected: it can only guess, as an honest program could.
    forge = _EVERY_FD.format(data=b"=true\n").replace("\n", "\n    ")
    outcomes = run(f"def f(a):\n    {forge}\n    os._exit(0)")
    assert outcomes[0] == Outcome(value=True)
    assert outcomes[1].error is not None
    assert not same(True, 1)


def test_a_program_cannot_read_the_parents_environment(monkeypatch):
    monkeypatch.setenv("TUNEOFF_MARKER", "here")
    (outcome,) = run("import os\ndef f(a):\n    return sorted(os.environ)", (1,))
    assert isinstance(outcome.value, list)
    assert "TUNEOFF_MARKER" not in outcome.value
    assert "HOME" not in outcome.value


def test_what_a_program_writes_is_not_seen_outside_or_by_the_next_one():
    source = "import os\ndef f(a):\n    found = os.listdir()\n    open('left', 'w').close()\n    return found"
    for _ in range(2):
        (outcome,) = run(source, (1,))
        # Empty, or where namespaces are refused, not to be listed at all.
        assert outcome.value == [] or "PermissionError" in (outcome.error or "")
    assert not Path("left").exists()
    assert not Path("/tmp/left").exists()


@posix_only
def test_a_forked_child_is_killed(tmp_path):
    mark = tmp_path / "pid"
    source = f"""
import os, time
def f(a):
    try:
        pid = os.fork()
    except OSError:
        return "refused"
    if pid == 0:
        with open({str(mark)!r}, "w") as file:
            file.write(str(os.getpid()))
        time.sleep(60)
    while not os.path.exists({str(mark)!r}) or not os.path.getsize({str(mark)!r}):
        time.sleep(0.01)
    return "forked"
"""
    started = time.monotonic()
    (outcome,) = run(source, (1,))
    assert time.monotonic() - started < 4
    if outcome.value == "refused":  # the limit on processes holds for all users but root
        return
    assert outcome.value == "forked"
    pid = int(mark.read_text())
    for _ in range(200):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} outlived its program")


def test_the_order_of_a_set_is_the_same_in_every_run():
    source = "def f(a):\n    return list({'one', 'two', 'three', 'four', 'five'})"
    assert len({str(run(source, (1,))) for _ in range(4)}) == 1


def test_nothing_but_the_standard_library_is_importable():
    outcomes = run("def f(a):\n    return bool(__import__(a))", ("math",), ("torch",), ("harness",))
    assert outcomes[0].value is True
    assert all(outcome.error and "ModuleNotFoundError" in outcome.error for outcome in outcomes[1:])


def test_arguments_must_be_plain():
    with pytest.raises(ValueError, match="unmarshallable"):
        run("def f(a):\n    return a", (object(),))


def test_an_interpreter_that_cannot_start_is_an_error():
    with pytest.raises(SandboxError, match="/no/such/python"):
        Program("", tier=isolation.Tier(name="process", command=("/no/such/python",)))


def test_only_a_named_tier_is_plain(monkeypatch):
    monkeypatch.delenv(isolation.SWITCH, raising=False)
    with pytest.raises(SandboxError, match="TUNEOFF_SANDBOX=process"):
        isolation.choose(None, lambda tier: "does not hold")
    assert isolation.choose("process", lambda tier: None).name == "process"
    with pytest.raises(UsageError, match="bwrap, landlock, process"):
        isolation.choose("docker", lambda tier: None)


def test_a_tier_that_lets_a_program_out_is_not_used():
    plain = isolation.make("process")
    assert isinstance(plain, isolation.Tier)
    problem = sandbox._try_out(replace(plain, name="bwrap"))
    assert problem is not None
    assert "read a file of the user's" in problem


def test_the_filter_is_the_same_everywhere_and_only_for_known_machines():
    assert seccomp.program("x86_64") != seccomp.program("aarch64")
    assert seccomp.program("riscv64") is None


def test_a_spare_child_is_gone_when_its_owner_is():
    script = (
        "from harness.sandbox import run_function\n"
        "import psutil\n"
        "run_function('def f(a): return a', 'f', [(1,)])\n"
        "print(*[child.pid for child in psutil.Process().children(recursive=True)])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], 5)
    # What is left of a namespace may wait for the system's first process to reap it.
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 1, True),
        (True, 1, False),
        (1, 1.0, False),
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.31, False),
        (math.nan, math.nan, True),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        ([1, 2], (1, 2), False),
        ([1, [2.0]], [1, [2.0]], True),
        ([1], [1, 2], False),
        ({1: "a", 2: "b"}, {2: "b", 1: "a"}, True),
        ({1: "a"}, {True: "a"}, False),
        ({1: 1}, {1: 1.0}, False),
        ({1, 2}, {2, 1}, True),
        ({1}, {True}, False),
        ("a", b"a", False),
        (None, None, True),
        (None, 0, False),
    ],
)
def test_same_compares_types_as_well(a, b, expected):
    assert same(a, b) is expected
    assert same(b, a) is expected
