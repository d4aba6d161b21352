from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import pytest

import tasks.json_extraction as module
from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks.json_extraction import JsonExtraction
from tasks.json_extraction.templates import COSTS, DEVICES, ITEMS, KINDS
from tests.conftest import Pool

HASH = "3791631101fd368497e584ce68e7832e452e00752c1578497c03b347faffd462"
ROOT = Path(__file__).parent.parent
RECORD = '{"customer": "Ana Sá", "quantity": 7, "amount": 1200.5, "order": null}'


@pytest.fixture(scope="module")
def task() -> JsonExtraction:
    return JsonExtraction()


@pytest.fixture(scope="module")
def splits(task: JsonExtraction, pool: Pool) -> Splits:
    return pool(task.name)[1]


def records(examples: tuple[Example, ...]) -> list[dict[str, object]]:
    return [json.loads(e.data["record"]) for e in examples]


def test_sizes_and_templates(splits: Splits) -> None:
    assert {name: len(examples) for name, examples in splits.items()} == {
        "train": 2100,
        "dev": 200,
        "test": 400,
    }
    groups = {name: {e.group for e in examples} for name, examples in splits.items()}
    assert {name: len(of) for name, of in groups.items()} == {"train": 50, "dev": 10, "test": 20}
    for of in groups.values():
        assert {group.split()[0] for group in of} == set(KINDS)


def test_kinds_and_templates_weigh_the_same(splits: Splits) -> None:
    for _, examples in splits.items():
        assert len(set(Counter(e.group for e in examples).values())) == 1
        assert len(set(Counter(e.group.split()[0] for e in examples).values())) == 1


def test_hash_is_pinned(task: JsonExtraction, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


@pytest.mark.parametrize("seed", ["1", "2"])
def test_data_do_not_depend_on_hash_randomisation(seed: str) -> None:
    code = (
        "from harness.task import task_hash; from tasks.json_extraction import JsonExtraction; "
        "task = JsonExtraction(); print(task_hash(task, task.load()))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    )
    assert done.stdout.strip() == HASH


def test_order_is_mixed(splits: Splits) -> None:
    assert len({e.group for e in splits.test[:50]}) >= 16
    assert len({e.group for e in splits.dev[:50]}) == 10


def test_every_template_uses_its_keys_and_one_part_may_be_missing() -> None:
    for text in KINDS.values():
        keys, *templates = text.splitlines()
        assert len(templates) == len(set(templates)) == 8
        for template in templates:
            assert sorted(re.findall(r"\{(\w+)\}", template)) == sorted(keys.split())
            assert len(re.findall(r"\[[^\[\]]*\{\w+\}[^\[\]]*\]", template)) == template.count("[") == 1


def test_values_do_not_cross_splits(splits: Splits) -> None:
    for values in (ITEMS, DEVICES, COSTS):
        listed = [value for text in values.values() for value in text.split(", ")]
        assert len(set(listed)) == len(listed)
    for key in ("email", "phone", "order", "invoice", "tracking"):
        sides = [{r[key] for r in records(of) if r.get(key)} for _, of in splits.items()]
        assert all(len(side) > 8 for side in sides)
        assert sum(map(len, sides)) == len(set.union(*sides))


def test_messages_do_not_repeat(splits: Splits) -> None:
    messages = [re.sub(r"\W+", " ", e.data["message"].lower()) for _, of in splits.items() for e in of]
    assert len(set(messages)) == len(messages)


def test_plain_values_stand_in_the_message_once(splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert not re.search(r"[{}\[\]]|  ", example.data["message"])
            for value in json.loads(example.data["record"]).values():
                if isinstance(value, str) and not re.fullmatch(r"\d\d:\d\d", value):
                    assert example.data["message"].count(value) == 1


def test_what_is_not_copied(splits: Splits) -> None:
    found: Counter[str] = Counter()
    for example, record in zip(splits.test, records(splits.test), strict=True):
        for value in record.values():
            shown = str(value) in example.data["message"]
            found["missing" if value is None else "copied" if shown else "changed"] += 1
    assert 0.05 < found["missing"] / found.total() < 0.09
    assert 0.1 < found["changed"] / found.total() < 0.25


def test_times_and_numbers(splits: Splits) -> None:
    for _, examples in splits.items():
        for record in records(examples):
            assert re.fullmatch(r"(?:11|1[3-9]|2[0-2]):(?:00|15|30|45)", str(record.get("time", "11:00")))
            for key in ("quantity", "people", "parcels", "nights", "years"):
                assert isinstance(record.get(key, 2), int)
                assert 2 <= int(str(record.get(key, 2))) <= 20
            for key in ("amount", "price", "salary", "weight"):
                assert isinstance(record.get(key), int | float | None)


def test_prompts_and_targets_are_short(task: JsonExtraction, splits: Splits) -> None:
    examples = [e for _, of in splits.items() for e in of]
    prompts = [task.prompt(e) for e in examples]
    assert median(map(len, prompts)) < 230
    assert max(map(len, prompts)) < 320
    assert max(len(task.target(e)) for e in examples) < 200
    for prompt, example in zip(prompts, examples, strict=True):
        assert prompt.endswith("\nJSON:")
        assert "{" not in prompt
        assert f"Extract {', '.join(json.loads(task.target(example)))} as" in prompt


def test_gold_scores_one_and_empty_scores_zero(task: JsonExtraction, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, task.target(example)) == 1.0
            assert task.score(example, "") == 0.0


def test_naive_earns_the_missing_fields_only(task: JsonExtraction, splits: Splits) -> None:
    assert 0.05 < mean(task.score(e, task.naive(e)) for e in splits.test) < 0.09
    others = zip(splits.test, splits.test[1:], strict=False)
    assert mean(task.score(one, task.target(other)) for one, other in others) < 0.04


@pytest.mark.parametrize(
    ("output", "score"),
    [
        (RECORD, 1.0),
        (f" Sure:\n```json\n{RECORD}\n```\nMessage: ...", 1.0),
        (
            '{"order": null, "amount": 1200.50, "quantity": 7.0,\n "customer": " Ana  Sá"} {"customer": 1}',
            1.0,
        ),
        ('{"customer": "Ana Sá", "quantity": 7, "amount": 1200.5}', 6 / 7),
        ('{"customer": "Ana Sá", "quantity": "7", "amount": 1200.5, "order": null}', 0.75),
        ('{"customer": "ana sá", "quantity": 7, "amount": "$1,200.50", "order": ""}', 0.25),
        ('{"customer": "Ana Sá", "quantity": 7, "amount": 1200.5, "order": null, "city": "Lima"}', 8 / 9),
        ('{"customer": "Ana Sá", "quantity": 7', 0.0),
        ("{}", 0.0),
        ("[7, 1200.5]", 0.0),
        ("customer: Ana Sá", 0.0),
        ("  \n", 0.0),
    ],
)
def test_score(task: JsonExtraction, splits: Splits, output: str, score: float) -> None:
    example = replace(splits.test[0], data={"message": "-", "record": RECORD})
    assert task.score(example, output) == pytest.approx(score)


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install faker==40\.54\.0"):
        JsonExtraction().load()
