"""Fixtures shared by the suite: a toy model on disk and its source."""

from pathlib import Path

import pytest

from harness.model import ModelSource, resolve
from harness.toy import write_toy_model


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_model(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy(toy_folder: Path) -> ModelSource:
    return resolve(str(toy_folder), device="cpu", precision="float32")
