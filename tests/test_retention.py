"""Retention: the passages, and the loss on them against the plainest loop there is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import registry
from harness.budget import preset
from harness.data import Encoder
from harness.engine import engine
from harness.extras import Retention
from harness.job import PassageLoss
from harness.model import ModelSource, resolve
from harness.passages import KINDS, LEAST, MOST, passages
from harness.retention import (
    PASSAGES,
    compare,
    encode,
    mean_loss,
    measure_base,
    passage_losses,
    passages_for,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


def texts(kind: str = "code", count: int = 11) -> tuple[str, ...]:
    found = passages(kind, count)
    assert found is not None
    return found.texts


def by_hand(model: Any, encoder: Encoder, given: tuple[str, ...]) -> float:
    """Each text alone, without padding, a token after the other: -log p of each given all before it."""
    losses = []
    for text in given:
        ids = [encoder.begin, *encoder.text(text)][: encoder.max_length]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        for position in range(1, len(ids)):
            row = logits[position - 1].double()
            losses.append(float(torch.logsumexp(row, 0) - row[ids[position]]))
    return sum(losses) / len(losses)


def loss(model: Any, encoder: Encoder, given: tuple[str, ...], name: str = "fast") -> float:
    return mean_loss(model, encode(encoder, given), engine(name).loss, "cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_passages_are_many_bounded_distinct_and_the_same_each_time(kind: str) -> None:
    found = passages(kind, PASSAGES)
    assert found is not None
    assert len(set(found.texts)) == PASSAGES
    assert all(LEAST <= len(text) <= MOST for text in found.texts)
    assert passages(kind, PASSAGES) == found
    fewer = passages(kind, 5)
    assert fewer is not None
    assert fewer.texts == found.texts[:5]
    assert fewer.sha256 != found.sha256


def test_prose_is_prose_and_code_is_code() -> None:
    assert all("\n" not in text and ". " in text for text in texts("prose"))
    assert all(text.startswith(("def ", "class ")) for text in texts("code"))


def test_a_python_without_the_sources_has_no_passages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert [passages(kind, 3) for kind in KINDS] == [None, None]


def test_small_tests_get_few_passages() -> None:
    assert passages_for(preset("smoke").test_examples) == 8
    assert passages_for(preset("quick").test_examples) == passages_for(10**6) == PASSAGES
    assert passages_for(1) == 1


@pytest.mark.parametrize("name", ["fast", "plain"])
@pytest.mark.parametrize("max_length", [64, 512])
def test_the_loss_is_that_of_each_next_token(toy: ModelSource, name: str, max_length: int) -> None:
    encoder, model = Encoder(toy.tokenizer(), max_length), toy.load()
    expected = by_hand(model, encoder, texts())
    assert loss(model, encoder, texts(), name) == pytest.approx(expected, abs=1e-5)


def test_a_shift_by_one_would_be_seen(toy: ModelSource) -> None:
    """A head that always says "a": only where "a" is what comes next is its loss small."""
    encoder, model = Encoder(toy.tokenizer(), 512), toy.load()
    (a,) = encoder.text("a")
    with torch.no_grad():
        embedding = model.get_input_embeddings().weight
        model.set_output_embeddings(torch.nn.Linear(embedding.shape[1], embedding.shape[0], bias=True))
        head = model.get_output_embeddings()
        head.weight.zero_()
        head.bias.zero_()
        head.bias[a] = 20.0
    assert loss(model, encoder, ("aaaa",)) < 1e-4
    assert loss(model, encoder, ("aaab",)) == pytest.approx(5, abs=0.01)  # 20 nats on one of four tokens
    assert loss(model, encoder, ("baaa",)) == pytest.approx(5, abs=0.01)  # the first token counts too


def test_neither_padding_nor_batching_changes_the_loss(toy: ModelSource) -> None:
    encoder, model = Encoder(toy.tokenizer(), 512), toy.load()
    uneven = tuple(text[: 20 + 37 * at] for at, text in enumerate(texts()))
    sizes = [len(encoder.text(text)) for text in uneven]
    alone = [loss(model, encoder, (text,)) for text in uneven]
    weighted = sum(one * size for one, size in zip(alone, sizes, strict=True)) / sum(sizes)
    assert loss(model, encoder, uneven) == pytest.approx(weighted, abs=1e-5)
    made = encode(encoder, uneven)
    for batch in made:
        batch.ids[batch.mask == 0] = 7
    assert mean_loss(model, made, engine("fast").loss, "cpu") == pytest.approx(weighted, abs=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["lora-r16", "adalora", "dora-r16", "lora-r16-emb"])
def test_an_untrained_adapter_keeps_the_loss(toy_folder: Path, precision: str, method: str) -> None:
    source = resolve(str(toy_folder), device="cpu", precision=precision)
    encoder = Encoder(source.tokenizer(), 256)
    chosen = registry.method(method)
    adapted = chosen.adapt(chosen.load(source), preset("smoke"))
    assert loss(adapted, encoder, texts()) == loss(source.load(), encoder, texts())


def test_virtual_tokens_are_read_and_not_predicted(toy: ModelSource) -> None:
    encoder, chosen = Encoder(toy.tokenizer(), 256), registry.method("prompt-tuning")
    adapted = chosen.adapt(chosen.load(toy), preset("smoke"))
    fast, plain = (loss(adapted, encoder, texts(), name) for name in ("fast", "plain"))
    assert fast == pytest.approx(plain, abs=1e-5)
    assert fast != loss(toy.load(), encoder, texts())


def test_both_models_read_the_same_and_what_is_not_finite_is_null(toy: ModelSource) -> None:
    budget = preset("smoke")
    base = measure_base(toy, budget, "fast", 1, send=None)
    model = toy.load()
    assert base.model_bytes == sum(p.numel() * p.element_size() for p in model.parameters())

    def losses() -> dict[str, PassageLoss]:
        encoder = Encoder(toy.tokenizer(), budget.max_length)
        return passage_losses(model, encoder, engine("fast").loss, device="cpu", count=8)

    before = losses()
    read = Encoder(toy.tokenizer(), budget.max_length).text
    assert before == base.losses
    assert (
        compare(before, before)["prose"]
        == Retention(
            loss_before=before["prose"].loss,
            loss_after=before["prose"].loss,
            passages=8,
            tokens=sum(min(len(read(text)), 255) for text in texts("prose", 8)),
            sha256=passages("prose", 8).sha256,  # type: ignore[union-attr]
            python=".".join(map(str, sys.version_info[:3])),
        )
    )
    assert all(parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(float("nan"))
    assert compare(before, losses())["code"].loss_after is None
