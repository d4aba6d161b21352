"""SIGKILL at random moments, to a cell's worker and to the whole run, twenty of each.

Too long for every run of the suite, which has one of each in `test_run`.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.result import Result
from harness.store import Store
from tests.test_run import ROOT, command, workers

pytestmark = pytest.mark.faults

KILLS = range(20)

LEAVE_SECONDS = 100


@dataclass(frozen=True)
class Undisturbed:
    """What the same command gives when nothing is killed."""

    outcomes: list[tuple[object, ...]]
    work: tuple[float, float]  # seconds from the start to the first worker, and to the end


def outcome(result: Result) -> tuple[object, ...]:
    """What a repeated run must reproduce: everything but time and memory."""
    losses = [(point.loss, point.grad_norm) for point in result.curve]
    return result.task, result.method, result.seed, result.status, result.metric, result.items, losses


def start(toy_folder: Path, folder: Path) -> subprocess.Popen[str]:
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            command(toy_folder, folder), cwd=ROOT, text=True, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder / "tmp")},
        )  # fmt: skip


def ended(process: subprocess.Popen[str], folder: Path) -> int:
    try:
        return process.wait(timeout=240)
    finally:
        process.kill()
        print((folder / "log").read_text())


def a_worker(process: subprocess.Popen[str]) -> int | None:
    """A cell's worker, waited for until the run is over."""
    while process.poll() is None:
        try:
            return next(workers(process.pid))
        except (StopIteration, psutil.NoSuchProcess):
            time.sleep(0.005)
    return None


@pytest.fixture
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short path: workers' sockets lie in it, whose paths may have a hundred characters."""
    return tmp_path_factory.mktemp("k")


@pytest.fixture(scope="module")
def undisturbed(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    begin = time.monotonic()
    process = start(toy_folder, folder)
    assert a_worker(process) is not None
    first = time.monotonic() - begin
    assert ended(process, folder) == 0
    return Undisturbed(list(outcomes(folder)), (first, time.monotonic() - begin))


def stored(folder: Path) -> list[Result]:
    """The results there are: none where the kill came before the first."""
    store = Store(folder / "results")
    return [store.read(path) for path in store.paths()]


def outcomes(folder: Path) -> Iterator[tuple[object, ...]]:
    yield from sorted(map(outcome, stored(folder)), key=repr)


def moment(undisturbed: Undisturbed, kill: int) -> float:
    """Seconds after a run's start, drawn over the whole time its cells take."""
    return random.Random(kill).uniform(*undisturbed.work)


def completes(toy_folder: Path, folder: Path, undisturbed: Undisturbed) -> None:
    """Every result on disk stays as it is, and the same command makes the grid whole."""
    kept = {path: path.read_bytes() for path in Store(folder / "results").paths()}
    finished = [result for result in stored(folder) if result.status == "ok"]
    assert all(outcome(result) in undisturbed.outcomes for result in finished)
    assert ended(start(toy_folder, folder), folder) == 0
    assert list(outcomes(folder)) == undisturbed.outcomes
    for result in finished:
        path = Store(folder / "results").path(result.task, result.method, result.seed)
        assert path.read_bytes() == kept[path]
    left = [path for path in (folder / "results").rglob("*") if path.is_file()]
    assert sorted(left) == sorted(
        [folder / "results" / ".lock", *kept.keys() | Store(folder / "results").paths()]
    )
    # A killed process cannot remove the folder of its fork server's socket, which Python made for it.
    assert [path for path in (folder / "tmp").iterdir() if not path.name.startswith("pymp-")] == []
    assert [path for path in (folder / "tmp").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("kill", KILLS)
def test_a_killed_worker_costs_its_own_cell_only(
    toy_folder: Path, here: Path, undisturbed: Undisturbed, kill: int
) -> None:
    process = start(toy_folder, here)
    time.sleep(moment(undisturbed, kill))
    worker = a_worker(process)
    if worker is not None:
        os.kill(worker, signal.SIGKILL)
    # 3: a cell failed. 0: the worker had handed its result over, or the run was over, by then.
    # 2: it was one that looked at the machine or loaded the task, and no cell had begun.
    code = ended(process, here)
    statuses = [result.status for result in stored(here)]
    if code == 2:
        assert statuses == []
        assert "the worker was ended by SIGKILL" in (here / "log").read_text()
    else:
        assert code in (0, 3)
        assert statuses.count("ok") >= 2
        assert len(statuses) == 3
    completes(toy_folder, here, undisturbed)


@pytest.mark.parametrize("kill", KILLS)
def test_a_killed_run_loses_nothing_finished_and_leaves_no_process(
    toy_folder: Path, here: Path, undisturbed: Undisturbed, kill: int
) -> None:
    process = start(toy_folder, here)
    time.sleep(moment(undisturbed, kill))
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    process.wait()
    # A fork server that is still importing sees that it is alone only when it has done so.
    _, alive = psutil.wait_procs(family, timeout=LEAVE_SECONDS)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    completes(toy_folder, here, undisturbed)
