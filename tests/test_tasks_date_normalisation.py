from __future__ import annotations

import datetime
import re
from collections import Counter
from dataclasses import replace
from statistics import fmean, median

import pytest

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks import date_normalisation
from tasks.date_normalisation import FIRST, HELD_OUT, LAST, LOCALES, DateNormalisation
from tests.conftest import Pool

HASH = "b3ae482f78a1a04cb6167c090dcdad2144096d4f21fb12ef7db4e6c86d621f3a"


@pytest.fixture(scope="module")
def task() -> DateNormalisation:
    return DateNormalisation()


@pytest.fixture(scope="module")
def splits(task: DateNormalisation, pool: Pool) -> Splits:
    return pool(task.name)[1]


def locale(example: Example) -> str:
    return example.id[len("2019-03-07-") :]


def test_sizes(task: DateNormalisation, splits: Splits) -> None:
    assert task.sizes == (2400, 200, 400)
    assert tuple(len(examples) for _, examples in splits.items()) == task.sizes


def test_hash_is_pinned(task: DateNormalisation, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_every_row_has_a_date_of_its_own(splits: Splits) -> None:
    dates = [e.group for _, examples in splits.items() for e in examples]
    assert len(set(dates)) == len(dates) == 3000
    assert dates == [e.data["iso"] for _, examples in splits.items() for e in examples]
    assert min(dates) >= FIRST.isoformat()
    assert max(dates) <= LAST.isoformat()
    texts = [(e.data["language"], e.data["text"]) for _, examples in splits.items() for e in examples]
    assert len(set(texts)) == len(texts)


def test_languages_are_balanced_and_some_are_held_out(splits: Splits) -> None:
    assert len(set(LOCALES) | set(HELD_OUT["test"]) | set(HELD_OUT["dev"])) == 35
    for name, examples in splits.items():
        counts = Counter(map(locale, examples))
        own = {key: counts.pop(key) for key in HELD_OUT[name]}
        assert set(counts) == set(LOCALES)
        assert max(counts.values()) - min(counts.values()) <= 3
        assert sum(own.values()) == (len(examples) // 5 if own else 0)
        assert len(set(own.values())) <= 1


def test_months_are_balanced(splits: Splits) -> None:
    for _, examples in splits.items():
        months = Counter(e.data["iso"][5:7] for e in examples)
        assert len(months) == 12
        assert min(months.values()) > len(examples) / 20
        assert max(months.values()) < len(examples) / 8


def test_test_order_is_mixed(splits: Splits) -> None:
    for examples in (splits.dev[:60], splits.test[:60]):
        assert len(set(map(locale, examples))) > 20
        assert len({e.data["iso"][5:7] for e in examples}) == 12


def test_texts_agree_with_their_dates(splits: Splits) -> None:
    weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    checked = 0
    for _, examples in splits.items():
        for example in examples:
            day, text = datetime.date.fromisoformat(example.data["iso"]), example.data["text"]
            assert {str(day.year), str(day.day)} <= {n.lstrip("0") for n in re.findall(r"\d+", text)}
            if locale(example).startswith("en") and "/" not in text:
                assert day.strftime("%B")[:3] in text
            named = [n for n, name in enumerate(weekdays) if re.match(name[:3] + ".*,.*,", text)]
            if locale(example) == "en_US" and named:
                assert named == [day.weekday()]
                checked += 1
    assert checked > 20


def test_order_of_digits_is_the_regions(splits: Splits) -> None:
    digits = {
        key: [e for e in splits.train if locale(e) == key and re.fullmatch(r"[\d/]+", e.data["text"])]
        for key in ("en_US", "en_GB")
    }
    assert min(map(len, digits.values())) >= 3
    for key, form in (("en_US", "%m/%d/%Y"), ("en_GB", "%d/%m/%Y")):
        for example in digits[key]:
            day = datetime.datetime.strptime(example.data["text"], form).date()
            assert day.isoformat() == example.data["iso"]


def test_prompts(task: DateNormalisation, splits: Splits) -> None:
    prompts = {task.prompt(e): e for _, examples in splits.items() for e in examples}
    assert median(map(len, prompts)) < 95
    assert max(map(len, prompts)) < 120
    for prompt, example in prompts.items():
        assert prompt.endswith("\nYYYY-MM-DD:")
        assert example.data["iso"] not in prompt
        assert prompt.replace("\n", "").isprintable()  # no marks of direction, no no-break spaces


def test_gold_scores_one_and_empty_scores_zero(task: DateNormalisation, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, task.target(example)) == 1.0
            assert task.score(example, "") == 0.0


def test_rearranging_the_digits_is_not_enough(task: DateNormalisation, splits: Splits) -> None:
    for _, examples in splits.items():
        assert 0.2 < fmean(task.score(e, task.naive(e)) for e in examples) < 0.33


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("Sunday, 27 October 2019", "2019-01-27"),
        ("October 27, 2019", "2019-01-27"),
        ("27. 10. 2019.", "2019-10-27"),
        ("10/27/2019", "2019-27-10"),
        ("2019年10月7日", "2019-10-07"),
        ("2019. október 27.", "2019-01-27"),
    ],
)
def test_naive(task: DateNormalisation, splits: Splits, text: str, guess: str) -> None:
    example = splits.test[0]
    assert task.naive(replace(example, data={**example.data, "text": text})) == guess


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("2019-03-07", 1.0),
        ("  \n 2019-03-07.\n\nSpanish: 4 de mayo de 1999", 1.0),
        ("The date is 2019-03-07", 1.0),
        ("2019-03-07T00:00:00", 1.0),
        ("2019-03-07, not 2019-07-03", 1.0),
        ("2019-07-03, not 2019-03-07", 0.0),
        ("2019-07-03\n2019-03-07", 0.0),
        ("2019-3-7", 0.0),
        ("2019/03/07", 0.0),
        ("12019-03-07", 0.0),
        ("2019-03-070", 0.0),
        ("2019-03-07-11", 0.0),
        ("7 March 2019", 0.0),
        ("YYYY-MM-DD", 0.0),
        (" \n", 0.0),
    ],
)
def test_score(task: DateNormalisation, splits: Splits, output: str, score: float) -> None:
    example = splits.test[0]
    example = replace(example, data={**example.data, "iso": "2019-03-07"})
    assert task.score(example, output) == score


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(date_normalisation, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install babel==2\.18\.0"):
        DateNormalisation().load()
