from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median

import pytest

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks import medical_coding
from tasks.medical_coding import CAP, DEV, MAX_CHARS, NEAR, PER_CLASS, MedicalCoding
from tests.conftest import Pool

HASH = "1e523cd9e02daf21b79acbfef05779056983d78b69ae3e5b633d9066c67e9b21"


@pytest.fixture(scope="module")
def task() -> MedicalCoding:
    return MedicalCoding()


@pytest.fixture(scope="module")
def splits(task: MedicalCoding, pool: Pool) -> Splits:
    return pool(task.name)[1]


def classes(examples: tuple[Example, ...]) -> Counter[str]:
    return Counter(e.data["label"] for e in examples)


def test_sizes(splits: Splits) -> None:
    assert len(splits.train) == 2400
    assert len(splits.dev) == DEV == 200
    assert len(splits.test) == 400


def test_classes_are_balanced(task: MedicalCoding, splits: Splits) -> None:
    assert classes(splits.test) == dict.fromkeys(task.labels, PER_CLASS["test"])
    assert classes(splits.train) == dict.fromkeys(task.labels, PER_CLASS["train"])
    assert set(classes(splits.dev)) == set(task.labels)
    assert set(classes(splits.dev).values()) == {12, 13}


def test_categories_stay_on_one_side_and_crowd_nothing_out(splits: Splits) -> None:
    sides: dict[str, set[str]] = defaultdict(set)
    for name, examples in splits.items():
        for group in {e.group for e in examples}:
            sides[group].add(name)
        assert max(Counter(e.group for e in examples).values()) <= CAP[name]
    assert all(len(names) == 1 for names in sides.values())
    assert len({e.group for e in splits.test}) > 250
    # The eye has the fewest categories of all chapters used.
    assert min(Counter({e.group: e.data["label"] for e in splits.test}.values()).values()) >= 8


def test_ids_are_codes_of_their_category(splits: Splits) -> None:
    for _, examples in splits.items():
        assert all(e.id.startswith(e.group) and len(e.group) == 3 for e in examples)


def test_hash_is_pinned(task: MedicalCoding, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_order_is_mixed(task: MedicalCoding, splits: Splits) -> None:
    for examples in (splits.dev, splits.test[:200]):
        assert min(classes(examples)[label] for label in task.labels) >= 5
        assert max(classes(examples[:50]).values()) <= 12


def test_terms_do_not_repeat(splits: Splits) -> None:
    terms = [" ".join(medical_coding._words(e)) for _, examples in splits.items() for e in examples]
    assert len(set(terms)) == len(terms)


def test_no_near_duplicates_across_splits(splits: Splits) -> None:
    held: dict[str, list[frozenset[str]]] = defaultdict(list)
    for _, examples in reversed(list(splits.items())):
        own = [(e.data["label"], medical_coding._content(e)) for e in examples]
        for label, words in own:
            assert words
            for other in held[label]:
                assert len(words & other) < NEAR * len(words | other)
        for label, words in own:
            held[label].append(words)


def test_gold_scores_one_and_others_score_zero(task: MedicalCoding, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.target(example) in task.labels
            assert task.score(example, f" {task.target(example)}\n") == 1.0
            assert sum(task.score(example, label) for label in task.labels) == 1.0
            assert task.score(example, "") == 0.0


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("eye", 1.0),
        (" eye \n", 1.0),
        ("Eye", 0.0),
        ("eyes", 0.0),
        ("skin", 0.0),
        ("eye, skin", 0.0),
        ("", 0.0),
    ],
)
def test_scoring(task: MedicalCoding, output: str, score: float) -> None:
    example = Example(id="H40/0", group="H40", data={"term": "Glaucoma", "label": "eye"})
    assert task.score(example, output) == score


def test_guessing_is_far_from_solving(task: MedicalCoding, splits: Splits) -> None:
    for _, examples in splits.items():
        # The label itself stands in one term of six: "Carotid artery injury", "Congenital ptosis".
        rule = sum(task.score(e, task.naive(e)) for e in examples) / len(examples)
        assert 0.14 < rule < 0.2
        assert max(classes(examples).values()) / len(examples) < 0.07


@pytest.mark.parametrize(
    ("term", "guess"),
    [("Contusion of eyeball", "eye"), ("Superficial INJURY of lip", "injury"), ("Gout", "infection")],
)
def test_naive_rule_reads_the_label_from_the_term(task: MedicalCoding, term: str, guess: str) -> None:
    assert task.naive(Example(id="x", group="x", data={"term": term, "label": "skin"})) == guess


def test_prompts(task: MedicalCoding, splits: Splits) -> None:
    prompts = [task.prompt(e) for _, examples in splits.items() for e in examples]
    assert median(map(len, prompts)) < 240
    assert max(map(len, prompts)) < MAX_CHARS + 210
    for prompt in prompts:
        assert prompt.endswith("\nChapter:")
        assert prompt.count("\n") == 3


def test_terms_read_as_diagnoses(splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            term = example.data["term"]
            assert not set(term) & set("[]()")
            assert "NOS" not in term
            assert not medical_coding.CODE.search(term)
            assert not term[0].islower()


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("Other infective (teno)synovitis, right hand", "Other infective tenosynovitis, right hand"),
        ("Spondyl(o)pathy", "Spondylopathy"),
        ("Coronary (artery) atheroma", "Coronary atheroma"),
        ("(Idiopathic) normal pressure hydrocephalus", "Normal pressure hydrocephalus"),
        ("Delirium, NOS", "Delirium"),
        ("Gangrene NOS of toe", "Gangrene of toe"),
        ("Infection by Escherichia coli [E. coli], mild.", "Infection by Escherichia coli, mild"),
    ],
)
def test_asides_are_removed(text: str, term: str) -> None:
    assert medical_coding._tidy(text) == term


def test_terms_alike_but_for_side_and_number_count_as_one() -> None:
    texts = ["Sprain of left wrist", "Sprain of unspecified wrist", "Dislocation of wrist", "Burns, 2 sites"]
    examples = [Example(id=t, group="S63", data={"term": t, "label": "injury"}) for t in texts]
    assert [e.data["term"] for e in medical_coding._unalike(examples)] == [texts[0], texts[2], texts[3]]
    assert medical_coding._content(examples[3]) == {"burn"}


def test_a_term_of_two_chapters_is_dropped() -> None:
    rows = [("a", "skin"), ("b", "eye"), ("c", "skin")]
    examples = [
        Example(id=name, group=name, data={"term": "Cyst" if name != "c" else "Wart", "label": label})
        for name, label in rows
    ]
    assert [e.id for e in medical_coding._distinct(iter(examples))] == ["c"]


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medical_coding, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install simple-icd-10-cm==1\.5\.0"):
        MedicalCoding().load()
