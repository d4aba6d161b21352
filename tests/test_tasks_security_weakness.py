from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median
from xml.etree import ElementTree

import pytest

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks import security_weakness
from tasks.security_weakness import GROUP_CAP, MAX_CHARS, MIN_WORDS, PER_CLASS, SPACE, SecurityWeakness
from tests.conftest import Pool

HASH = "1aa1b9e91853bbaa698cdb9706855eb19a826983afedadc69cb5771f520bf5c1"


@pytest.fixture(scope="module")
def task() -> SecurityWeakness:
    return SecurityWeakness()


@pytest.fixture(scope="module")
def splits(task: SecurityWeakness, pool: Pool) -> Splits:
    return pool(task.name)[1]


def classes(examples: tuple[Example, ...]) -> Counter[str]:
    return Counter(e.data["label"] for e in examples)


def example(text: str, label: str = "injection", group: str = "CWE-1") -> Example:
    return Example(id=f"{group}/{text}", group=group, data={"text": text, "label": label})


def test_sizes(splits: Splits) -> None:
    assert tuple(len(examples) for _, examples in splits.items()) == SecurityWeakness.sizes
    assert len(splits.dev) == 200
    assert len(splits.test) >= 300


def test_dev_and_test_are_balanced(task: SecurityWeakness, splits: Splits) -> None:
    assert classes(splits.test) == dict.fromkeys(task.labels, PER_CLASS["test"])
    assert classes(splits.dev) == dict.fromkeys(task.labels, PER_CLASS["dev"])
    train = classes(splits.train)
    assert set(train) == set(task.labels)
    assert max(train.values()) == PER_CLASS["train"]
    assert min(train.values()) >= 40


def test_a_weakness_is_on_one_side_only(splits: Splits) -> None:
    sides: dict[str, set[str]] = defaultdict(set)
    for name, examples in splits.items():
        for e in examples:
            sides[e.id.split("/")[0]].add(name)
            sides[e.group].add(name)
    assert all(len(names) == 1 for names in sides.values())


def test_no_group_dominates(splits: Splits) -> None:
    for name, cap in GROUP_CAP.items():
        examples = dict(splits.items())[name]
        assert max(Counter(e.group for e in examples).values()) <= cap
    for label in SecurityWeakness.labels:
        assert len({e.group for e in splits.test if e.data["label"] == label}) >= 4
        assert len({e.group for e in splits.train if e.data["label"] == label}) >= 6


def test_hash_is_pinned(task: SecurityWeakness, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_order_is_mixed(task: SecurityWeakness, splits: Splits) -> None:
    for examples in (splits.dev[:100], splits.test[:100], splits.test[100:200]):
        assert min(classes(examples)[label] for label in task.labels) >= 6


def test_texts_do_not_repeat(splits: Splits) -> None:
    texts = [
        " ".join(security_weakness._words(e.data["text"])) for _, examples in splits.items() for e in examples
    ]
    assert len(set(texts)) == len(texts)


def test_no_near_duplicates_across_splits(splits: Splits) -> None:
    held: dict[str, list[frozenset[str]]] = defaultdict(list)
    for _, examples in reversed(list(splits.items())):
        own = [(e.data["label"], security_weakness._content(e)) for e in examples]
        for label, words in own:
            for other in held[label]:
                assert len(words & other) < security_weakness.NEAR * len(words | other)
        for label, words in own:
            held[label].append(words)


def test_gold_scores_one_and_others_score_zero(task: SecurityWeakness, splits: Splits) -> None:
    for _, examples in splits.items():
        for e in examples:
            assert task.target(e) in task.labels
            assert task.score(e, f" {task.target(e)}\n") == 1.0
            assert sum(task.score(e, label) for label in task.labels) == 1.0
            assert task.score(e, "") == 0.0


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("file handling", 1.0),
        (" file handling \n", 1.0),
        ("file", 0.0),
        ("File handling", 0.0),
        ("injection", 0.0),
        ("", 0.0),
    ],
)
def test_scoring(task: SecurityWeakness, output: str, score: float) -> None:
    assert task.score(example("Path traversal.", "file handling"), output) == score


def test_guessing_is_far_from_solving(task: SecurityWeakness, splits: Splits) -> None:
    for name, examples in splits.items():
        # Fallback included: texts that show no label's first word are guessed to be the first label.
        rule = sum(task.score(e, task.naive(e)) for e in examples) / len(examples)
        assert 0.15 < rule < (0.36 if name == "train" else 0.27)
        assert max(classes(examples).values()) / len(examples) < 0.24


