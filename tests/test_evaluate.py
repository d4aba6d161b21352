"""Label scoring and generation against the plain, slow way, for every kind of adapter."""

import copy
from typing import Any

import pytest
import torch

from harness import registry
from harness.answers import before, encode_prompts, end_tokens
from harness.budget import preset
from harness.data import Encoder
from harness.engine import engine
from harness.evaluate import Evaluator
from harness.model import ModelSource
from harness.toy import VOCABULARY

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing.*:FutureWarning", "ignore:Position ids are not supported:UserWarning"
)

PROMPTS = [f"Sort this: {'ab' * n} {n}\nKind:" for n in (3, 11, 1, 7, 7)]
LABELS = ["permissive", "weak copyleft", "no", "public domain"]
METHODS = [
    "zero-shot", "full", "lora-r16", "lora-r16-emb", "dora-r16", "qlora-r16", "adalora", "prefix-tuning",
    "prompt-tuning",
]  # fmt: skip


def adapted(toy: ModelSource, name: str) -> Any:
    """An adapted toy model whose adapter is not the identity."""
    torch.manual_seed(1)
    method = registry.method(name)
    model = method.adapt(method.load(toy), preset("smoke"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def evaluator(model: Any, toy: ModelSource) -> Evaluator:
    return Evaluator(model, Encoder(toy.tokenizer(), 200), device="cpu", progress=lambda done, total: None)


@torch.inference_mode()
def plain_scores(model: Any, encoder: Encoder, prompt: list[int], joined: list[str]) -> list[float]:
    """Each label in a forward pass of its own."""
    scores = []
    for text in joined:
        label = encoder.text(text)
        ids = torch.tensor([prompt + label])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].log_softmax(-1)
        rows = logits[len(logits) - len(label) - 1 : len(logits) - 1]
        scores.append(float(rows[torch.arange(len(label)), torch.tensor(label)].sum()))
    return scores


@torch.inference_mode()
@pytest.mark.parametrize("name", METHODS)
def test_label_scores_equal_one_pass_a_label(toy: ModelSource, name: str) -> None:
    model = adapted(toy, name)
    tool = evaluator(model, toy)
    prompts = encode_prompts(tool.encoder, PROMPTS, ())
    joined = [tool.encoder.follow(PROMPTS[0], label) for label in LABELS]
    prefix, length = tool._prefix(prompts)
    assert length > 5  # the instruction is shared
    got = tool._label_scores(
        copy.deepcopy(prefix), [p.ids[length:] for p in prompts], [tool.encoder.text(t) for t in joined]
    )
    expected = torch.tensor([plain_scores(model, tool.encoder, p.ids, joined) for p in prompts])
    torch.testing.assert_close(got, expected, atol=2e-3, rtol=1e-3)
    chosen = [answer.text for answer in tool.choose(prompts, joined, LABELS)]
    assert chosen == [LABELS[int(row.argmax())] for row in expected]


@pytest.mark.parametrize("name", METHODS)
def test_greedy_generation_equals_transformers_generate(toy: ModelSource, name: str) -> None:
    model = adapted(toy, name)
    tool = evaluator(model, toy)
    prompts = encode_prompts(tool.encoder, PROMPTS, ())
    answers = tool.generate(prompts, 12)
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([prompt.ids])
        whole = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=tool.encoder.end,
            pad_token_id=tool.encoder.end,
        )
        new = whole[0, len(prompt.ids) :]
        assert answer.text == tool.encoder.tokenizer.decode(new, skip_special_tokens=True)
        assert answer.truncated == (tool.encoder.end not in new.tolist())


def test_rows_that_end_early_leave_the_batch_and_change_nothing(toy: ModelSource) -> None:
    model = adapted(toy, "zero-shot")
    tool = evaluator(model, toy)
    prompts = encode_prompts(tool.encoder, PROMPTS, ())
    first = [answer.text for answer in tool.generate(prompts, 6)]
    # Any token that some rows produce soon serves as the end token: those rows must stop there.
    second_ids = [tool.encoder.text(text) for text in first]
    tool.encoder.end = second_ids[0][2]
    for ids, answer in zip(second_ids, tool.generate(prompts, 6), strict=True):
        cut = ids.index(tool.encoder.end) if tool.encoder.end in ids else None
        assert tool.encoder.text(answer.text) == ids[:cut]
        assert answer.truncated == answer.unfinished == (cut is None)


