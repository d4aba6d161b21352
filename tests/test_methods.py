"""Methods: parameter counts against the published ones, identity at the start, what is frozen."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from harness import registry
from harness.budget import preset
from harness.environment import Environment
from harness.methods.full import Full
from harness.methods.lora import Lora
from harness.methods.prompt_tuning import PromptTuning
from harness.model import ModelSource

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


def llama(**shape: int) -> LlamaForCausalLM:
    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**shape))


def llama_3b() -> LlamaForCausalLM:
    return llama(
        hidden_size=3072, intermediate_size=8192, num_hidden_layers=28, num_attention_heads=24,
        num_key_value_heads=8, head_dim=128, vocab_size=128256, tie_word_embeddings=True,
    )  # fmt: skip


def llama_7b() -> LlamaForCausalLM:
    return llama(
        hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=32, vocab_size=32000,
    )  # fmt: skip


class QueryValue(Lora):
    """LoRA on the query and value projections, as the published counts have it."""

    def adapter(self) -> dict[str, Any]:
        return {**super().adapter(), "target_modules": ["q_proj", "v_proj"]}


class QueryValueR8(QueryValue):
    rank = 8


class QueryValueR32(QueryValue):
    rank = 32


def trainable(model: Any) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("model", "method", "count"),
    [
        (llama_3b, QueryValueR32(), 9_175_040),  # peft method_comparison, Llama-3.2-3B
        (llama_7b, QueryValueR8(), 4_194_304),  # torchtune, Llama-2-7B
        (llama_3b, Full(), 3_212_749_824),  # Llama-3.2-3B's model card: 3.21B
    ],
)
def test_trainable_parameters_equal_the_published_counts(model: Any, method: Any, count: int) -> None:
    assert trainable(method.adapt(model(), preset("smoke"))) == count


def test_prompt_tuning_trains_tokens_times_width(toy: ModelSource) -> None:
    model = PromptTuning().adapt(PromptTuning().load(toy), preset("smoke"))
    assert trainable(model) == PromptTuning.virtual_tokens * 64
    assert 200 * llama_3b().config.hidden_size == 614_400  # the published count, by the same formula


def test_lora_adapts_every_linear_layer_but_the_head(toy: ModelSource) -> None:
    method = registry.method("lora-r16")
    model = method.adapt(method.load(toy), preset("smoke"))
    adapted = {name.split(".lora_A")[0] for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(adapted) == 2 * 7
    assert not any("lm_head" in name for name in adapted)
    expected = sum(
        16 * (m.in_features + m.out_features)
        for name, m in toy.load().named_modules()
        if isinstance(m, torch.nn.Linear) and name != "lm_head"
    )
    assert trainable(model) == expected


def test_lora_is_the_identity_before_training(toy: ModelSource) -> None:
    ids = torch.arange(20)[None]
    method = registry.method("lora-r16")
    with torch.inference_mode():
        base = toy.load()(input_ids=ids).logits
        assert torch.equal(method.adapt(method.load(toy), preset("smoke"))(input_ids=ids).logits, base)


def test_prompt_tuning_starts_from_its_text(toy: ModelSource) -> None:
    model = PromptTuning().adapt(PromptTuning().load(toy), preset("smoke"))
    ids = toy.tokenizer().encode(PromptTuning.init_text, add_special_tokens=False)[
        : PromptTuning.virtual_tokens
    ]
    embeddings = toy.load().get_input_embeddings()(torch.tensor(ids))
    start = model.get_prompt(batch_size=1)[0]
    # peft reads the text with the tokenizer's special tokens; a begin token would shift it by one.
    assert torch.equal(start, embeddings) or torch.equal(start[1:], embeddings[:-1])


def test_qlora_quantises_all_linear_layers_but_the_head(toy: ModelSource) -> None:
    import bitsandbytes

    model = registry.method("qlora-r16").load(toy)
    linear = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    quantised = {name for name, module in linear.items() if isinstance(module, bitsandbytes.nn.Linear4bit)}
    assert set(linear) - quantised == {"lm_head"}
    state = linear[min(quantised)].weight.quant_state
    assert state.quant_type == "nf4"
    assert state.nested


def test_qlora_says_where_it_cannot_run() -> None:
    environment = Environment(
        device="mps", device_name="x", cores=1, memory_bytes=1, gpu_memory_bytes=None, precision="float32",
        matmul_flops=1e9, versions={}, machine="m", commit=None, platform="p",
    )  # fmt: skip
    assert "mps" in (registry.method("qlora-r16").skip(environment) or "")
    assert registry.method("lora-r16").skip(environment) is None
