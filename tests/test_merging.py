"""Merged adapters against unmerged ones: what rounding explains, and what it does not."""

from __future__ import annotations

import contextlib
import copy
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit

from harness import merging, registry, worker
from harness.anatomy import weight_bytes
from harness.budget import preset
from harness.merging import (
    READ,
    UnmergedError,
    distance,
    is_quantised,
    measure,
    mergeable,
    merged_copy,
)
from harness.methods.lora import LoraR16
from harness.model import ModelSource, resolve
from tests import synthetic
from tests.test_train import adapted, fit, made

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

MERGED = ("lora-r16", "lora-r16-emb", "dora-r16", "rslora-r64", "adalora")
IDS = torch.arange(120).view(3, 40)
PROMPTS = [list(range(n, n + 50)) for n in range(3)]


def trained(source: ModelSource, name: str) -> Any:
    model = adapted(source, name)
    rate = registry.method(name).learning_rates[0]
    fit(model, made(source), rate, method=name, precision=source.precision)
    return model


@torch.inference_mode()
def outputs(model: Any) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=IDS).logits
    return logits


@pytest.mark.parametrize("name", MERGED)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_merged_outputs_are_the_same_but_for_rounding(toy_folder: Path, name: str, precision: str) -> None:
    model = trained(resolve(str(toy_folder), device="cpu", precision=precision), name)
    found = distance(model, merged_copy(model), IDS)
    assert 0 < found.difference <= found.tolerance
    assert found.tolerance < (1e-4 if precision == "float32" else 1.0) * outputs(model).abs().max().item()
    assert found.agreement > 0.95


@pytest.mark.parametrize("name", MERGED)
def test_an_error_of_a_hundredth_in_one_layer_is_more_than_rounding(toy: ModelSource, name: str) -> None:
    model = trained(toy, name)
    wrong = merged_copy(model)
    with torch.no_grad():
        wrong.model.layers[0].mlp.down_proj.weight.mul_(1.01)
    found = distance(model, wrong, IDS)
    assert found.difference > found.tolerance


def test_the_difference_is_that_of_all_logits_at_once(toy: ModelSource) -> None:
    model = trained(toy, "lora-r16")
    other = merged_copy(trained(toy, "rslora-r64"))
    found = distance(model, other, IDS)
    first, second = outputs(model), outputs(other)
    assert found.difference == pytest.approx((first - second).abs().max().item(), rel=1e-4)
    same = int((first.argmax(dim=-1) == second.argmax(dim=-1)).sum())
    assert found.agreement == same / IDS.numel() < 1


@pytest.mark.parametrize("name", ["qlora-r16", "qlora-r16-fp4", "lora-r16-int8"])
def test_merging_leaves_a_quantised_model_alone(toy: ModelSource, name: str) -> None:
    model = trained(toy, name)
    before = outputs(model)
    measure(model, PROMPTS)
    assert torch.equal(outputs(model), before)


@pytest.mark.parametrize(("name", "half_a_step"), [("qlora-r16", 0.152), ("qlora-r16-fp4", 0.167)])
def test_a_4_bit_merge_is_the_sum_rounded_to_the_nearest_of_its_steps(
    toy: ModelSource, name: str, half_a_step: float
) -> None:
    model = trained(toy, name)
    double = merged_copy(model)
    layer, rounded = (
        one.get_submodule("model.layers.0.mlp.down_proj") for one in (model.get_base_model(), double)
    )
    wanted = dequantize_4bit(layer.weight, layer.weight.quant_state) + layer.get_delta_weight("default")
    found = dequantize_4bit(rounded.weight, rounded.weight.quant_state)
    blocks, apart = (one.reshape(-1, layer.weight.quant_state.blocksize) for one in (wanted, found - wanted))
    # Steps are widest beside the largest values of a block, which scale it; scales are rounded to 8 bits.
    assert (apart.abs().amax(1) <= half_a_step * blocks.abs().amax(1) * 1.03).all()
    assert not torch.equal(found, dequantize_4bit(layer.weight, layer.weight.quant_state))


def test_merging_leaves_the_model_itself_alone(toy: ModelSource) -> None:
    model = trained(toy, "lora-r16-emb")
    before = outputs(model)
    measure(model, PROMPTS)
    assert torch.equal(outputs(model), before)
    embeddings = model.get_input_embeddings().base_layer
    assert model.get_output_embeddings().weight is embeddings.weight  # still tied


