"""The fast engine against the plain one, and compiled blocks against uncompiled ones."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from harness import evaluate
from harness.anatomy import blocks
from harness.answers import Answer, encode_prompts
from harness.compiling import COMPILED_WORK, compile_blocks, compile_where_it_pays, release
from harness.data import Batch, Encoder, head_of
from harness.engine import engine
from harness.evaluate import takes_rows
from harness.job import ENGINES
from harness.model import ModelSource
from harness.recompute import recompute_gates
from harness.toy import VOCABULARY
from harness.train import target_loss
from tests.test_train import METHODS, adapted, fit, made

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*not a leaf Tensor.*:UserWarning"),  # the compiler's, as it traces
    pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning"),  # torch's own, at import
]

PROMPTS = [f"Say {'very ' * (n % 5)}{n}:" for n in range(8)]
LABELS = ("red", "redder", "a blue one", "green")


def answers(toy: ModelSource, name: str, method: str) -> tuple[list[Answer], list[Answer]]:
    encoder = Encoder(toy.tokenizer(), 64)
    model = adapted(toy, method)
    fit(model, made(toy), 1e-2)
    prompts = encode_prompts(encoder, PROMPTS, ())
    found = engine(name).evaluator(model, encoder, device="cpu", progress=lambda done, total: None)
    joined = [encoder.follow(PROMPTS[0], label) for label in LABELS]
    return found.choose(prompts, joined, LABELS), found.generate(prompts, 12, stop="7")


def test_every_named_engine_can_be_made() -> None:
    assert [engine(name).name for name in ENGINES] == list(ENGINES)


@pytest.mark.parametrize("method", METHODS)
def test_both_engines_give_the_same_answers_at_every_batch_size(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    plain = answers(toy, "plain", method)
    for rows in (1, 16):
        monkeypatch.setattr(evaluate, "ROWS", rows)
        assert answers(toy, "fast", method) == plain


SHAPE = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0, "bos_token_id": 256,
    "eos_token_id": 257,
}  # fmt: skip
ALIBI = {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4, "pad_token_id": 0}


@pytest.mark.parametrize(
    ("kind", "options", "in_rows"),
    [
        ("llama", SHAPE, True),
        ("mistral", SHAPE | {"sliding_window": 512}, True),
        ("mistral", SHAPE | {"sliding_window": 16}, False),
        (
            "gemma3_text",
            SHAPE | {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 12},
            False,
        ),
        ("lfm2", SHAPE | {"layer_types": ["conv", "full_attention"]}, False),
        ("bloom", ALIBI, False),
    ],
)
def test_a_model_is_asked_in_rows_only_where_that_gives_the_same_answers(
    toy: ModelSource, kind: str, options: dict[str, Any], in_rows: bool
) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **options)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    head = model.get_output_embeddings()  # one that is tied repeats what it was given last
    head.weight = torch.nn.Parameter(torch.randn_like(head.weight))
    encoder = Encoder(toy.tokenizer(), 64)
    prompts = encode_prompts(encoder, PROMPTS, ())
    joined = [encoder.follow(PROMPTS[0], label) for label in LABELS]
    assert takes_rows(model, max(len(prompt.ids) for prompt in prompts) + 40) == in_rows
    found = {}
    for name in ("fast", "plain"):
        tool = engine(name).evaluator(model, encoder, device="cpu", progress=lambda done, total: None)
        found[name] = tool.choose(prompts, joined, LABELS), tool.generate(prompts, 8)
        assert tool.tokens > 0
    assert found["fast"] == found["plain"]
    assert any(answer.text for answer in found["fast"][1])


def test_the_first_rows_of_a_batch_lose_like_those_rows_alone(toy: ModelSource) -> None:
    batch = made(toy)[0]
    model = adapted(toy, "full")
    first = head_of(batch, 2)
    assert first.tokens == int(batch.mask[:2].sum())
    alone = Batch(**{**{f: getattr(first, f) for f in first.__slots__}, "ids": batch.ids[:2].clone()})
    assert target_loss(model, first).item() == target_loss(model, alone).item()
    assert len(head_of(batch, 99).targets) == len(batch.targets)


@pytest.mark.timeout(600)
def test_compiled_blocks_lose_as_uncompiled_ones_do(toy: ModelSource) -> None:
    method = "lora-r16"
    plain = fit(adapted(toy, method), made(toy), 1e-2).curve
    model = adapted(toy, method)
    recompute_gates(model)  # as every optimizer of the fast engine has it before anything is compiled
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    done = compile_blocks(model, made(toy))
    assert done.compiled, done.reason
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    compiled = fit(model, made(toy), 1e-2).curve
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs  # no batch makes another graph
    assert [point.loss for point in compiled] == pytest.approx([point.loss for point in plain], abs=2e-4)
    calls = [block._compiled_call_impl for block in blocks(model)]
    assert all(calls[1:])
    with engine("fast").uncompiled(model):
        assert not any(block._compiled_call_impl for block in blocks(model))
    assert [block._compiled_call_impl for block in blocks(model)] == calls
    release(model)
    assert all(block._compiled_call_impl is None for block in blocks(model))


@pytest.mark.parametrize(
    ("work", "tiles", "compiler", "reason"),
    [
        (COMPILED_WORK / 2, True, True, "too little work"),
        (COMPILED_WORK, False, True, "AMX"),
        (COMPILED_WORK, True, False, "no C.. compiler"),
    ],
)
def test_it_compiles_only_where_that_pays(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch, work: float, tiles: bool, compiler: bool, reason: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr("shutil.which", lambda name: name if compiler else None)
    monkeypatch.setattr("harness.compiling.compile_blocks", pytest.fail)
    done = compile_where_it_pays(adapted(toy, "full"), made(toy), work)
    assert not done.compiled
    assert re.search(reason, done.reason or "")


def test_a_model_that_does_not_compile_trains_uncompiled(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def refuse(*arguments: Any, **options: Any) -> Callable[..., Any]:
        raise TorchDynamoException("no graph for this\nand more")

    model = adapted(toy, "full")
    monkeypatch.setattr("harness.compiling.target_loss", refuse)
    done = compile_blocks(model, made(toy))
    assert (done.compiled, done.reason) == (False, "no graph for this")
    assert all(block._compiled_call_impl is None for block in blocks(model))
