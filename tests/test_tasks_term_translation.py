from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean, median

import pytest

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks import term_translation
from tasks.term_translation import IN_PROMPTS, KINDS, LANGUAGES, MAX_CHARS, PER_CONCEPT, TermTranslation
from tests.conftest import Pool

HASH = "ee1631bb745ca80bba76bfac59b125f82cc55ed396b0cbe1db03398dd5efee4d"


@pytest.fixture(scope="module")
def task() -> TermTranslation:
    return TermTranslation()


@pytest.fixture(scope="module")
def splits(task: TermTranslation, pool: Pool) -> Splits:
    return pool(task.name)[1]


def cell(example: Example) -> tuple[str, str]:
    return example.data["kind"], example.data["from"]


def test_sizes(task: TermTranslation, splits: Splits) -> None:
    assert task.sizes == (2300, 200, 400)
    assert tuple(len(examples) for _, examples in splits.items()) == task.sizes
    assert [len({e.group for e in examples}) for _, examples in splits.items()] == [506, 69, 137]


def test_hash_is_pinned(task: TermTranslation, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_kinds_and_languages_weigh_the_same(splits: Splits) -> None:
    for name, examples in splits.items():
        cells = Counter(map(cell, examples))
        assert len(cells) == len(KINDS) * len(LANGUAGES)
        assert max(cells.values()) - min(cells.values()) <= {"train": 30, "dev": 1, "test": 1}[name]
        assert max(Counter(e.group for e in examples).values()) <= PER_CONCEPT[name]


def test_test_order_is_mixed(splits: Splits) -> None:
    for examples in (splits.dev[:100], splits.test[:100]):
        assert len(set(map(cell, examples))) == 18
        assert max(Counter(map(cell, examples)).values()) < 16


def test_no_concept_and_no_pair_of_texts_is_in_two_splits(splits: Splits) -> None:
    english, pairs = [], []
    for _, examples in splits.items():
        pairs.append({frozenset((e.data["source"].lower(), e.data["target"].lower())) for e in examples})
        english.append({e.data["target"] for e in examples})
    for sides in (english, pairs):
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]


def test_a_source_has_one_translation(task: TermTranslation, splits: Splits) -> None:
    prompts = [task.prompt(e).lower() for _, examples in splits.items() for e in examples]
    assert len(set(prompts)) == len(prompts)


def test_names_are_names(splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            for name in (example.data["source"], example.data["target"]):
                assert 2 <= len(name) <= MAX_CHARS
                assert name == " ".join(name.split())
                assert not set(name) & set("()[]0123456789&.;,")
                assert name not in IN_PROMPTS


def test_prompts(task: TermTranslation, splits: Splits) -> None:
    prompts = {task.prompt(e): task.target(e) for _, examples in splits.items() for e in examples}
    assert median(map(len, prompts)) < 100
    assert max(map(len, prompts)) < 140
    for prompt, target in prompts.items():
        assert prompt.endswith("\nEnglish:")
        assert target.casefold() not in prompt.casefold()


def test_gold_scores_one_empty_and_copies_score_zero(task: TermTranslation, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, task.target(example)) == 1.0
            assert task.score(example, task.target(example).upper()) == 1.0
            assert task.score(example, "") == 0.0
            assert task.score(example, example.data["source"]) == 0.0


def test_no_fixed_answer_and_no_dropping_of_accents_is_enough(task: TermTranslation, splits: Splits) -> None:
    for _, examples in splits.items():
        assert 0.015 < fmean(task.score(e, task.naive(e)) for e in examples) < 0.05
        ((_, most),) = Counter(map(task.target, examples)).most_common(1)
        assert most <= 6


def test_names_that_anybody_can_check(task: TermTranslation, splits: Splits) -> None:
    every = {task.prompt(e): task.target(e) for _, examples in splits.items() for e in examples}

    def translated(kind: str, here: str, name: str) -> str | None:
        return every.get(
            f"Translate the name of the {kind} from {here} to English.\n\n{here}: {name}\nEnglish:"
        )

    assert translated("place", "French", "Roumanie") == "Romania"
    assert translated("place", "Italian", "Sant’Elena") == "Saint Helena"
    assert translated("currency", "Spanish", "dólar estadounidense") == "US Dollar"
    assert translated("currency", "Spanish", "oro") is None


@pytest.mark.parametrize(
    ("source", "guess"), [("Benín", "Benin"), ("François", "Francois"), ("Oslo", "Oslo")]
)
def test_naive(task: TermTranslation, splits: Splits, source: str, guess: str) -> None:
    example = splits.test[0]
    assert task.naive(replace(example, data={**example.data, "source": source})) == guess


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("livre de Sainte-Hélène", 1.0),
        (" \n Livre de  Sainte-Hélène.\nEnglish: Peruvian Sol", 1.0),
        ('"livre de Sainte-Hélène"', 1.0),
        ("« livre de Sainte-Hélène »", 1.0),
        ("livre de Sainte-He\u0301le\u0300ne", 1.0),
        ("livre de Sainte-Helene", 0.0),
        ("livre de Sainte Hélène", 0.0),
        ("livre", 0.0),
        ("Saint Helena Pound\nlivre de Sainte-Hélène", 0.0),
        ("livre de Sainte-Hélène est la monnaie", 0.0),
        (" \n", 0.0),
        ('""', 0.0),
    ],
)
def test_score(task: TermTranslation, splits: Splits, output: str, score: float) -> None:
    example = splits.test[0]
    example = replace(example, data={**example.data, "target": "livre de Sainte-Hélène"})
    assert task.score(example, output) == score


def test_either_apostrophe_will_do(task: TermTranslation, splits: Splits) -> None:
    example = splits.test[0]
    example = replace(example, data={**example.data, "target": "Côte d’Ivoire"})
    assert task.score(example, "Côte d'Ivoire") == 1.0


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(term_translation, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install babel==2\.18\.0"):
        TermTranslation().load()
