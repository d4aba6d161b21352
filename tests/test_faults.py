"""Faults that really happen: plugins that misbehave, full and lost disks, clocks that jump."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.errors import PluginError, ResultError, TuneoffError
from harness.executor import Executor
from harness.grid import Listener, build
from harness.result import SCHEMA_VERSION
from harness.run import execute
from harness.sandbox import isolation
from harness.store import Store
from tests.test_run import ROOT, command, finished, go, settings, started

pytestmark = pytest.mark.usefixtures("undrawn")

TASK_PLUGIN = """
import os, sys
from tests.toy_task import Parity
from harness import Splits

class Faulty(Parity):
    "Parity with a fault."
    name = "faulty"
    {fault}
"""

METHOD_PLUGIN = """
import os, resource, shutil, signal, subprocess, sys, time
import torch
from harness.methods.lora import LoraR16

class Faulty(LoraR16):
    "LoRA with a fault."
    name, description = "faulty", "misbehaves"
    {fault}
"""


def task_plugin(folder: Path, fault: str) -> str:
    path = folder / "faulty_task.py"
    path.write_text(TASK_PLUGIN.format(fault=fault))
    return str(path)


def method_plugin(folder: Path, fault: str) -> str:
    path = folder / "faulty_method.py"
    path.write_text(METHOD_PLUGIN.format(fault=fault))
    return str(path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("def load(self): raise RuntimeError('no data today')", "RuntimeError: no data today"),
        ("def load(self): sys.exit(0)", "SystemExit: 0"),
        ("def load(self): os._exit(0)", "exit code 0 and no result"),
        ("def load(self): return []", r"load\(\) returned list, not Splits"),
        ("def prompt(self, example): return None", r"prompt\(\) returned None for 'n\d+'; it must be text"),
        ("def target(self, example): return 7", r"target\(\) returned 7 for 'n\d+'; it must be text"),
        ("def target(self, example): return 'maybe'", "the target 'maybe' of 'n.+' is no label"),
        ("labels = 'even'", "labels is 'even'; it must be a tuple of distinct texts"),
        ("labels = ('even', 'even')", "it must be a tuple of distinct texts"),
        ("def score(self, example, output): return float('nan')", r"score\(\) returned nan"),
        ("def score(self, example, output): return 2.0", r"score\(\) returned 2.0"),
        ("def score(self, example, output): return '1'", r"score\(\) returned '1'"),
        ("def score(self, example, output): return None", r"score\(\) returned None"),
        ("def score(self, example, output): raise KeyError('gold')", "KeyError: 'gold'"),
        ("name = '../outside'", "'../outside', which no folder of results can be"),
    ],
)
def test_a_faulty_task_is_refused_before_the_first_cell(
    toy_folder: Path, tmp_path: Path, executor: Executor, fault: str, message: str
) -> None:
    chosen = replace(settings(toy_folder, tmp_path), tasks=task_plugin(tmp_path, fault))
    with pytest.raises(TuneoffError, match=message):
        build(chosen, executor, Listener())


@pytest.mark.parametrize(
    "fault", ["def config(self): return {'when': object()}", "learning_rates = (1e-3, {1})"]
)
def test_a_method_that_no_result_could_hold_is_refused(
    toy_folder: Path, tmp_path: Path, executor: Executor, fault: str
) -> None:
    with pytest.raises(PluginError, match="which JSON cannot hold"):
        build(settings(toy_folder, tmp_path, method_plugin(tmp_path, fault)), executor, Listener())


HUNGRY = """def adapt(self, model, budget):
        size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**28,) * 2)
        return torch.ones(2**30) and model"""
DEAF = """def adapt(self, model, budget):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)"""


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("def load(self, source): return 7", "failed", "load() returned int, not a model"),
        ("def adapt(self, model, budget): return None", "failed", "adapt() returned NoneType, not a model"),
        ("def adapt(self, model, budget): sys.exit()", "failed", "SystemExit"),
        ("def adapt(self, model, budget): os._exit(0)", "failed", "exit code 0 and no result"),
        ("def after_step(self, model, step): raise LookupError('lost')", "failed", "LookupError: lost"),
        (HUNGRY, "oom", "allocate memory"),
        (DEAF, "timeout", "stopped after 3 s"),
    ],
)
def test_a_faulty_method_costs_its_own_cell_only(
    toy_folder: Path, tmp_path: Path, executor: Executor, fault: str, status: str, reason: str
) -> None:
    methods = f"{method_plugin(tmp_path, fault)},zero-shot"
    grid = build(settings(toy_folder, tmp_path, methods), executor, Listener())
    if status == "timeout":
        grid = replace(grid, budget=replace(grid.budget, timeout_seconds=3))
    bad, good = execute(grid, executor, Listener(), force=False)
    assert (bad.method, bad.status, good.status) == ("faulty", status, "ok")
    assert reason in (bad.reason or "")
    assert Store(tmp_path / "results").load() == [bad, good]
    assert "faulty" in (tmp_path / "reports" / "report.md").read_text()


def test_training_stops_where_the_loss_is_lost(toy_folder: Path, tmp_path: Path, executor: Executor) -> None:
    poison = """def after_step(self, model, step):
        if step == 2:
            next(p for p in model.parameters() if p.requires_grad).data.fill_(float('nan'))"""
    grid = build(settings(toy_folder, tmp_path, method_plugin(tmp_path, poison)), executor, Listener())
    grid = replace(grid, budget=replace(grid.budget, train_examples=24, batch_size=4))
    (result,) = execute(grid, executor, Listener(), force=False)
    assert result.status == "degenerate"
    assert "step 3" in (result.reason or "")
    assert [point.loss is None for point in result.curve] == [False, False, True]  # of six steps


def test_a_noisy_method_with_a_child_left_behind_succeeds_and_the_child_is_gone(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    noisy = f"""def adapt(self, model, budget):
        print('x' * 10_000_000)
        left = subprocess.Popen(['sleep', '600'], start_new_session=True)
        open({str(tmp_path / "child")!r}, 'w').write(str(left.pid))
        sys.stdout.close(); sys.stderr.close()
        return super().adapt(model, budget)"""
    (result,), _, _ = go(settings(toy_folder, tmp_path, method_plugin(tmp_path, noisy)), executor)
    assert result.status == "ok"
    child = int((tmp_path / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


@pytest.mark.faults  # `test_run` has the same without two processes that load torch
def test_two_runs_at_once_on_one_folder(toy_folder: Path, tmp_path: Path, executor: Executor) -> None:
    first = started(toy_folder, tmp_path)
    # Held still, or so small a run would be over before the second has loaded torch.
    first.send_signal(signal.SIGSTOP)
    try:
        second = subprocess.run(command(toy_folder, tmp_path), cwd=ROOT, text=True, capture_output=True)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 2, second.stderr
    assert "another run is writing to" in second.stderr
    assert "Traceback" not in second.stderr
    first.communicate(timeout=240)
    assert first.returncode == 0
    finished(toy_folder, tmp_path, executor)


def test_a_result_of_a_newer_version_is_left_alone(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    chosen = settings(toy_folder, tmp_path, "zero-shot")
    (result,), _, grid = go(chosen, executor)
    path = grid.store.path(result.task, result.method, 0)
    newer = path.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99')
    path.write_text(newer)
    with pytest.raises(ResultError, match=r"a newer Tuneoff wrote it .*; upgrade, or name another folder"):
        go(chosen, executor)
    assert path.read_text() == newer


@pytest.mark.parametrize("edit", [('"score": 0.0', '"score": 1.0'), ('"status": "ok"', '"status": "fine"')])
def test_a_result_edited_by_hand_is_set_aside(
    toy_folder: Path, tmp_path: Path, executor: Executor, edit: tuple[str, str]
) -> None:
    chosen = settings(toy_folder, tmp_path, "zero-shot")
    (result,), _, grid = go(chosen, executor)
    path = grid.store.path(result.task, result.method, 0)
    edited = path.read_text().replace(*edit)
    assert edited != path.read_text()
    path.write_text(edited)
    (again,), log, _ = go(chosen, executor)
    assert again.items == result.items
    assert log.ran == ["zero-shot"]
    assert path.with_name("seed-0.json.damaged").read_text() == edited
    reported = subprocess.run(
        [sys.executable, "-m", "harness", "report", str(tmp_path / "results"), "--reports", str(tmp_path)],
        cwd=ROOT, text=True, capture_output=True,
    )  # fmt: skip
    assert reported.returncode == 0, reported.stderr  # what was set aside is no result


def test_a_results_folder_that_vanishes_is_made_again(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    remover = f"""def adapt(self, model, budget):
        shutil.rmtree({str(tmp_path / "results")!r})
        return super().adapt(model, budget)"""
    methods = f"zero-shot,{method_plugin(tmp_path, remover)},few-shot"
    results, _, grid = go(settings(toy_folder, tmp_path, methods), executor)
    assert [result.status for result in results] == ["ok"] * 3
    assert [path.parent.name for path in grid.store.paths()] == ["faulty", "few-shot"]
    (tmp_path / "results").rename(tmp_path / "moved")
    assert [result.status for result in go(settings(toy_folder, tmp_path), executor)[0]] == ["ok"] * 3


def mounted(*mounts: str) -> list[str]:
    """A command prefix under which the file system has these mounts."""
    program = isolation._bwrap()
    if program is None:
        pytest.skip("needs bubblewrap to mount a small or read-only file system")
    return [program, "--dev-bind", "/", "/", *mounts, "--chdir", str(ROOT)]


def test_a_full_disk_is_a_clear_error_and_the_same_command_goes_on(toy_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    run = " ".join(command(toy_folder, tmp_path))
    # A file system of 1 MiB, all but 16 KiB of it taken: results take two pages of 4 KiB each.
    script = (
        f"head -c {2**20 - 16 * 1024} /dev/zero > {folder}/ballast; {run}; echo first $?; "
        f"cp -r {folder} {tmp_path}/full; rm {folder}/ballast {tmp_path}/full/ballast; "
        f"{run}; echo second $?; "
        f"cp -r {folder} {tmp_path}/after"
    )
    done = subprocess.run(
        [*mounted("--size", str(2**20), "--tmpfs", str(folder)), "sh", "-c", script],
        text=True, capture_output=True,
    )  # fmt: skip
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "first 2" in done.stdout
    assert "second 0" in done.stdout, done.stderr
    kept = {
        path.relative_to(tmp_path / "full"): path.read_bytes() for path in Store(tmp_path / "full").paths()
    }
    assert 1 <= len(kept) < 3
    assert all(result.status == "ok" for result in Store(tmp_path / "full").load())
    assert {path: (tmp_path / "after" / path).read_bytes() for path in kept} == kept
    assert len(Store(tmp_path / "after").load()) == 3


def test_a_read_only_results_folder_is_refused_before_anything_runs(toy_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    start = time.monotonic()
    done = subprocess.run(
        [*mounted("--ro-bind", str(folder), str(folder)), *command(toy_folder, tmp_path)],
        text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert f"cannot write to {folder}: Read-only file system; name another with --results" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 120
    assert list(folder.iterdir()) == []


BACKWARDS = """
import time
real, calls = time.time, [0]

def backwards():
    calls[0] += 1
    return real() - 60.0 * calls[0]

time.time = backwards
"""


def test_a_clock_that_jumps_back_at_every_look_harms_nothing(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BACKWARDS)
    done = subprocess.run(
        ["env", f"PYTHONPATH={tmp_path}", *command(toy_folder, tmp_path)],
        cwd=ROOT, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for result in Store(tmp_path / "results").load():
        assert all(phase.seconds >= 0 for phase in result.phases.values())
        ends = [point.seconds for point in result.curve]
        assert ends == sorted(ends)
        assert all(end > 0 for end in ends)
