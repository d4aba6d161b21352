"""Size on disk of what training leaves, against what the formula and the files say."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import registry
from harness.adapter import make, save, size_on_disk
from harness.anatomy import weight_bytes
from harness.budget import preset
from harness.model import ModelSource

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

HEADER = 20_000
"""Bytes that names and shapes take at most, of the toy model's few dozen tensors."""

Usage = namedtuple("Usage", "total used free")


def adapted(toy: ModelSource, name: str) -> Any:
    method = registry.method(name)
    return method.adapt(method.load(toy), preset("smoke"))


@pytest.mark.parametrize("name", ["full", "lora-r16", "lora-r16-emb", "prompt-tuning", "adalora"])
def test_the_size_is_that_of_the_trained_tensors_and_a_header(toy: ModelSource, name: str) -> None:
    model = adapted(toy, name)
    size = size_on_disk(model)
    assert size is not None
    assert 0 < size - weight_bytes(model, trained=True) < HEADER


def test_the_file_of_full_fine_tuning_is_as_large_as_the_model(toy: ModelSource, tmp_path: Path) -> None:
    base = toy.load()
    assert size_on_disk(adapted(toy, "full")) == save(base, tmp_path)
    assert 0 < save(base, tmp_path) - weight_bytes(base) < HEADER


@pytest.mark.parametrize("name", ["lora-r16", "dora-r16", "qlora-r16", "adalora"])
def test_a_seed_draws_the_adapter(toy: ModelSource, name: str) -> None:
    def drawn(seed: int) -> dict[str, torch.Tensor]:
        model = make(registry.method(name), toy, preset("smoke"), seed)
        return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad and p.any()}

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert first.keys() == again.keys() == other.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_nothing_is_left_behind(toy: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert size_on_disk(adapted(toy, "lora-r16"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("tensors share memory")]
)
def test_what_cannot_be_written_has_no_size(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*arguments: object) -> int:
        raise error

    monkeypatch.setattr("harness.adapter.save", refuse)
    assert size_on_disk(adapted(toy, "lora-r16")) is None


def test_a_disk_with_little_room_is_spared(toy: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(toy, "lora-r16")
    monkeypatch.setattr("harness.adapter.save", pytest.fail)
    monkeypatch.setattr(
        "shutil.disk_usage", lambda folder: Usage(0, 0, 2 * weight_bytes(model, trained=True) - 1)
    )
    assert size_on_disk(model) is None
