"""Model folders from somebody who means harm: refused in one line, nothing runs, nothing outside is read."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import ModelError
from harness.executor import Died, Executor
from harness.model import ModelSource, quieten, resolve
from harness.vetting import MAX_CONFIG, PICKLE, REMOTE_CODE

DEEP = "[" * 100_000
OWN_CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
Path({canary!r}).touch()
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""

Change = Callable[[Path], object]


def find(folder: Path, *trust: str) -> ModelSource:
    return resolve(str(folder), device="cpu", precision="float32", trust=trust)


def use(folder: Path, trust: tuple[str, ...]) -> None:
    source = find(folder, *trust)
    source.load()
    source.chat_template()


def said(folder: Path, *trust: str) -> str:
    """The one line of finding the model, loading it and rendering its template, whichever of them raises."""
    with pytest.raises(ModelError) as caught:
        use(folder, trust)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(toy_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_folder, tmp_path / "model"))


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that only hostile code would make."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """transformers asks on a terminal whether to run a model's code, where it is not told."""
    questions: list[object] = []
    monkeypatch.setattr("builtins.input", lambda *question: questions.append(question) or "y")
    yield
    assert not questions


def change(name: str, **values: Any) -> Change:
    """Put entries into a JSON file of the folder."""

    def apply(folder: Path) -> None:
        path = folder / name
        found = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**found, **values}))

    return apply


