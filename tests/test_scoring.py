"""Text overlap and JSON fields, against hand-made cases and plain definitions."""

from __future__ import annotations

import json
import random

import pytest

from harness.scoring import MAX_DEPTH, field_f1, first_lines, json_object, rouge_l


@pytest.mark.parametrize(
    ("reference", "output", "score"),
    [
        ("police killed the gunman", "police killed the gunman", 1.0),
        ("Police killed the gunman.", "  police\nkilled, the GUNMAN", 1.0),
        ("police killed the gunman", "police kill the gunman", 0.75),
        ("police killed the gunman", "the gunman kill police", 0.5),
        ("a b c d", "a x b y c z d w", 2 * 4 / 12),
        ("a b c d", "d c b a", 0.25),
        ("snake_case", "snake case", 1.0),
        ("a b", "c d", 0.0),
        ("a b", "", 0.0),
        ("?!", " ?! ", 1.0),
        ("?!", "", 0.0),
        ("?!", "a", 0.0),
        ("über naïve", "Über NAÏVE", 1.0),
        ("今日は晴れ", "今日は雨", 2 * 3 / 9),  # scripts without spaces: a character is a word
        ("ที่นี่", "ที่โน่น", 2 * 1 / 6),  # with its marks
        ("हिन्दी भाषा", "भाषा", 2 * 1 / 3),
    ],
)
def test_rouge_l(reference: str, output: str, score: float) -> None:
    assert rouge_l(reference, output) == pytest.approx(score)


def test_rouge_l_is_the_longest_common_subsequence() -> None:
    def table(first: list[str], second: list[str]) -> int:
        row = [0] * (len(second) + 1)
        for a in first:
            above = row[:]
            for j, b in enumerate(second, 1):
                row[j] = above[j - 1] + 1 if a == b else max(above[j], row[j - 1])
        return row[-1]

    source = random.Random(0)
    for _ in range(300):
        first = source.choices("abcde", k=source.randrange(1, 80))
        second = source.choices("abcdef", k=source.randrange(80))
        expected = 2 * table(first, second) / (len(first) + len(second))
        assert rouge_l(" ".join(first), " ".join(second)) == pytest.approx(expected)


def test_rouge_l_of_long_texts_is_quick_and_symmetric() -> None:
    text = " ".join(str(n % 997) for n in range(20_000))
    assert rouge_l(text, text) == 1.0
    assert rouge_l(text, "1 2 3") == rouge_l("1 2 3", text)


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ('{"name": "Ann Lee", "age": 30, "paid": true}', 1.0),
        ('{"paid": true, "age": 30.0, "name": " Ann\\n Lee"}', 1.0),
        ('Answer:\n```json\n{"name": "Ann Lee",\n "age": 3e1, "paid": true}\n``` done {', 1.0),
        ('{"name": "Ann Lee", "age": 30, "paid": true} {"name": "no"}', 1.0),
        ('{"name": "Ann Lee", "age": 30}', 0.8),
        ('{"name": "Ann Lee", "age": 30, "paid": true, "town": "Bern"}', 6 / 7),
        ('{"name": "ann lee", "age": 30, "paid": true}', 2 / 3),
        ('{"name": "Ann Lee", "age": "30", "paid": true}', 2 / 3),
        ('{"name": "Ann Lee", "age": 30, "paid": 1}', 2 / 3),
        ('{"Name": "Ann Lee"}', 0.0),
        ("{}", 0.0),
        ("", 0.0),
        ("name: Ann Lee", 0.0),
        ("{'name': 'Ann Lee'}", 0.0),
        ('{"name": "Ann Lee", "age": 30, "paid": true', 0.0),
        ('{oops} {"name": "Ann Lee", "age": 30, "paid": true}', 0.0),
        ('["name"]', 0.0),
        ('{"name": NaN}', 0.0),
        ('{"age": ' + "9" * 5000 + "}", 0.0),
        ('{"a":' * 100_000, 0.0),
    ],
)
def test_field_f1(output: str, score: float) -> None:
    assert field_f1({"name": "Ann Lee", "age": 30, "paid": True}, output) == pytest.approx(score)


@pytest.mark.parametrize(
    ("reference", "output", "score"),
    [
        ({}, "{}", 1.0),
        ({}, '{"a": 1}', 0.0),
        ({"a": 1}, '{"a": true}', 0.0),
        ({"a": 0}, '{"a": false}', 0.0),
        ({"a": False}, '{"a": false}', 1.0),
        ({"a": None}, '{"a": null}', 1.0),
        ({"a": None}, '{"b": null}', 0.0),
        ({"a": [1, "x y"]}, '{"a": [1.0, "x  y"]}', 1.0),
        ({"a": [1, 2]}, '{"a": [2, 1]}', 0.0),
        ({"a": [1, 2]}, '{"a": [1]}', 0.0),
        ({"a": [True]}, '{"a": [1]}', 0.0),
        ({"a": {"b": 1, "c": [2]}}, '{"a": {"c": [2], "b": 1}}', 1.0),
        ({"a": {"b": 1}}, '{"a": {"b": 1, "c": 2}}', 0.0),
        ({"a": 1e999}, '{"a": 1e999}', 1.0),
    ],
)
def test_field_f1_compares_values(reference: dict[str, object], output: str, score: float) -> None:
    assert field_f1(reference, output) == score


def test_every_object_scores_one_against_itself() -> None:
    source = random.Random(1)

    def value(depth: int) -> object:
        kind = source.randrange(8 if depth < 4 else 5)
        if kind >= 6:
            return {str(source.randrange(9)): value(depth + 1) for _ in range(source.randrange(4))}
        if kind == 5:
            return [value(depth + 1) for _ in range(source.randrange(4))]
        return (None, True, source.random(), source.randrange(-9, 9), "a \x00 \U0001f600")[kind]

    for _ in range(200):
        reference = {str(n): value(0) for n in range(source.randrange(5))}
        assert field_f1(reference, json.dumps(reference)) == 1.0
        assert field_f1({**reference, "more": 1}, json.dumps(reference)) < 1.0


@pytest.mark.parametrize(("depth", "found"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False), (900, False)])
def test_nesting_has_a_fixed_limit(depth: int, found: bool) -> None:
    assert (json_object('{"a":' * depth + "1" + "}" * depth) is not None) is found


def test_a_whole_object_has_nothing_around_it() -> None:
    assert json_object(' {"a": 1}\n', whole=True) == {"a": 1}
    assert json_object('{"a": 1} b', whole=True) is None
    assert json_object('b {"a": 1}', whole=True) is None
    assert json_object('b {"a": 1} c') == {"a": 1}


@pytest.mark.parametrize(
    ("output", "count", "lines"),
    [
        ("\n \n a  b \nc", 1, "a b"),
        ("\n a\r\n\r\nb\nc", 2, "a\nb"),
        ("a", 3, "a"),
        (" \n", 1, ""),
    ],
)
def test_first_lines(output: str, count: int, lines: str) -> None:
    assert first_lines(output, count) == lines