@pytest.mark.parametrize("name", ["full", "prompt-tuning", "prefix-tuning", "zero-shot"])
def test_without_an_adapter_in_the_layers_there_is_nothing_to_merge(toy: ModelSource, name: str) -> None:
    assert not mergeable(adapted(toy, name))
    assert mergeable(adapted(toy, "lora-r16"))


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
def test_an_adapter_that_peft_does_not_merge_is_left_out(toy: ModelSource) -> None:
    class Biased(LoraR16):
        def adapter(self) -> dict[str, Any]:
            return {
                **super().adapter(),
                "lora_bias": True,
            }  # the model's own layers have none to merge it into

    model = Biased().adapt(toy.load(), preset("smoke"))
    assert mergeable(model)
    with pytest.raises(UnmergedError, match="Impossible to merge LoRA with `lora_bias=True`"):
        measure(model, PROMPTS)
    cell = SimpleNamespace(
        budget=preset("smoke"),
        model=model,
        material=SimpleNamespace(test=PROMPTS),
        examiner=SimpleNamespace(prompts=lambda examples: [SimpleNamespace(ids=ids) for ids in examples]),
        _phase=contextlib.nullcontext,
    )
    done: Any = synthetic.cell("legal_license", "lora-r16")
    result = worker._Cell._merged(cast(worker._Cell, cell), replace(done, merged=None))
    assert result.merged is None
    assert result.unmerged is not None
    assert result.unmerged.startswith("RuntimeError: Impossible to merge LoRA")


def test_a_4_bit_base_loses_more_than_rounding(toy: ModelSource) -> None:
    model = trained(toy, "qlora-r16")
    assert is_quantised(model)
    assert not is_quantised(trained(toy, "lora-r16"))
    found = distance(model, merged_copy(model), IDS)
    assert found.difference > found.tolerance


def test_both_forms_are_timed_on_the_same_prompts(toy: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, tuple[int, ...]]] = []
    seconds = merging._seconds

    def noting(model: Any, ids: torch.Tensor) -> tuple[float, float]:
        asked.append((mergeable(model), tuple(ids.shape)))
        return seconds(model, ids)

    monkeypatch.setattr(merging, "_seconds", noting)
    found = measure(trained(toy, "lora-r16"), [[1] * 500, [2] * 40, [3] * 300])
    order = [True, False, False, True, True, False, False, True]  # a pass of each to warm up, then three
    assert asked == [(apart, (3, 40)) for apart in order]
    assert (found.prompts, found.tokens) == (3, 120)
    assert min(found.apart.forward, found.apart.generation, found.merged.forward) > 0


def test_the_last_tokens_of_a_long_prompt_are_read(toy: ModelSource) -> None:
    found = measure(trained(toy, "lora-r16"), [[1] * 500])
    assert found.tokens == READ


def test_tokens_are_written_as_generation_without_a_cache_would(toy: ModelSource) -> None:
    model, fed = trained(toy, "lora-r16"), []
    handle = model.register_forward_pre_hook(
        lambda module, args, kwargs: fed.append(kwargs["input_ids"]), with_kwargs=True
    )
    merging._seconds(model, IDS)
    handle.remove()
    whole = IDS
    for ids in fed[1:]:
        with torch.inference_mode():
            best = model(input_ids=whole).logits[:, -1].argmax(dim=-1)
        assert torch.equal(ids[:, 0], best)
        whole = torch.cat([whole, ids], dim=1)
    assert whole.shape[1] == IDS.shape[1] + merging.WRITTEN


def test_without_room_for_a_second_model_nothing_is_merged(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapted(toy, "lora-r16")
    monkeypatch.setattr(merging, "_free_bytes", lambda device: 2 * weight_bytes(model) - 1)
    monkeypatch.setattr(merging, "merged_copy", pytest.fail)
    with pytest.raises(UnmergedError, match="too little memory for a second model"):
        measure(model, PROMPTS)


def test_what_peft_cannot_merge_is_not_measured(toy: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr("peft.tuners.lora.layer.Linear.merge", refuse)
    with pytest.raises(UnmergedError, match="NotImplementedError"):
        measure(adapted(toy, "lora-r16"), PROMPTS)


@pytest.mark.parametrize("broken", [0, 1])
def test_a_difference_that_is_no_number_is_none(toy: ModelSource, broken: int) -> None:
    model = trained(toy, "lora-r16")
    double = merged_copy(model)
    bad = copy.deepcopy(double)
    with torch.no_grad():
        bad.model.embed_tokens.weight[broken] = math.nan
    found = distance(model, bad, torch.tensor([[0, 3], [1, 3]]))
    assert math.isnan(found.difference)