@pytest.mark.parametrize("name", ["dev", "test"])
def test_labels_seldom_stand_in_the_text(splits: Splits, name: str) -> None:
    examples = dict(splits.items())[name]
    assert sum(e.data["label"] in e.data["text"].lower() for e in examples) / len(examples) < 0.07


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("A File is overwritten", "file handling"),
        ("OS command injection", "injection"),
        ("Profile of unknown users", "access control"),
    ],
)
def test_naive_rule_reads_the_label_from_the_text(task: SecurityWeakness, text: str, guess: str) -> None:
    assert task.naive(example(text)) == guess


def test_prompts(task: SecurityWeakness, splits: Splits) -> None:
    prompts = [task.prompt(e) for _, examples in splits.items() for e in examples]
    assert median(map(len, prompts)) < 300
    assert max(map(len, prompts)) < MAX_CHARS + 170
    for prompt in prompts:
        assert prompt.endswith("\nCategory:")
        assert prompt.count("\n") == 3


def test_texts_hold_no_metadata(splits: Splits) -> None:
    for _, examples in splits.items():
        for e in examples:
            text = e.data["text"]
            assert len(security_weakness._words(text)) >= MIN_WORDS
            assert not security_weakness.NAMED.search(text)
            assert "REF-" not in text
            assert not text.endswith((":", "e.g.", "i.e."))


def test_texts_of_a_weakness() -> None:
    weakness = ElementTree.fromstring(
        f"""<Weakness xmlns="{SPACE.strip("{}")}" ID="7" Name="Some Flaw">
          <Description>It  fails
            (CWE-12). Then it fails again.</Description>
          <Extended_Description><p xmlns="http://www.w3.org/1999/xhtml">It is <b>bad</b> [REF-3].</p>
            <p xmlns="http://www.w3.org/1999/xhtml">Background.</p></Extended_Description>
          <Observed_Examples>
            <Observed_Example><Reference>CVE-1</Reference><Description>Chain: a, then b.</Description>
            </Observed_Example>
            <Observed_Example><Description>Server crashes</Description></Observed_Example>
          </Observed_Examples>
        </Weakness>"""
    )
    assert dict(security_weakness._texts(weakness)) == {
        "name/0": "Some Flaw",
        "description/0": "It fails. Then it fails again.",
        "extended/0": "It is bad.",
        "example/1": "Server crashes",
    }


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("One is short. Two is short.", "One is short. Two is short."),
        (f"One is short. {'Long ' * 60}end.", "One is short."),
        (f"{'Long ' * 60}end.", ""),
        ("These are the cases:", ""),
        ("A text (e.g. This one) is whole. So it is", "A text (e.g. This one) is whole. So it is"),
    ],
)
def test_texts_are_cut_between_sentences(text: str, opening: str) -> None:
    assert security_weakness._opening(text) == opening


def test_weaknesses_that_nearly_repeat_are_one_group() -> None:
    path = "uses external input to construct a pathname but does not neutralize {} sequences"
    descriptions = {"1": path.format("dot"), "2": "frees memory twice", "3": path.format("slash")}
    descriptions["4"] = descriptions["2"]
    labels = {"1": "file handling", "2": "memory safety", "3": "file handling", "4": "injection"}
    groups = security_weakness._groups(descriptions, labels)
    assert groups == {"1": "CWE-1", "2": "CWE-2", "3": "CWE-1", "4": "CWE-4"}


def test_a_text_of_two_labels_is_dropped() -> None:
    texts = [example("same text"), example("Same text!", "exposure"), example("other text")]
    assert [e.data["text"] for e in security_weakness._distinct(texts)] == ["other text"]


def test_groups_are_dealt_by_what_a_split_lacks() -> None:
    groups = [[example(f"{g} {i}", group=f"CWE-{g}") for i in range(20)] for g in range(20)]
    sides = security_weakness._deal(groups)
    dealt = [texts[0].group for side in sides.values() for texts in side]
    assert sorted(dealt) == sorted(f"CWE-{g}" for g in range(20))
    for split, cap in GROUP_CAP.items():
        assert all(len(texts) == cap for texts in sides[split])
        assert sum(map(len, sides[split])) >= PER_CLASS[split]


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_weakness, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install cwe2==3\.0\.0"):
        SecurityWeakness().load()
