"""Subsets, order, encoding and batches."""

import itertools

import pytest
import torch

from harness.data import Encoded, Encoder, batches, draw, solved
from harness.errors import ModelError
from harness.model import ModelSource
from harness.task import Example, Splits, Task, join


class Colours(Task):
    """Three labels, many examples."""

    name, version, family, metric = "colours", 1, "classification", "accuracy"
    labels = ("red", "green", "blue")
    description, source, license = "colours", "made here", "Apache-2.0"

    def load(self) -> Splits:
        raise NotImplementedError

    def prompt(self, example: Example) -> str:
        return f"Colour of {example.id}:"

    def target(self, example: Example) -> str:
        return example.data["colour"]

    def score(self, example: Example, output: str) -> float:
        return float(output == self.target(example))


EXAMPLES = [Example(id=f"thing {i}", group=str(i), data={"colour": Colours.labels[i % 3]}) for i in range(40)]


@pytest.fixture
def encoder(toy: ModelSource) -> Encoder:
    return Encoder(toy.tokenizer(), 40)


@pytest.mark.parametrize(
    ("prompt", "target", "joined"),
    [("Answer:", "yes", " yes"), ("body\n", "    return", "    return"), ("x", "\ny", "\ny"), ("x:", "", "")],
)
def test_join_adds_one_space_unless_there_is_white_space(prompt: str, target: str, joined: str) -> None:
    assert join(prompt, target) == joined


def test_draw_depends_on_the_seed_alone() -> None:
    assert draw(EXAMPLES, 10, 0) == draw(EXAMPLES, 10, 0)
    assert draw(EXAMPLES, 10, 0) != draw(EXAMPLES, 10, 1)
    assert len({example.id for example in draw(EXAMPLES, 10, 0)}) == 10
    assert len(draw(EXAMPLES, 500, 0)) == 40


def test_shots_cover_the_labels_before_repeating_one() -> None:
    shots = solved(Colours(), EXAMPLES, 4, seed=3)
    assert len(shots) == 4
    assert {target for _, target in shots[:3]} == set(Colours.labels)
    assert all(prompt.startswith("Colour of") for prompt, _ in shots)
    assert solved(Colours(), EXAMPLES, 0, seed=3) == ()


CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chatting(toy: ModelSource, template: str | None = CHAT, length: int = 200) -> Encoder:
    tokenizer = toy.tokenizer()
    tokenizer.chat_template = template
    return Encoder(tokenizer, length, chat=True)


def test_a_chat_template_surrounds_prompts_and_shots(toy: ModelSource) -> None:
    encoder = chatting(toy)
    pair = encoder.pair("Kind:", "red")
    decode = encoder.tokenizer.decode
    assert decode(pair.ids[1 : pair.target_start]).endswith("user\nKind:<|im_end|>\n<|im_start|>assistant\n")
    assert decode(pair.ids[pair.target_start : -1]) == "red"
    shown = decode(encoder.prompt("Kind:", shots=[("a:", "b")])[0])
    assert (
        shown.index("user\na:<|im_end|>") < shown.index("assistant\nb<|im_end|>") < shown.index("user\nKind:")
    )


def test_a_chat_prompt_is_cut_within_its_turn(toy: ModelSource) -> None:
    around = len(chatting(toy).prompt("")[0])
    encoder = chatting(toy, length=around + 30)
    ids, truncated = encoder.prompt("x " * 200)
    assert truncated
    assert len(ids) == around + 30
    assert encoder.tokenizer.decode(ids).endswith("<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("template", "message"),
    [(None, "no chat template"), ("{{ messages[-1]['role'] }}", "drops or reorders")],
)
def test_a_chat_template_that_cannot_serve_is_refused(
    toy: ModelSource, template: str | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        chatting(toy, template)


def test_pair_is_begin_prompt_target_end(encoder: Encoder) -> None:
    pair = encoder.pair("Say:", "yes")
    text = [encoder.tokenizer.decode([token]) for token in pair.ids]
    assert pair.ids[0] == encoder.begin
    assert pair.ids[-1] == encoder.end
    assert "".join(text[1 : pair.target_start]) == "Say:"
    assert "".join(text[pair.target_start : -1]) == " yes"
    assert not pair.truncated


def test_long_prompts_lose_their_middle_and_targets_get_half_at_most(encoder: Encoder) -> None:
    pair = encoder.pair("a" * 100 + "END:", "yes")
    assert len(pair.ids) == 40
    assert pair.truncated
    prompt = encoder.tokenizer.decode(pair.ids[1 : pair.target_start])
    assert prompt.startswith("aaa")
    assert prompt.endswith("END:")
    long = encoder.pair("Say:", "b" * 100)
    assert long.truncated
    assert len(long.ids) - long.target_start == 20


def test_a_shot_is_cut_as_a_training_sequence_is(encoder: Encoder) -> None:
    assert encoder.clipped("Say:", "yes") == ("Say:", "yes")
    prompt, target = encoder.clipped("a" * 100 + "END:", "yes")
    assert prompt.startswith("aaa")
    assert prompt.endswith("END:")
    assert target == " yes"
    assert len(encoder.pair(prompt, target).ids) == 40
    assert len(encoder.clipped("Say:", "b" * 100)[1]) == 19


def test_text_that_spells_a_special_token_stays_text(encoder: Encoder) -> None:
    assert encoder.end not in encoder.text("an </s> inside")


def test_batches_hold_every_example_once_an_epoch_and_point_at_targets() -> None:
    sequences = [
        Encoded(ids=tuple(range(i, i + 5 + i % 7)), target_start=3 + i % 2, truncated=False)
        for i in range(37)
    ]
    made = batches(sequences, batch_size=8, epochs=2, seed=0, pad=0)
    assert len(made) == 2 * 5
    for epoch in (made[:5], made[5:]):
        firsts = sorted(int(row[0]) for batch in epoch for row in batch.ids)
        assert firsts == list(range(37))
    for batch in made:
        assert batch.tokens == int(batch.mask.sum())
        for row, column, target in zip(batch.rows, batch.columns, batch.targets, strict=True):
            assert batch.ids[row, column + 1] == target
            assert batch.mask[row, column + 1] == 1
    again = batches(sequences, batch_size=8, epochs=2, seed=0, pad=0)
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(made, again, strict=True))
    other = batches(sequences, batch_size=8, epochs=2, seed=1, pad=0)
    assert any(
        a.ids.shape != b.ids.shape or not torch.equal(a.ids, b.ids) for a, b in zip(made, other, strict=True)
    )


def test_bucketing_pads_less_than_plain_batches() -> None:
    sequences = [Encoded(ids=(1,) * (5 + 13 * i % 60), target_start=2, truncated=False) for i in range(64)]
    made = batches(sequences, batch_size=8, epochs=1, seed=0, pad=0)
    padded = sum(batch.ids.numel() for batch in made)
    order = draw([Example(id=str(i), group=str(i), data={}) for i in range(64)], 64, 0)
    lengths = [len(sequences[int(example.id)].ids) for example in order]
    plain = (
        sum(8 * max(chunk) for chunk in itertools.batched(lengths, 8))
        if hasattr(itertools, "batched")
        else (sum(8 * max(lengths[i : i + 8]) for i in range(0, 64, 8)))
    )
    assert padded < 0.8 * plain