@pytest.mark.parametrize("method", ["full", "lora-r16", "prompt-tuning"])
def test_what_ends_answers_is_known_of_adapted_models_too(toy: ModelSource, method: str) -> None:
    model, encoder = adapted(toy, method), Encoder(toy.tokenizer(), 200)
    base = getattr(model, "get_base_model", lambda: model)()
    base.generation_config.eos_token_id = [encoder.end, 7]
    assert end_tokens(model, encoder) == {encoder.end, 7}
    base.generation_config.eos_token_id = None
    assert end_tokens(model, encoder) == {encoder.end}


@pytest.mark.parametrize("name", ["fast", "plain"])
def test_an_answer_ends_where_the_models_makers_have_it_stop_too(toy: ModelSource, name: str) -> None:
    model = adapted(toy, "zero-shot")
    encoder = Encoder(toy.tokenizer(), 200)
    prompts = encode_prompts(encoder, PROMPTS, ())

    def texts() -> list[str]:
        tool = engine(name).evaluator(model, encoder, device="cpu", progress=lambda done, total: None)
        return [answer.text for answer in tool.generate(prompts, 6)]

    whole = [encoder.text(text) for text in texts()]
    turn = whole[0][2]
    model.generation_config.eos_token_id = [encoder.end, turn]
    for ids, text in zip(whole, texts(), strict=True):
        assert encoder.text(text) == (ids[: ids.index(turn)] if turn in ids else ids)


def test_many_labels_are_scored_in_smaller_batches(toy: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(toy, "zero-shot")
    tool = evaluator(model, toy)
    prompts = encode_prompts(tool.encoder, PROMPTS, ())
    joined = [tool.encoder.follow(PROMPTS[0], label) for label in LABELS]
    expected = tool.choose(prompts, joined, LABELS)
    rows: list[int] = []
    scores = Evaluator._label_scores

    def noting(self: Evaluator, cache: Any, own: list[list[int]], choices: list[list[int]]) -> torch.Tensor:
        rows.append(len(own))
        return scores(self, cache, own, choices)

    monkeypatch.setattr(Evaluator, "_label_scores", noting)
    columns = 1 + sum(len(tool.encoder.text(text)) - 1 for text in joined)
    monkeypatch.setattr("harness.evaluate.LOGITS", 2 * columns * VOCABULARY)
    assert tool.choose(prompts, joined, LABELS) == expected
    assert rows == [2, 2, 1]


def test_shots_stand_before_every_prompt_after_the_begin_token(toy: ModelSource) -> None:
    encoder = Encoder(toy.tokenizer(), 200)
    (prompt,) = encode_prompts(encoder, ["Kind:"], [("a:", "b")])
    assert encoder.tokenizer.decode(prompt.ids) == "<s>a: b\n\nKind:"


@torch.inference_mode()
def test_tokens_are_counted_once_for_the_shared_prefix(toy: ModelSource) -> None:
    tool = evaluator(adapted(toy, "zero-shot"), toy)
    prompts = encode_prompts(tool.encoder, PROMPTS, ())
    _, length = tool._prefix(prompts)
    tool.tokens = 0
    joined = [tool.encoder.follow(PROMPTS[0], label) for label in LABELS]
    tool.choose(prompts, joined, LABELS)
    tails = sum(len(tool.encoder.text(text)) - 1 for text in joined)
    assert tool.tokens == length + sum(len(p.ids) - length + tails for p in prompts)


@pytest.mark.parametrize(
    ("stop", "text", "kept"),
    [
        (None, " a\nb", " a\nb"),
        ("\n", " a\nb\nc", " a"),
        ("\n", "\n\n a\nb", "\n\n a"),
        ("\n", " \n", " \n"),
        (";", "x; y", "x"),
    ],
)
def test_an_answer_ends_before_its_stop_once_it_has_begun(stop: str | None, text: str, kept: str) -> None:
    assert before(stop, text) == kept


def test_a_stop_only_cuts_what_would_be_generated_anyway(toy: ModelSource) -> None:
    tool = evaluator(adapted(toy, "zero-shot"), toy)
    prompts = encode_prompts(tool.encoder, PROMPTS, ())
    whole = tool.generate(prompts, 16)
    stop = whole[0].text.strip()[2]
    cut = tool.generate(prompts, 16, stop=stop)
    assert [answer.text for answer in cut] == [before(stop, answer.text) for answer in whole]
    assert not cut[0].truncated
