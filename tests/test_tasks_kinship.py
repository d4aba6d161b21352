from __future__ import annotations

import re
from collections import Counter
from statistics import median

import pytest

from harness.task import Splits, task_hash
from tasks.kinship import FEMALE, MEN, WOMEN, Kinship, compose
from tests.conftest import Pool

HASH = "aed1a5df990ca94922421b62377d99bbfe8aded9d27604d11275339fc6bb57df"

FEMALE_LABELS = {"grandmother", "aunt", "mother", "sister", "niece", "daughter", "granddaughter"}
FACT = re.compile(r"(\w+) is (\w+)'s (\w+)\.")


@pytest.fixture(scope="module")
def task() -> Kinship:
    return Kinship()


@pytest.fixture(scope="module")
def splits(task: Kinship, pool: Pool) -> Splits:
    return pool(task.name)[1]


def test_sizes_and_labels_are_balanced(task: Kinship, splits: Splits) -> None:
    assert {name: len(examples) for name, examples in splits.items()} == {
        "train": 2240,
        "dev": 210,
        "test": 392,
    }
    for _, examples in splits.items():
        assert len(set(Counter(task.target(e) for e in examples).values())) == 1
        assert {task.target(e) for e in examples} == set(task.labels)


def test_hash_is_pinned(task: Kinship, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_no_chain_is_in_two_splits_and_all_are_solved(splits: Splits) -> None:
    chains = {name: {e.group for e in examples} for name, examples in splits.items()}
    assert (
        not chains["train"] & chains["dev"]
        | chains["train"] & chains["test"]
        | chains["dev"] & chains["test"]
    )
    assert {name: len(own) for name, own in chains.items()} == {"train": 78, "dev": 20, "test": 22}


def test_the_facts_lead_to_the_answer_and_to_no_other(splits: Splits) -> None:
    """Walks the facts as text, from the asker to the person asked about."""
    for _, examples in splits.items():
        for example in examples:
            facts = {person: (of, relation) for person, of, relation in FACT.findall(example.data["facts"])}
            assert len(facts) == example.data["facts"].count(".")  # nobody is introduced twice
            chain: list[str] = []
            person = example.data["asked"]
            while person != example.data["asker"]:
                person, relation = facts[person]
                chain.insert(0, relation)
            assert len(chain) in (2, 3)
            assert compose(tuple(chain)) == example.data["label"]


def test_names_agree_with_relations(splits: Splits) -> None:
    assert not set(WOMEN) & set(MEN)
    for _, examples in splits.items():
        for example in examples:
            assert (example.data["asked"] in WOMEN) == (example.data["label"] in FEMALE_LABELS)
            for person, _, relation in FACT.findall(example.data["facts"]):
                assert (person in WOMEN) == FEMALE[relation]


@pytest.mark.parametrize(
    ("chain", "relation"),
    [
        (("father", "sister"), "aunt"),
        (("sister", "mother", "father"), "grandfather"),
        (("son", "brother", "daughter"), "granddaughter"),
        (("brother", "son"), "nephew"),
        (("mother", "daughter"), "sister"),
        (("daughter", "mother"), None),
        (("mother", "mother", "mother"), None),
        (("father", "mother", "brother"), None),
    ],
)
def test_compose(chain: tuple[str, ...], relation: str | None) -> None:
    assert compose(chain) == relation


def test_prompts_are_short_different_and_do_not_hold_an_unstated_answer(
    task: Kinship, splits: Splits
) -> None:
    prompts = [task.prompt(e) for _, examples in splits.items() for e in examples]
    assert len(set(prompts)) == len(prompts)
    assert median(map(len, prompts)) < 130
    assert max(map(len, prompts)) < 190
    for example in splits.test:
        if task.target(example) not in FEMALE:
            assert task.target(example) not in task.prompt(example)


def test_scores_and_the_naive_rule(task: Kinship, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, f" {task.target(example)}\n") == 1.0
            assert task.score(example, "") == 0.0
    right = sum(task.score(e, task.naive(e)) for e in splits.test) / len(splits.test)
    assert 0.22 < right < 0.25


def test_order_is_mixed(task: Kinship, splits: Splits) -> None:
    assert {task.target(e) for e in splits.test[:100]} == set(task.labels)
