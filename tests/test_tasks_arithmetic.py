from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import replace
from statistics import median

import pytest

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks.arithmetic import SHAPES, Arithmetic
from tests.conftest import Pool

HASH = "78d7127385a910999a1779932afb3c50fc627a25f536f0bddd5d4e8491870845"


@pytest.fixture(scope="module")
def task() -> Arithmetic:
    return Arithmetic()


@pytest.fixture(scope="module")
def splits(task: Arithmetic, pool: Pool) -> Splits:
    return pool(task.name)[1]


def shapes(examples: tuple[Example, ...]) -> Counter[tuple[int, int]]:
    numbers = [re.findall(r"\d+", e.data["expression"]) for e in examples]
    assert all(len({len(number) for number in row}) == 1 for row in numbers)
    return Counter((len(row), len(row[0])) for row in numbers)


def test_sizes_and_shapes(splits: Splits) -> None:
    assert {name: len(examples) for name, examples in splits.items()} == {
        "train": 2320,
        "dev": 200,
        "test": 400,
    }
    assert shapes(splits.test) == SHAPES
    assert shapes(splits.dev) == {shape: rows // 2 for shape, rows in SHAPES.items()}
    train = shapes(splits.train)
    assert train[2, 1] == 60
    assert train[3, 1] == 340
    assert all(train[shape] == 6 * rows for shape, rows in SHAPES.items() if shape not in {(2, 1), (3, 1)})


def test_hash_is_pinned(task: Arithmetic, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_order_is_mixed(splits: Splits) -> None:
    for examples in (splits.dev, splits.test):
        assert len(shapes(examples[:100])) >= 8
        assert max(shapes(examples[:100]).values()) < 30


def signed(expression: str) -> list[int]:
    return [int(number) for number in re.findall(r"(?:^|[+-])\d+", expression.replace(" ", ""))]


def test_no_problem_stands_twice_in_any_order(splits: Splits) -> None:
    problems = [tuple(sorted(signed(e.data["expression"]))) for _, pool in splits.items() for e in pool]
    assert len(set(problems)) == len(problems)


def test_rows_are_plain(splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            numbers = signed(example.data["expression"])
            assert all(sum(numbers[: i + 1]) >= 0 for i in range(len(numbers)))
            assert not {abs(n) for n in numbers if n < 0} & {n for n in numbers if n >= 0}
            assert 0 not in numbers


def test_pairs_of_test_and_dev_are_no_steps_in_train(splits: Splits) -> None:
    def key(left: str, sign: str, right: str) -> tuple[str, ...]:
        return (sign, *(sorted((left, right)) if sign == "+" else (left, right)))

    steps = {
        key(*step)
        for e in splits.train
        for step in re.findall(r"(\d+) ([+-]) (\d+) =", e.data["steps"])
        if len(step[0]) > 1
    }
    held_out = [e.data["expression"].split() for e in (*splits.test, *splits.dev)]
    pairs = [key(*words) for words in held_out if len(words) == 3 and len(words[0]) > 1]
    assert len(pairs) == 195
    assert steps.isdisjoint(pairs)


def test_gold_is_right(splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert int(example.data["result"]) == sum(signed(example.data["expression"]))
            steps = example.data["steps"].split("; ")
            assert len(steps) == len(signed(example.data["expression"])) - 1
            for step in steps:
                left, _, right = step.partition(" = ")
                assert int(right) == sum(signed(left))
            assert steps[-1].endswith(f"= {example.data['result']}")


def test_gold_scores_one_and_empty_scores_less(task: Arithmetic, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, task.target(example)) == 1.0
            assert task.score(example, "") == 0.0


def test_prompts_and_targets_are_short(task: Arithmetic, splits: Splits) -> None:
    rows = [(task.prompt(e), task.target(e)) for _, examples in splits.items() for e in examples]
    assert median(len(prompt) for prompt, _ in rows) < 120
    assert max(len(prompt) for prompt, _ in rows) < 130
    assert median(len(target) for _, target in rows) < 30
    assert max(len(target) for _, target in rows) < 65
    for prompt, target in rows:
        assert prompt.endswith(" = ?\nAnswer:")
        assert target not in prompt


def test_guesses_are_worth_little(task: Arithmetic, splits: Splits) -> None:
    copied = sum(task.score(e, task.naive(e)) for e in splits.test) / len(splits.test)
    assert 0 < copied < 0.03
    ((_, most),) = Counter(e.data["result"] for e in splits.test).most_common(1)
    assert most / len(splits.test) < 0.05
    # The last number of the question, which a model that rambles on may well repeat.
    last = sum(task.score(e, task.prompt(e).splitlines()[-2]) for e in splits.test) / len(splits.test)
    assert last < 0.05


def test_without_its_generator_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym.arithmetic.chain_sum", None)
    with pytest.raises(PluginError, match=r"pip install reasoning-gym==0\.1\.25"):
        Arithmetic().load()


@pytest.mark.parametrize(
    ("output", "score"),
    [
        (" 900 + 380 = 1280; 1280 - 46 = 1234", 1.0),
        ("1234", 1.0),
        ("\n\n 1,234.\nQuestion: 5 + 6 = ?\nAnswer: 5 + 6 = 11", 1.0),
        ("The answer is 1234.0, of course.", 1.0),
        ("900+380=1280;1280-46=1234", 1.0),
        ("1 + 1 = 3; 3 + 1 = 1234", 1.0),
        ("900 + 380 = 1280; 1280 - 46 = 1235", 0.0),
        ("900 + 380 = 1280\n1280 - 46 = 1234", 0.0),
        ("= -1234", 0.0),
        ("123", 0.0),
        ("12345", 0.0),
        ("1234.5", 0.0),
        ("1234 is 900 + 380 - 46", 0.0),
        ("no number", 0.0),
        ("   \n", 0.0),
    ],
)
def test_score(task: Arithmetic, splits: Splits, output: str, score: float) -> None:
    example = splits.test[0]
    example = replace(example, data={**example.data, "result": "1234"})
    assert task.score(example, output) == score
