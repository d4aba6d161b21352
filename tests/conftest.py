"""Fixtures shared by the suite: a toy model on disk and its source. Test processes get a core each."""

import os
from pathlib import Path

import pytest

from harness.model import ModelSource, resolve
from harness.report import chart
from harness.toy import write_toy_model

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER and hasattr(os, "sched_setaffinity"):
    # Torch starts as many threads as it sees cores. Those of two processes on the same cores wait for each
    # other most of the time.
    CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {CORES[int(WORKER.removeprefix("gw")) % len(CORES)]})


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_model(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy(toy_folder: Path) -> ModelSource:
    return resolve(str(toy_folder), device="cpu", precision="float32")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without their figures, which take longer than a cell of the toy model."""
    monkeypatch.setattr(chart, "save", lambda figure, path: path.touch())
