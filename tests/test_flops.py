"""Counted operations against the formula."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from harness import registry
from harness.budget import preset
from harness.data import Encoder, batches, head_of
from harness.flops import _custom_operators, forward_formula, step_formula, train_step_flops, training_cost
from harness.model import ModelSource
from harness.toy import VOCABULARY

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.mark.parametrize(
    "name",
    [
        "full",
        "lora-r16",
        "lora-r16-emb",
        "lora-r16-int8",
        "qlora-r16",
        "adalora",
        "prefix-tuning",
        "prompt-tuning",
    ],
)
def test_one_step_counts_what_the_formula_says(toy: ModelSource, name: str) -> None:
    method = registry.method(name)
    model = method.adapt(method.load(toy), preset("smoke"))
    encoder = Encoder(toy.tokenizer(), 64)
    (batch,) = batches(
        [encoder.pair(f"Count to {n}:", "one two") for n in range(8)], batch_size=8, epochs=1, seed=0, pad=0
    )
    state = torch.get_rng_state()
    flops = train_step_flops(model, batch)
    # Below the first trained layer no gradient of the input is needed; in two layers that is much.
    assert flops.counted == pytest.approx(flops.formula, rel=0.12)
    assert flops.counted <= flops.formula * 1.001
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def made(kind: str, **options: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, vocab_size=VOCABULARY, pad_token_id=0, **options)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager")


def test_layers_that_transpose_their_weights_are_in_the_formula(toy: ModelSource) -> None:
    model = made("gpt2", n_embd=32, n_layer=2, n_head=4)
    encoder = Encoder(toy.tokenizer(), 64)
    (batch,) = batches([encoder.pair("Count:", "one")] * 4, batch_size=4, epochs=1, seed=0, pad=0)
    flops = train_step_flops(model, batch)
    assert flops.counted == pytest.approx(flops.formula, rel=0.12)
    assert forward_formula(model, 10) == 2 * 10 * 2 * 12 * 32**2  # 4 + 8 widths squared a block


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_experts_of_a_sparse_model_are_counted(toy: ModelSource, precision: str) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 4, "num_local_experts": 4}  # fmt: skip
    encoder = Encoder(toy.tokenizer(), 64)
    (batch,) = batches([encoder.pair("Count:", "one")] * 4, batch_size=4, epochs=1, seed=0, pad=0)
    counted = [
        train_step_flops(
            made("mixtral", num_experts_per_tok=each, **shape).to(getattr(torch, precision)), batch
        ).counted
        for each in (1, 2)
    ]
    an_expert = 3 * 32 * 64  # gate, up and down
    assert counted[1] - counted[0] == 2 * batch.ids.numel() * an_expert * 6


def test_an_operator_that_an_older_transformers_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers.integrations.moe", ModuleType("moe"))
    monkeypatch.setattr(torch.ops, "transformers", SimpleNamespace(grouped_mm_fallback="forward"))
    assert "forward" in _custom_operators()


@pytest.mark.parametrize("name", ["lora-r16", "dora-r16"])
def test_what_is_once_a_step_is_not_counted_for_every_sequence(toy: ModelSource, name: str) -> None:
    method = registry.method(name)
    model = method.adapt(method.load(toy), preset("smoke"))
    encoder = Encoder(toy.tokenizer(), 64)
    (many,) = batches([encoder.pair("Count to 3:", "one two")] * 8, batch_size=8, epochs=1, seed=0, pad=0)
    cost = training_cost(model, head_of(many, 2), train_step_flops(model, head_of(many, 1)))
    assert cost.of(1, many.ids.numel()) == pytest.approx(train_step_flops(model, many).counted, rel=1e-6)
    # peft's DoRA multiplies the identity through both factors of every adapter, whatever the batch.
    factors = [(m.lora_A["default"], m.lora_B["default"]) for m in model.modules() if hasattr(m, "lora_A")]
    identity = sum(2 * a.in_features * (a.weight.numel() + b.weight.numel()) for a, b in factors)
    assert identity > 0
    assert cost.once == pytest.approx(identity if name == "dora-r16" else 0)


def test_full_is_six_operations_a_weight_and_token(toy: ModelSource) -> None:
    model = registry.method("full").adapt(toy.load(), preset("smoke"))
    linear = sum(
        m.weight.numel()
        for m in model.modules()
        if isinstance(m, torch.nn.Linear) and m is not model.get_output_embeddings()
    )
    head = model.get_output_embeddings().weight.numel()
    attention = 3 * 4 * 10 * 64 * 2  # one sequence of ten tokens, width 64, two layers: 12 T^2 d L / T^2
    expected = 6 * linear * 10 + 6 * head * 2 + attention * 10
    assert step_formula(model, rows=1, width=10, targets=2) == expected
    assert forward_formula(model, 10) == 2 * linear * 10
