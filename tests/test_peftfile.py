"""Methods made of peft configurations: every kind of adapter runs, hostile files are refused in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.conformance import checks
from harness.errors import PluginError, UsageError
from harness.methods import adalora
from harness.methods.lora import LoraR16, LoraR256
from harness.peftfile import MAX_BYTES, OTHER_RATES, PeftFile

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

LORA: dict[str, Any] = {
    "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "target_modules": "all-linear",
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "ia3": {
        "peft_type": "IA3", "target_modules": ["k_proj", "v_proj", "down_proj"],
        "feedforward_modules": ["down_proj"],
    },
    "vera": {"peft_type": "VERA", "r": 8, "target_modules": ["q_proj", "o_proj"]},
    "pissa": {**LORA, "init_lora_weights": "pissa"},
    "dropout": {**LORA, "lora_dropout": 0.1, "loftq_config": {}, "megatron_core": "megatron.core"},
    "adalora": {
        "peft_type": "ADALORA", "init_r": 6, "target_r": 4, "total_step": 1000, "tinit": 10, "tfinal": 20,
        "target_modules": "all-linear", "rank_pattern": {"x.lora_E": [True, False]},
    },
    "prefix": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 8},
    "prompt": {
        "peft_type": "PROMPT_TUNING", "num_virtual_tokens": 8, "prompt_tuning_init": "TEXT",
        "prompt_tuning_init_text": "Say it:", "tokenizer_name_or_path": "/etc",
    },
}  # fmt: skip


def write(folder: Path, values: object) -> str:
    path = folder / "mine" / "adapter_config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return str(path)


@pytest.mark.parametrize("kind", KINDS)
def test_any_configuration_makes_a_method_that_conforms(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, KINDS[kind])
    method = registry.method(path)
    assert isinstance(method, PeftFile)
    method.check()
    found = {check.name: check.problem for check in checks(path)}
    assert {name: problem for name, problem in found.items() if problem} == {}
    starts = kind in ("dropout", "adalora")  # in LoRA's own way; of the others only their makers know
    assert ("before training, outputs equal the loaded model's" in found) is starts


def test_a_configuration_is_called_after_its_folder_or_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, {**LORA, "base_model_name_or_path": "someone/else", "num_layers": 32})
    method = registry.method(path)
    assert method.name == "mine"
    assert method.learning_rates == LoraR16.learning_rates
    assert method.description == f"peft LORA as in {path}; LORA's learning rates"
    assert method.config() == {name: value for name, value in LORA.items() if name != "task_type"}
    other = tmp_path / "My (second) try.json"
    other.write_text(json.dumps(KINDS["ia3"]))
    assert registry.method(str(other)).name == "my-second-try"
    assert registry.method(str(other)).learning_rates == OTHER_RATES
    for high, grid in (
        ({"r": 256, "lora_alpha": 512}, LoraR256), ({"lora_alpha": 32}, LoraR256),
        ({"use_rslora": True, "r": 64, "lora_alpha": 128}, LoraR256),
        ({"use_rslora": True}, LoraR16), ({"lora_alpha": 16}, LoraR16),
    ):  # fmt: skip
        other.write_text(json.dumps({**LORA, **high}))
        assert registry.method(str(other)).learning_rates == grid.learning_rates
    assert registry.method_references(f"{path},{other},full") == [path, str(other), "full"]


def test_a_registered_name_is_not_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "lora-r16"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(LORA))
    with pytest.raises(UsageError, match="would make another method 'lora-r16'; rename its folder"):
        registry.method(str(folder / "adapter_config.json"))


REFUSED: dict[str, tuple[object, str]] = {
    "no text": ("\0", "cannot read"),
    "deep": ("[" * 100_000, "nested too deeply"),
    "long": (" " * MAX_BYTES + "{}", "longer than 1,000,000 bytes"),
    "a list": ("[]", "not a JSON object"),
    "nothing": ({}, "has no peft_type"),
    "type": ({"peft_type": ["LORA"]}, "has no peft_type"),
    "task": ({**LORA, "task_type": "SEQ_CLS"}, "only CAUSAL_LM can be run here"),
    "module": ({**LORA, "megatron_config": {"x": 1}, "megatron_core": "evil"}, "megatron_config would have"),
    "pickle": (
        {"peft_type": "MULTITASK_PROMPT_TUNING", "prompt_tuning_init_state_dict_path": "/tmp/x.bin"},
        "prompt_tuning_init_state_dict_path would have peft read or import what is not in this file",
    ),
    "loader": (
        {**KINDS["prompt"], "tokenizer_kwargs": {"trust_remote_code": True}},
        "tokenizer_kwargs would",
    ),
    "adapters": ({"peft_type": "XLORA", "adapters": {"0": "someone/pickle"}}, "adapters would have"),
    "shadow": ({"peft_type": "SHADOW", "shadow_model": "someone/model"}, "shadow_model would have"),
    "cache": ({**LORA, "corda_config": {"cache_file": "/etc/passwd"}}, "corda_config would have"),
    "rank": ({**LORA, "r": 10**6}, "r is 1000000; allowed: -4096 to 4096"),
    "ranks": ({**LORA, "rank_pattern": {"q_proj": 10**6}}, "rank_pattern is 1000000"),
    "tokens": ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 10**7}, "allowed: -4096 to 4096"),
    "number": ({**LORA, "lora_alpha": 1e300}, r"lora_alpha is 1e\+300; allowed"),
    "not a number": ({**LORA, "lora_alpha": float("nan")}, "lora_alpha is nan; allowed"),
    "digits": (json.dumps(LORA).replace("8", "1" * 10_000), "cannot read"),
    "depth": ({**LORA, "alpha_pattern": {"a": {"b": {"c": {"d": {}}}}}}, "nested too deeply"),
    "names": ({**LORA, "target_modules": ["x"] * 20_000}, "target_modules is longer than 10000"),
    "expression": ({**LORA, "target_modules": "(a+)+" * 5_000}, "target_modules is longer than 10000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_configuration_is_one_line(tmp_path: Path, name: str) -> None:
    values, message = REFUSED[name]
    path = write(tmp_path, values)
    with pytest.raises(UsageError, match=message) as caught:
        registry.method(path)
    assert "\n" not in str(caught.value)
    assert re.search(r"mine/adapter_config\.json", str(caught.value))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**LORA, "peft_type": "lora"}, r"has no peft_type 'lora'; allowed: ADALORA, "),
        ({**LORA, "rank": 3}, "peft refuses its configuration: .*unexpected keyword argument 'rank'"),
        ({**LORA, "init_lora_weights": "loftq"}, "peft refuses its configuration: .*loftq"),
        (
            {"peft_type": "MULTITASK_PROMPT_TUNING", "num_tasks": 2},
            r"needs more than a text from every example \(task ids\)",
        ),
        ({"peft_type": "POLY"}, r"needs more than a text from every example \(task ids\)"),
        ({"peft_type": "CPT"}, r"needs more than a text from every example \(the types of its tokens"),
        ({**KINDS["adalora"], "tinit": 990}, "tinit and tfinal together have to be fewer than total_step"),
        ({**KINDS["adalora"], "tfinal": -50}, "have to be whole numbers"),
        ({**KINDS["adalora"], "tinit": "3"}, "have to be whole numbers"),
        ({**KINDS["adalora"], "target_r": 6}, "target_r has to be below init_r, and above 0"),
        ({**KINDS["adalora"], "target_r": "8"}, "to target_r '8'; target_r has to be below init_r"),
    ],
)
def test_what_peft_does_not_take_is_one_line(tmp_path: Path, values: object, message: str) -> None:
    method = registry.method(write(tmp_path, values))
    assert isinstance(method, PeftFile)
    with pytest.raises(PluginError, match=message) as caught:
        method.check()
    assert "\n" not in str(caught.value)


def test_an_adalora_files_own_schedule_is_scaled_to_the_run(tmp_path: Path) -> None:
    own = {"total_step": 1000, "tinit": 100, "tfinal": 300, "deltaT": 10}

    def made(schedule: dict[str, int]) -> list[int]:
        method = registry.method(write(tmp_path, {**KINDS["adalora"], "total_step": None, **schedule}))
        assert isinstance(method, PeftFile)
        built = method._built(steps=200, tokenizer="")
        return [getattr(built, name) for name in own]

    assert made(own) == [200, 20, 60, 2]
    as_it_stands = {"total_step": 200, "tinit": 20, "tfinal": 60, "deltaT": 7}
    assert made(as_it_stands) == list(as_it_stands.values())
    assert made({"tinit": 5}) == list(adalora.schedule(200).values())  # of how many it does not say


def test_a_missing_file_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"cannot read nowhere/adapter_config\.json"):
        registry.method("nowhere/adapter_config.json")
