from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import Any

import pytest

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks import inflection
from tasks.inflection import KINDS, ROWS, Inflection
from tests.conftest import Pool

HASH = "a1b6df503602302c8476bbe2a21c2760392b7c58ef8ad735e8ff4c2d9176a778"


@pytest.fixture(scope="module")
def task() -> Inflection:
    return Inflection()


@pytest.fixture(scope="module")
def splits(task: Inflection, pool: Pool) -> Splits:
    return pool(task.name)[1]


@pytest.fixture(scope="module")
def listed() -> list[Example]:
    """Every form of every word."""
    return list(inflection._examples(inflection._table()))


def every(splits: Splits) -> Iterator[Example]:
    for _, examples in splits.items():
        yield from examples


def test_sizes_and_kinds(splits: Splits) -> None:
    assert Inflection.sizes == tuple(len(examples) for _, examples in splits.items()) == (2000, 200, 400)
    for name, examples in splits.items():
        kinds = Counter(e.data["kind"] for e in examples)
        assert tuple(kinds[kind] for kind in KINDS) == ROWS[name]


def test_every_form_is_asked_for(splits: Splits) -> None:
    for _, examples in splits.items():
        forms = Counter(e.data["form"] for e in examples)
        assert len(forms) == 7
        assert min(forms.values()) / len(examples) > 0.035
        assert max(forms.values()) / len(examples) < 0.40


def test_hash_is_pinned(task: Inflection, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_order_is_mixed(splits: Splits) -> None:
    for examples in (splits.dev[:100], splits.test[:100]):
        kinds = Counter(e.data["kind"] for e in examples)
        assert all(14 <= kinds[kind] <= 52 for kind in KINDS)
        assert len({e.data["form"] for e in examples}) == 7


def test_words_and_answers_are_in_one_split(task: Inflection, splits: Splits) -> None:
    words = [{e.data["word"] for e in examples} for _, examples in splits.items()]
    targets = [{task.target(e) for e in examples} for _, examples in splits.items()]
    for seen in (words, targets):
        assert not seen[0] & seen[1]
        assert not seen[0] & seen[2]
        assert not seen[1] & seen[2]
    prompts = [task.prompt(e) for e in every(splits)]
    assert len(set(prompts)) == len(prompts)


def test_words_with_a_stem_in_common_are_one_group(splits: Splits, listed: list[Example]) -> None:
    group = {e.data["word"]: e.group for e in listed}
    assert all(e.group == group[e.data["word"]] for e in every(splits))
    assert {group[word] for word in ("take", "overtake", "undertake", "mistake", "partake")} == {"take"}
    assert {group[word] for word in ("man", "woman", "fireman", "saleswoman")} == {"man"}
    assert {group[word] for word in ("thesis", "hypothesis", "parenthesis")} == {"thesis"}
    assert {group[word] for word in ("write", "ghostwrite", "overwrite")} == {"write"}
    for examples in (splits.dev, splits.test):
        assert max(Counter(e.group for e in examples).values()) <= inflection.STEM_CAP
    # Where the forms differ, the ending of the word is not its stem.
    assert (group["bring"], group["louse"], group["criterion"]) == ("bring", "louse", "criterion")


def test_the_package_gives_the_same_forms(splits: Splits) -> None:
    import lemminflect

    tags = {form: tag for asked in inflection.QUESTIONS.values() for tag, form, _ in asked}
    for example in every(splits):
        listed = lemminflect.getInflection(
            example.data["word"], tags[example.data["form"]], inflect_oov=False
        )
        assert {*listed} & {*example.data["answers"].split("/")}, example.id


@pytest.mark.parametrize(
    ("word", "form", "answers"),
    [
        ("bring", "past tense", "brought"),
        ("go", "past participle", "gone"),
        ("get", "past participle", "gotten/got"),
        ("wake", "past participle", "woken/waked"),
        ("learn", "past tense", "learned/learnt"),
        ("control", "past tense", "controlled"),
        ("have", "third person singular", "has"),
        ("wolf", "plural", "wolves"),
        ("goose", "plural", "geese"),
        ("bad", "superlative", "worst"),
        ("big", "comparative", "bigger"),
    ],
)
def test_forms(listed: list[Example], word: str, form: str, answers: str) -> None:
    (found,) = {e.data["answers"] for e in listed if (e.data["word"], e.data["form"]) == (word, form)}
    assert found == answers


def test_wrong_entries_and_repeated_words_are_not_asked_for(listed: list[Example]) -> None:
    answers = {answer for e in listed for answer in e.data["answers"].split("/")}
    assert not answers & {"freeer", "trueer", "vagueer", "occured", "payed", "softwares", "musics"}
    assert not any(e.data["word"] in e.data["answers"].split("/") for e in listed)
    assert not {"can", "will", "lie"} & {e.data["word"] for e in listed if e.data["part"] == "verb"}
    assert not any("hid" in e.data["answers"].split("/") for e in listed)


@pytest.mark.parametrize(
    ("word", "ending", "form", "kind"),
    [
        ("walk", "ed", "walked", "plain"),
        ("stop", "ed", "stopped", "spelled"),
        ("try", "s", "tries", "spelled"),
        ("die", "ing", "dying", "spelled"),
        ("panic", "ed", "panicked", "spelled"),
        ("hero", "s", "heroes", "spelled"),
        ("nice", "er", "nicer", "spelled"),
        ("play", "ed", "plaied", "irregular"),
        ("keep", "ed", "kept", "irregular"),
        ("wife", "s", "wives", "irregular"),
    ],
)
def test_kinds(word: str, ending: str, form: str, kind: str) -> None:
    assert inflection._kind(word, ending, form) == kind


def test_gold_scores_one_and_empty_scores_zero(task: Inflection, splits: Splits) -> None:
    for example in every(splits):
        assert task.score(example, f" {task.target(example)}\n") == 1.0
        assert all(task.score(example, answer) == 1.0 for answer in example.data["answers"].split("/"))
        assert task.score(example, "") == 0.0
        assert task.score(example, example.data["word"]) == 0.0


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("dreamed", 1.0),
        (" Dreamt.", 1.0),
        ('\n "dreamed"\nQuestion: What is', 1.0),
        ("**dreamt**", 1.0),
        ("dream", 0.0),
        ("dreaming", 0.0),
        ("dreamed or dreamt", 0.0),
        ("dreamed/dreamt", 0.0),
        ('The past tense is "dreamed".', 0.0),
        ("was\ndreamed", 0.0),
        ("...", 0.0),
        ("  \n", 0.0),
    ],
)
def test_score(task: Inflection, splits: Splits, output: str, score: float) -> None:
    example = replace(splits.test[0], data={**splits.test[0].data, "answers": "dreamed/dreamt"})
    assert task.score(example, output) == score


