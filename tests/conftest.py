"""Fixtures shared by the suite: toy model, tasks, executor. Test processes get a core each."""

import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from harness import registry
from harness.executor import Died, Executor
from harness.model import ModelSource, resolve
from harness.report import chart
from harness.task import Splits, Task
from harness.toy import write_toy_model
from tests import here

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER and hasattr(os, "sched_setaffinity"):
    # Torch starts as many threads as it sees cores. Those of two processes on the same cores wait for each
    # other most of the time.
    CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {CORES[int(WORKER.removeprefix("gw")) % len(CORES)]})

TOY_TASK = str(Path(__file__).parent / "toy_task.py")

Pool = Callable[[str], tuple[Task, Splits]]


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_model(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy(toy_folder: Path) -> ModelSource:
    return resolve(str(toy_folder), device="cpu", precision="float32")


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Built-in tasks by name, with their splits as one test process loaded them for all.

    That another load gives the same is for `test_conformance` to check.
    """
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if WORKER else own

    @cache
    def loaded(name: str) -> tuple[Task, Splits]:
        task, path = registry.task(name), folder / f"{name}.pickle"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                path.write_bytes(pickle.dumps(task.load()))
        return task, pickle.loads(path.read_bytes())

    return loaded


@pytest.fixture
def unboxed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks run programs in this process: for the project's own ones, whose verdict is all that is asked."""
    monkeypatch.setattr("tasks.humaneval.Program", here.Program)
    monkeypatch.setattr("tasks.function_completion.run_function", here.run_function)
    monkeypatch.setattr("tasks.text_to_sql.answer.run_function", here.run_function)


class Remembering(Executor):
    """Runs every cell anew, but asks once about the machine, the base model and the toy task."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Any] = {}

    def call(self, function: str, *arguments: Any, **options: Any) -> Any:
        if function not in {"probe", "measure_base"} and (function, *arguments[:1]) != ("prepare", TOY_TASK):
            return super().call(function, *arguments, **options)
        asked = repr((function, arguments))
        if asked not in self._known:
            found = super().call(function, *arguments, **options)
            if isinstance(found, Died):
                return found
            self._known[asked] = found
        return self._known[asked]


@pytest.fixture(scope="session")
def executor() -> Executor:
    return Remembering()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without their figures, which take longer than a cell of the toy model."""
    monkeypatch.setattr(chart, "save", here.touch)
