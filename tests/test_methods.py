"""Methods: parameter counts against the published ones, identity at the start, what is frozen."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from harness import registry
from harness.budget import preset
from harness.data import Encoder, batches
from harness.engine import engine
from harness.environment import Environment
from harness.methods.adalora import AdaLora, orthogonality, schedule
from harness.methods.full import Full
from harness.methods.lora import Lora
from harness.methods.prefix_tuning import PrefixTuning
from harness.methods.prompt_tuning import PromptTuning
from harness.model import ModelSource, resolve
from harness.train import Trained, train

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


class QueryValueAda(AdaLora):
    initial_rank = 64

    def adapter(self) -> dict[str, Any]:
        return {**super().adapter(), "target_modules": ["q_proj", "v_proj"]}


class Prefix50(PrefixTuning):
    virtual_tokens = 50
    init_text = None  # a meta model computes nothing to start from


class Prompt200(PromptTuning):
    virtual_tokens = 200
    init_text = None


def trainable(model: Any) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("model", "method", "count"),
    [
        (llama_3b, QueryValueR32(), 9_175_040),  # peft method_comparison, Llama-3.2-3B
        (llama_7b, QueryValueR8(), 4_194_304),  # torchtune, Llama-2-7B
        (llama_3b, QueryValueAda(), 18_353_664),  # peft method_comparison, initial rank 64
        (llama_3b, Prefix50(), 2_867_200),  # peft method_comparison
        (llama_3b, Prompt200(), 614_400),  # peft method_comparison
        (llama_3b, Full(), 3_212_749_824),  # Llama-3.2-3B's model card: 3.21B
    ],
)
def test_trainable_parameters_equal_the_published_counts(model: Any, method: Any, count: int) -> None:
    assert trainable(method.adapt(model(), preset("smoke"))) == count


def test_prompt_tuning_trains_tokens_times_width(toy: ModelSource) -> None:
    model = PromptTuning().adapt(PromptTuning().load(toy), preset("smoke"))
    assert trainable(model) == PromptTuning.virtual_tokens * 64


def test_dropout_is_off_outside_training(toy: ModelSource) -> None:
    method = registry.method("lora-r16-dropout")
    model = method.adapt(method.load(toy), preset("smoke"))
    rates = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.1}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    ids = torch.arange(30)[None]
    training = [model.train()(input_ids=ids).logits for _ in range(2)]
    resting = [model.eval()(input_ids=ids).logits for _ in range(2)]
    assert not torch.equal(*training)
    assert torch.equal(*resting)


def test_lora_adapts_every_linear_layer_but_the_head(toy: ModelSource) -> None:
    method = registry.method("lora-r16")
    model = method.adapt(method.load(toy), preset("smoke"))
    adapted = {name.split(".lora_A")[0] for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(adapted) == 2 * 7
    assert not any("lm_head" in name for name in adapted)


def linear_layers(toy: ModelSource) -> dict[str, torch.nn.Linear]:
    found = toy.load().named_modules()
    return {name: m for name, m in found if isinstance(m, torch.nn.Linear) and name != "lm_head"}


def test_trainable_counts_equal_their_formulas(toy: ModelSource) -> None:
    linear = list(linear_layers(toy).values())
    sides = sum(m.in_features + m.out_features for m in linear)
    outputs = sum(m.out_features for m in linear)
    config = toy.load().config
    features = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    expected = {
        "full": sum(p.numel() for p in toy.load().parameters()),
        "lora-r8": 8 * sides,
        "lora-r16": 16 * sides,
        "lora-r32": 32 * sides,
        "lora-r64": 64 * sides,
        "lora-r256": 256 * sides,
        "lora-r16-dropout": 16 * sides,
        "lora-r16-int8": 16 * sides,
        "lora-r16-emb": 16 * (sides + config.vocab_size + config.hidden_size),
        "dora-r16": 16 * sides + outputs,
        "rslora-r64": 64 * sides,
        "qlora-r8": 8 * sides,
        "qlora-r16": 16 * sides,
        "qlora-r16-fp4": 16 * sides,
        "adalora": 24 * (sides + len(linear)),
        "prefix-tuning": 20 * features,
        "prompt-tuning": 20 * config.hidden_size,
    }
    trained = {name: m for name, m in registry.methods().items() if m.learning_rates}
    assert {name: trainable(m.adapt(m.load(toy), preset("smoke"))) for name, m in trained.items()} == expected


def test_rank_stabilised_lora_scales_by_the_root_of_the_rank(toy: ModelSource) -> None:
    scales = {}
    for name in ("lora-r8", "lora-r256", "rslora-r64"):
        method = registry.method(name)
        model = method.adapt(method.load(toy), preset("smoke"))
        (scales[name],) = {m.scaling["default"] for m in model.modules() if hasattr(m, "lora_A")}
    assert scales == {"lora-r8": 2.0, "lora-r256": 2.0, "rslora-r64": 8.0}


def test_embeddings_are_adapted_and_a_tied_head_is_not(toy: ModelSource) -> None:
    method = registry.method("lora-r16-emb")
    model = method.adapt(method.load(toy), preset("smoke"))
    adapted = {name.split(".lora_")[0] for name, _ in model.named_parameters() if ".lora_" in name}
    assert adapted == {f"base_model.model.{name}" for name in (*linear_layers(toy), "model.embed_tokens")}
    assert model.get_output_embeddings().weight is toy_embeddings(model)


def toy_embeddings(model: Any) -> Any:
    return model.get_input_embeddings().get_base_layer().weight


def fit(method: AdaLora, source: ModelSource, steps: int) -> tuple[Any, Trained]:
    torch.manual_seed(0)
    budget = replace(preset("smoke"), train_examples=4 * steps, batch_size=4)
    model = method.adapt(method.load(source), budget)
    encoder = Encoder(source.tokenizer(), 64)
    pairs = [encoder.pair(f"{n} plus {n % 5} is", str(n + n % 5)) for n in range(4 * steps)]
    fast = engine("fast")
    trained = train(
        model,
        fast.optimizer(model, source.precision),
        batches(pairs, batch_size=4, epochs=1, seed=0, pad=encoder.end),
        loss_of=fast.loss,
        learning_rate=1e-2,
        device="cpu",
        penalty=method.penalty,
        after_step=method.after_step,
        progress=lambda done, total: None,
    )
    return model, trained


def ranks(model: Any) -> list[int]:
    return [int((p != 0).sum()) for name, p in model.named_parameters() if "lora_E" in name]


def test_adalora_moves_ranks_between_layers_to_the_target_mean(toy: ModelSource, toy_folder: Any) -> None:
    layers = len(linear_layers(toy))
    for precision in ("float32", "bfloat16"):
        source = resolve(str(toy_folder), device="cpu", precision=precision)
        found = ranks(fit(AdaLora(), source, 24)[0])
        assert len(set(found)) > 3  # layers differ
        assert sum(found) == AdaLora.target_rank * layers


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_adalora_runs_however_few_steps_there_are(toy: ModelSource, steps: int) -> None:
    model, trained = fit(AdaLora(), toy, steps)
    assert trained.degenerate is None
    assert len(trained.curve) == steps
    assert steps == 1 or sum(ranks(model)) == AdaLora.target_rank * len(linear_layers(toy))


def test_adalora_schedule_follows_the_steps() -> None:
    assert schedule(6680) == {"total_step": 6680, "tinit": 668, "tfinal": 3340, "deltaT": 10}
    assert schedule(28) == {"total_step": 28, "tinit": 3, "tfinal": 14, "deltaT": 1}
    for steps in range(1, 300):
        made = schedule(steps)
        assert made["tinit"] < made["total_step"] - made["tfinal"] >= 2


def test_adalora_penalty_is_what_peft_adds_to_a_loss(toy: ModelSource) -> None:
    model, _ = fit(AdaLora(), toy, 3)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        theirs = model(input_ids=ids, labels=ids).loss
        plain = model.get_base_model()(input_ids=ids, labels=ids).loss
        assert float(theirs - plain) == pytest.approx(float(orthogonality(model)), abs=1e-5)


def test_prefix_tuning_starts_as_the_base_behind_its_text(toy: ModelSource) -> None:
    method = PrefixTuning()
    ids = torch.arange(30)[None]
    text = toy.tokenizer().encode(PrefixTuning.init_text, add_special_tokens=False)
    text = torch.tensor([text[: PrefixTuning.virtual_tokens]])
    with torch.inference_mode():
        expected = toy.load()(input_ids=torch.cat([text, ids], dim=1)).logits[:, text.shape[1] :]
        model = method.adapt(method.load(toy), preset("smoke"))
        got = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


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


@pytest.mark.parametrize(("name", "stored"), [("qlora-r16-fp4", "fp4"), ("lora-r16-int8", "int8")])
def test_other_storages_differ_from_qlora_in_their_weights_alone(
    toy_folder: Any, name: str, stored: str
) -> None:
    import bitsandbytes

    source = resolve(str(toy_folder), device="cpu", precision="bfloat16")
    method = registry.method(name)
    assert method.config()["quantisation"] == stored
    model = method.adapt(method.load(source), preset("smoke"))
    layers = [m.base_layer for m in model.modules() if hasattr(m, "lora_A")]
    kind = bitsandbytes.nn.Linear8bitLt if stored == "int8" else bitsandbytes.nn.Linear4bit
    assert len(layers) == 2 * 7
    assert all(isinstance(layer, kind) for layer in layers)
    if stored == "fp4":
        assert {layer.weight.quant_state.quant_type for layer in layers} == {"fp4"}
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.bfloat16}


def test_qlora_says_where_it_cannot_run() -> None:
    environment = Environment(
        device="mps", device_name="x", cores=1, memory_bytes=1, gpu_memory_bytes=None, precision="float32",
        matmul_flops=1e9, versions={}, machine="m", commit=None, platform="p",
    )  # fmt: skip
    for name in ("qlora-r16", "lora-r16-int8"):
        assert "mps" in (registry.method(name).skip(environment) or "")
    assert registry.method("lora-r16").skip(environment) is None


def test_three_trials_try_a_rate_on_either_side_of_the_default() -> None:
    for method in registry.methods().values():
        if method.learning_rates:
            least, middle, most = sorted(method.learning_rates[:3])
            assert least < method.learning_rates[0] == middle < most, method.name
