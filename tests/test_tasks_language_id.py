from __future__ import annotations

import builtins
import random
from collections import Counter
from statistics import median
from typing import Any

import pytest
from babel import Locale

from harness.errors import PluginError
from harness.task import Splits, task_hash
from tasks import language_id
from tasks.language_id import LOCALES, ROWS, LanguageId
from tests.conftest import Pool

HASH = "a7a01f7f434234253073f10f08d1b2446bca90817c61c4bd35278f7a7b2819d7"


@pytest.fixture(scope="module")
def task() -> LanguageId:
    return LanguageId()


@pytest.fixture(scope="module")
def splits(task: LanguageId, pool: Pool) -> Splits:
    return pool(task.name)[1]


@pytest.fixture(scope="module")
def languages() -> dict[str, language_id._Language]:
    return {label: language_id._Language(Locale.parse(code)) for label, code in LOCALES.items()}


def test_sizes(splits: Splits) -> None:
    assert LanguageId.sizes == tuple(len(examples) for _, examples in splits.items())
    assert LanguageId.sizes == (2400, 200, 400)


def test_every_language_has_as_many_of_each_kind(task: LanguageId, splits: Splits) -> None:
    for name, examples in splits.items():
        kinds = Counter((e.data["label"], e.data["kind"]) for e in examples)
        assert kinds == {(label, kind): rows for label in task.labels for kind, rows in ROWS[name].items()}


def test_concepts_are_in_one_split(splits: Splits) -> None:
    concepts = {name: {c for e in examples for c in e.group.split()} for name, examples in splits.items()}
    assert not concepts["train"] & concepts["test"]
    assert not concepts["train"] & concepts["dev"]
    assert not concepts["dev"] & concepts["test"]
    assert {name: len(of) for name, of in concepts.items()} == {"train": 285, "dev": 103, "test": 128}
    named = set.union(*concepts.values())
    assert not named & {f"language-{code}" for code in (*LOCALES.values(), "no", "nn", "mul", "und", "zxx")}
    assert not named & {f"duration-{span}" for span in language_id.SPANS}


def test_hash_is_pinned(task: LanguageId, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_every_round_of_twenty_holds_each_language(splits: Splits) -> None:
    for _, examples in splits.items():
        labels = [e.data["label"] for e in examples]
        rounds = [tuple(labels[start : start + 20]) for start in range(0, len(labels), 20)]
        assert all(set(of) == set(LOCALES) for of in rounds)
        assert len(set(rounds)) == len(rounds)


def test_order_mixes_the_kinds(splits: Splits) -> None:
    for examples in (splits.dev[:100], splits.test[:100]):
        assert set(Counter(e.data["kind"] for e in examples)) == {"names", "measures", "spans", "date"}


def test_no_phrase_has_two_answers(splits: Splits) -> None:
    texts = [language_id._letters(e.data["text"]) for _, examples in splits.items() for e in examples]
    assert len(set(texts)) == len(texts)


def test_a_phrase_that_two_languages_share_is_dropped(languages: dict[str, language_id._Language]) -> None:
    shared = language_id._Phrase(kind="measures", concepts=("mass-gram", "volume-liter"), numbers=(5, 2))
    assert [languages[name].text(shared) for name in ("Danish", "Norwegian")] == ["5 gram og 2 liter"] * 2
    assert not list(language_id._draw("Danish", iter([shared]), languages))
    (swedish,) = language_id._draw("Swedish", iter([shared, shared]), languages)
    assert swedish.data["text"] == "5 gram och 2 liter"
    assert swedish.group == "mass-gram volume-liter"


def test_spanish_without_its_euphonic_forms_is_dropped(languages: dict[str, language_id._Language]) -> None:
    phrase = language_id._Phrase(kind="names", concepts=("territory-PE", "territory-CL", "territory-IE"))
    assert languages["Spanish"].text(phrase) == "Perú, Chile y Irlanda"
    assert not list(language_id._draw("Spanish", iter([phrase]), languages))
    assert len(list(language_id._draw("Catalan", iter([phrase]), languages))) == 1


def test_phrases_follow_the_plural_rules(languages: dict[str, language_id._Language]) -> None:
    phrase = language_id._Phrase(
        kind="spans", concepts=("week", "mon"), numbers=(3, 5), tenses=("past", "future"), join="or"
    )
    texts = {name: languages[name].text(phrase) for name in ("Czech", "German", "Slovak")}
    assert texts == {
        "Czech": "před 3 týdny nebo za 5 pondělí",
        "German": "vor 3 Wochen oder Montag in 5 Wochen",
        "Slovak": "pred 3 týždňami alebo o 5 pondelkov",
    }


def test_dates_are_whole(splits: Splits) -> None:
    dates = [e for _, examples in splits.items() for e in examples if e.data["kind"] == "date"]
    assert all(any(year in e.data["text"] for year in map(str, range(1950, 2051))) for e in dates)
    german = next(e for e in splits.test if e.data["label"] == "German" and e.data["kind"] == "date")
    assert german.data["text"].startswith(("Mittwoch, ", "Sonntag, "))


def test_gold_scores_one_and_others_score_zero(task: LanguageId, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, f" {task.target(example)}\n") == 1.0
            assert sum(task.score(example, label) for label in task.labels) == 1.0
            assert task.score(example, "") == 0.0
            assert task.naive(example) is None


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("Czech", 1.0),
        (" Czech \n", 1.0),
        ("Slovak", 0.0),
        ("czech", 0.0),
        ("Czech or Slovak", 0.0),
        ("", 0.0),
    ],
)
def test_score(task: LanguageId, splits: Splits, output: str, score: float) -> None:
    example = next(e for e in splits.test if e.data["label"] == "Czech")
    assert task.score(example, output) == score


def test_prompts(task: LanguageId, splits: Splits) -> None:
    prompts = [task.prompt(e) for _, examples in splits.items() for e in examples]
    assert median(map(len, prompts)) < 100
    assert max(map(len, prompts)) < 170
    for prompt in prompts:
        assert prompt.endswith("\nLanguage:")
        assert "\n\nPhrase: " in prompt
    for _, examples in splits.items():
        for example in examples:
            assert example.data["label"] not in task.prompt(example)


def test_letters_tell_more_than_words_but_not_all(splits: Splits) -> None:
    """Naive Bayes is far from chance and from perfect: neither words nor letters give the answer away."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.naive_bayes import MultinomialNB

    def accuracy(size: int, **options: Any) -> float:
        train = random.Random(0).sample(splits.train, size)
        vectors = TfidfVectorizer(**options)
        model = MultinomialNB(alpha=0.1)
        model.fit(vectors.fit_transform([e.data["text"] for e in train]), [e.data["label"] for e in train])
        given = model.predict(vectors.transform([e.data["text"] for e in splits.test]))
        right = [answer == e.data["label"] for answer, e in zip(given, splits.test, strict=True)]
        return sum(right) / len(right)

    assert 0.54 < accuracy(224, analyzer="word", token_pattern=r"\w+") < 0.64
    words = accuracy(2400, analyzer="word", token_pattern=r"\w+")
    letters = accuracy(2400, analyzer="char_wb", ngram_range=(1, 3))
    assert 0.70 < words < 0.78
    assert 0.78 < letters < 0.87


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "babel":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(PluginError, match=r"pip install Babel==2\.18\.0"):
        LanguageId().load()
