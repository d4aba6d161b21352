from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from statistics import median

import pytest

from harness.task import Splits, task_hash
from tasks.gsm_symbolic import TEMPLATES, GsmSymbolic

HASH = "c9c75c2a6791b5ffab174d6d303b2695f8167b129c03661a90d6b60e0a0943a4"


@pytest.fixture(scope="module")
def task() -> GsmSymbolic:
    return GsmSymbolic()


@pytest.fixture(scope="module")
def splits(task: GsmSymbolic) -> Splits:
    return task.load()


def test_sizes_and_templates(splits: Splits) -> None:
    assert {name: len(examples) for name, examples in splits.items()} == {
        "train": 2070,
        "dev": 200,
        "test": 504,
    }
    groups = {name: {e.group for e in examples} for name, examples in splits.items()}
    assert {name: len(of) for name, of in groups.items()} == {"train": 23, "dev": 8, "test": 12}
    assert set.union(*groups.values()) == {f"template {n}" for n in TEMPLATES}


def test_every_template_weighs_the_same_within_a_split(splits: Splits) -> None:
    for _, examples in splits.items():
        assert len(set(Counter(e.group for e in examples).values())) == 1


def test_load_is_deterministic(task: GsmSymbolic, splits: Splits) -> None:
    assert task.load() == splits
    assert task_hash(task, splits) == HASH


def test_test_order_is_mixed(splits: Splits) -> None:
    assert len({e.group for e in splits.test[:50]}) == 12


def test_questions_do_not_repeat(splits: Splits) -> None:
    questions = [e.data["question"] for _, examples in splits.items() for e in examples]
    assert len(set(questions)) == len(questions)


def test_gold_scores_one_and_empty_scores_less(task: GsmSymbolic, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, task.target(example)) == 1.0
            assert task.score(example, "") == 0.0


def test_targets_are_short_clean_chains(task: GsmSymbolic, splits: Splits) -> None:
    targets = [task.target(e) for _, examples in splits.items() for e in examples]
    assert median(map(len, targets)) < 180
    assert max(map(len, targets)) < 330
    for target in targets:
        assert re.search(r"\n#### \d+$", target)
        assert not re.search(r"\d\.0(?!\d)|\d\.\d{3}", target)
        assert not re.search(r"\s(\d+)=\1\b", target)


def test_prompts(task: GsmSymbolic, splits: Splits) -> None:
    prompts = [task.prompt(e) for _, examples in splits.items() for e in examples]
    assert median(map(len, prompts)) < 330
    assert max(map(len, prompts)) < 700
    for prompt in prompts:
        assert prompt.endswith("\nAnswer:")
        assert "Give the result" not in prompt
        assert not re.search(r"####\s*\d", prompt)


def test_no_single_answer_is_a_good_guess(splits: Splits) -> None:
    ((_, most),) = Counter(e.data["answer"] for e in splits.test).most_common(1)
    assert most / len(splits.test) < 0.06


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("#### 1200", 1.0),
        (" so 3 * 400 = 1200\n#### 1,200.", 1.0),
        ("#### $1200.00 dollars", 1.0),
        ("#### 1200\n\nQuestion: 5 + 6?\nAnswer: 11\n#### 11", 1.0),
        ("The answer is 1200.0.", 1.0),
        ("3 * 400 = 1200", 1.0),
        ("3*400=1200 and then 7", 0.0),
        ("#### 12", 0.0),
        ("#### -1200", 0.0),
        ("#### 1200.5", 0.0),
        ("1200 ####", 0.0),
        ("#### twelve hundred", 0.0),
        ("no number", 0.0),
        ("   \n", 0.0),
    ],
)
def test_score(task: GsmSymbolic, splits: Splits, output: str, score: float) -> None:
    example = splits.test[0]
    example = replace(example, data={**example.data, "answer": "1200"})
    assert task.score(example, output) == score
