"""Finding and loading base models, and what is said when they cannot be."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from harness.anatomy import blocks, count_parameters
from harness.errors import ModelError
from harness.model import ModelSource, resolve


def find(source: object) -> ModelSource:
    return resolve(str(source), device="cpu", precision="float32")


def test_a_folder_loads_in_the_asked_precision(toy_folder: Path) -> None:
    source = resolve(str(toy_folder), device="cpu", precision="bfloat16")
    model = source.load()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert not model.training
    assert source.tokenizer().decode(source.tokenizer().encode("a b", add_special_tokens=False)) == "a b"


def test_the_hash_sees_weights_and_configuration(toy_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(toy_folder, copy)
    assert find(copy).sha256 == find(toy_folder).sha256
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-5}))
    assert find(copy).sha256 != find(toy_folder).sha256


def test_unreadable_models_get_one_clear_line(toy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model folder '\./nowhere'"):
        find("./nowhere")
    with pytest.raises(ModelError, match=r"needs config\.json and \*\.safetensors"):
        find(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="is not a folder"):
        find(tmp_path / "file")
    with pytest.raises(ModelError, match="neither an existing folder, nor a hub id"):
        find("not a model at all!")
    broken = tmp_path / "broken"
    shutil.copytree(toy_folder, broken)
    (broken / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"cannot read .*config\.json"):
        find(broken)
    (broken / "config.json").write_text('{"model_type": "no such model"}')
    with pytest.raises(ModelError, match="cannot load"):
        find(broken).load()


def test_damaged_weights_are_a_model_error(toy_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(toy_folder, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot load"):
        find(broken).load()
    assert find(broken).stored_weights() is None


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_weights_are_counted_without_loading_them(toy_folder: Path, tmp_path: Path, precision: str) -> None:
    model = resolve(str(toy_folder), device="cpu", precision=precision).load()
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight  # stored once
    count = count_parameters(model)["total"]
    model.save_pretrained(tmp_path, max_shard_size=count)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert find(tmp_path).stored_weights() == count


def test_a_hub_id_is_read_from_the_hubs_cache(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants as constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--someone--toy"
    shutil.copytree(toy_folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    source = find("someone/toy")
    assert source.path.endswith(commit)
    assert source.source == "someone/toy"
    assert sum(p.numel() for p in source.load().parameters()) > 10_000
    with pytest.raises(ModelError, match="cannot fetch 'someone/other' from the hub"):
        find("someone/other")


def test_the_blocks_are_the_layers_and_no_other_list(toy_folder: Path) -> None:
    model = find(toy_folder).load()
    layers = blocks(model)
    assert len(layers) == model.config.num_hidden_layers
    for layer in layers:  # as a mixture of experts has them
        layer.experts = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(9))
    assert blocks(model) is layers
    model.config.num_hidden_layers = 5
    with pytest.raises(TypeError, match="no list of its 5 blocks"):
        blocks(model)