def put(name: str, content: str | bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def index(shard: str) -> Change:
    """Say that a tensor is in `shard`, and put the weights beside the folder, where that name leads."""

    def apply(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
        (folder / "other.safetensors").touch()
        name = shard.format(folder.parent)
        found = {"metadata": {}, "weight_map": {"model.norm.weight": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(found))

    return apply


def link(name: str, target: str) -> Change:
    def apply(folder: Path) -> None:
        outside = folder.parent / "outside"
        outside.mkdir()
        (folder / name).rename(outside / name)
        (folder / name).symlink_to(target.format(outside))

    return apply


def template(text: str) -> Change:
    return put("chat_template.jinja", text)


CONFIG, TOKENIZER, INDEX = "config.json", "tokenizer_config.json", "model.safetensors.index.json"
FOLDERS = {
    "endless header": (put("model.safetensors", struct.pack("<Q", 2**63) + b"{}"), "eader"),
    "header": (put("model.safetensors", struct.pack("<Q", 9 * 10**7) + b"{" * 99), "eader"),
    "deep header": (put("model.safetensors", struct.pack("<Q", 99_999) + DEEP.encode()), "eader"),
    "up": (index("../outside.safetensors"), "'../outside.safetensors', which is no file of"),
    "absolute": (index("{}/outside.safetensors"), "outside.safetensors', which is no file of"),
    "backslash": (index("..\\outside.safetensors"), "which is no file of the folder"),
    "absent": (index("absent.safetensors"), "'absent.safetensors', which is no file of"),
    "deep index": (put(INDEX, DEEP), "nested too deeply"),
    "empty index": (put(INDEX, "{}"), "has no weight_map"),
    "link": (link("model.safetensors", "{}/model.safetensors"), "leads out of its folder"),
    "config link": (link(CONFIG, "../outside/config.json"), "leads out of its folder"),
    "tokenizer link": (link("tokenizer.json", "../outside/tokenizer.json"), "leads out of"),
    "adapter": (put("adapter_config.json", '{"base_model_name_or_path": "/"}'), "holds an adapter"),
    "deep config": (put(CONFIG, DEEP), "nested too deeply"),
    "long config": (put(CONFIG, " " * MAX_CONFIG + "{}"), "longer than 50,000,000 bytes"),
    "million digits": (put(CONFIG, '{"hidden_size": 1' + "0" * 10**6 + "}"), "cannot read"),
    "a list": (put(CONFIG, "[]"), "not a JSON object"),
    "no text": (put(CONFIG, b"\xff\xfe"), "cannot read"),
    "layers": (change(CONFIG, num_hidden_layers=10**9), "allowed: 0 to 4096"),
    "negative layers": (change(CONFIG, num_hidden_layers=-1), "allowed: 0 to 4096"),
    "inner layers": (change(CONFIG, text_config={"n_layer": 1e308}), "allowed: 0 to 4096"),
    "more": (change(CONFIG, num_hidden_layers=40), "342 of the weights that its config.json asks for"),
    "width": (change(CONFIG, hidden_size=10**30), "cannot load"),
    "another width": (change(CONFIG, hidden_size=4096), "have another shape there"),
    "inner width": (change(CONFIG, intermediate_size=10**12), "asks for 384,000,000,"),
    "vocabulary": (change(CONFIG, vocab_size=10**7), "asks for 640,074,"),
    "huge vocabulary": (change(CONFIG, vocab_size=1e308), "cannot load"),
    "nan": (change(CONFIG, vocab_size=float("nan")), "cannot load"),
    "zero heads": (change(CONFIG, num_attention_heads=0), "cannot load"),
    "another architecture": (change(CONFIG, model_type="gpt2"), "of the weights that its config.json asks"),
    "no text as type": (change(CONFIG, model_type=["llama"]), "cannot load"),
    "quantisation": (change(CONFIG, quantization_config="x"), "cannot load"),
    "kernel": (change(CONFIG, _attn_implementation="evil/kernel"), "names code on the hub"),
    "weights": (change(CONFIG, transformers_weights="../x.safetensors"), "which is no file"),
    "version": (change(TOKENIZER, fast_tokenizer_files=["../tokenizer.4.0.json"]), "no file of"),
    "deep tokenizer": (put("tokenizer.json", DEEP), "with its tokenizer"),
    "empty tokenizer": (put("tokenizer.json", '{"version": 10}'), "with its tokenizer"),
    "unknown tokenizer": (change("tokenizer.json", model={"type": "x"}), "with its tokenizer"),
    "deep tokenizer configuration": (put(TOKENIZER, DEEP), "nested too deeply"),
    "template escape": (template("{{ messages.__class__.__mro__[1].__subclasses__() }}"), "is unsafe"),
    "globals": (template("{{ cycler.__init__.__globals__.os.system('true') }}"), "is unsafe"),
    "long range": (template("{% for i in range(10**10) %}x{% endfor %}"), "Range too big"),
    "include": (template("{% include '/etc/passwd' %}"), "with its chat template"),
    "repetition": (template("{{ '%s' % ('x' * 10**30) }}"), "with its chat template"),
}  # fmt: skip
"""What is done to a folder, and what is said of it then."""


@pytest.mark.parametrize("name", FOLDERS)
def test_a_hostile_folder_is_one_line(folder: Path, name: str) -> None:
    alter, message = FOLDERS[name]
    template("{{ messages[0].content }}")(folder)
    find(folder).chat_template()
    alter(folder)
    assert message in said(folder)


def test_a_vocabulary_outside_is_not_read(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "tokenizer.json", tmp_path / "outside.json")
    (tmp_path / "outside.json").write_text(
        (tmp_path / "outside.json").read_text().replace('"a"', '"outside"')
    )
    change("tokenizer_config.json", tokenizer_file=str(tmp_path / "outside.json"), vocab_file="/etc/passwd")(
        folder
    )
    assert "outside" not in find(folder).tokenizer().get_vocab()


def test_links_within_the_hubs_cache_are_its_own(folder: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "commit"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in list(folder.iterdir()):
        path.rename(blobs / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    assert find(snapshot).load().config.vocab_size == 259
    (blobs / "config.json").rename(tmp_path / "config.json")
    (blobs / "config.json").symlink_to(tmp_path / "config.json")
    assert "leads out of its folder" in said(snapshot)


def pickled(folder: Path) -> dict[str, torch.Tensor]:
    weights = find(folder).load().state_dict()
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return weights


def test_pickled_weights_load_only_when_asked(folder: Path) -> None:
    weights = pickled(folder)
    assert "--trust-pickle loads them all the same" in said(folder)
    source = find(folder, PICKLE)
    assert source.identity() == {"source": str(folder), "sha256": source.sha256, "trust": [PICKLE]}
    assert all(torch.equal(value, weights[name]) for name, value in source.load().state_dict().items())
    weights["model.norm.weight"] += 1
    torch.save(weights, folder / "pytorch_model.bin")
    assert find(folder, PICKLE).sha256 != source.sha256


def test_safetensors_come_first_whatever_is_trusted(folder: Path, toy: ModelSource) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    source = find(folder, PICKLE, REMOTE_CODE)
    assert source.identity() == {"source": str(folder), "sha256": toy.sha256}
    assert source.load().config.vocab_size == 259


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("whole", [True, False], ids=["pickle", "archive"])
def test_a_trusted_pickle_still_runs_nothing(folder: Path, canary: Path, whole: bool) -> None:
    pickled(folder)
    if whole:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"model.norm.weight": Touch(canary)}))
    else:
        torch.save({"model.norm.weight": Touch(canary)}, folder / "pytorch_model.bin")
    assert "cannot load" in said(folder, PICKLE)


def own_code(folder: Path, canary: Path, place: str = "") -> None:
    (folder / "own.py").write_text(OWN_CODE.format(canary=str(canary)))
    names = {"AutoConfig": f"{place}own.OwnConfig", "AutoModelForCausalLM": f"{place}own.OwnModel"}
    change("config.json", model_type="own", auto_map=names)(folder)


def test_a_models_own_code_does_not_run_unasked(folder: Path, canary: Path) -> None:
    own_code(folder, canary)
    assert "needs code of its own (auto_map), which only --trust-remote-code runs" in said(folder)
    own_code(folder, canary, "somebody/else--")
    assert "takes its code from another repository" in said(folder, REMOTE_CODE)


def test_known_architectures_need_no_code_of_the_models(folder: Path, canary: Path) -> None:
    own_code(folder, canary)
    change("config.json", model_type="llama")(folder)
    change("tokenizer_config.json", auto_map={"AutoTokenizer": ["own.OwnTokenizer", None]})(folder)
    source = find(folder)
    assert type(source.load()).__module__.startswith("transformers.")
    assert source.tokenizer().decode(source.tokenizer().encode("a", add_special_tokens=False)) == "a"


def test_libraries_that_load_a_model_themselves_ask_nobody(
    folder: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoConfig, dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "TIME_OUT_REMOTE_CODE", 15)
    quieten()
    own_code(folder, canary)
    with pytest.raises(ValueError, match="custom code"):
        AutoConfig.from_pretrained(folder)


def test_a_models_own_code_runs_when_asked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    own_code(folder, tmp_path / "ran")
    source = find(folder, REMOTE_CODE)
    assert source.trust == (REMOTE_CODE,)
    assert type(source.load()).__name__ == "OwnModel"
    assert (tmp_path / "ran").exists()
    (folder / "own.py").write_text("")
    assert find(folder, REMOTE_CODE).sha256 != source.sha256


def test_an_endless_template_meets_the_time_limit(folder: Path) -> None:
    loop = "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3
    template(loop)(folder)
    outcome = Executor().call("chat_template", find(folder), timeout=3.0)
    assert outcome == Died(status="timeout", reason="stopped after 3 s, its limit")