def test_the_regular_ending_is_right_less_than_half_the_time(task: Inflection, splits: Splits) -> None:
    def share(examples: tuple[Example, ...]) -> float:
        return sum(task.score(e, task.naive(e)) for e in examples) / len(examples)

    assert 0.45 < share(splits.train) < 0.50
    assert 0.45 < share(splits.test) < 0.50
    assert 0.41 < share(splits.test[:200]) < 0.48
    hard = tuple(e for e in splits.test if e.data["kind"] != "plain")
    assert 0 < share(hard) < 0.08


def test_no_single_answer_is_a_good_guess(task: Inflection, splits: Splits) -> None:
    ((_, most),) = Counter(task.target(e) for e in splits.test).most_common(1)
    assert most <= 2


def test_prompts_and_targets_are_short(task: Inflection, splits: Splits) -> None:
    prompts = [task.prompt(e) for e in every(splits)]
    assert median(map(len, prompts)) < 70
    assert max(map(len, prompts)) < 90
    assert max(len(task.target(e)) for e in every(splits)) < 20
    for example in every(splits):
        assert task.prompt(example).endswith("?\nAnswer:")
        assert task.target(example) not in task.prompt(example)


def test_without_its_table_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflection, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install lemminflect==0\.2\.3"):
        Inflection().load()


def test_without_its_words_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("faker"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(PluginError, match=r"pip install Faker==40\.54\.0"):
        Inflection().load()
