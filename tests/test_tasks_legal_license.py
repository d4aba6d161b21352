from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from statistics import median

import pytest

from harness.errors import PluginError
from harness.task import Splits, task_hash
from tasks import legal_license
from tasks.legal_license import KEY_CAP, MAX_CHARS, PER_CLASS, Ledgar, LegalLicense
from tests.conftest import Pool

HASH = "951cba12bb874e02ba66249370e0157b5320eccf295568e8d63317c2dd4b8168"


@pytest.fixture(scope="module")
def task() -> LegalLicense:
    return LegalLicense()


@pytest.fixture(scope="module")
def splits(task: LegalLicense, pool: Pool) -> Splits:
    return pool(task.name)[1]


def classes(examples: tuple[legal_license.Example, ...]) -> Counter[str]:
    return Counter(e.data["label"] for e in examples)


def test_sizes(splits: Splits) -> None:
    assert len(splits.train) >= 2000
    assert len(splits.dev) == 200
    assert len(splits.test) == 400


def test_classes_are_balanced(task: LegalLicense, splits: Splits) -> None:
    assert classes(splits.test) == dict.fromkeys(task.labels, PER_CLASS["test"])
    assert classes(splits.dev) == dict.fromkeys(task.labels, PER_CLASS["dev"])
    train = classes(splits.train)
    assert set(train) == set(task.labels)
    # Always guessing the largest class is right for one in five.
    assert max(train.values()) / len(splits.train) < 0.22
    assert min(train.values()) > 280


def test_no_key_dominates(splits: Splits) -> None:
    for name, examples in splits.items():
        assert max(Counter((e.data["label"], e.group) for e in examples).values()) <= KEY_CAP[name]
    assert len({e.group for e in splits.test}) > 250
    for label in LegalLicense.labels:
        assert len({e.group for e in splits.test if e.data["label"] == label}) >= 10


def test_hash_is_pinned(task: LegalLicense, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH


def test_order_is_mixed(task: LegalLicense, splits: Splits) -> None:
    for examples in (splits.dev[:50], splits.test[:50]):
        assert min(classes(examples)[label] for label in task.labels) >= 4


def test_texts_do_not_repeat(splits: Splits) -> None:
    texts = [" ".join(legal_license._words(e)) for _, examples in splits.items() for e in examples]
    assert len(set(texts)) == len(texts)


def test_no_near_duplicates_across_splits(splits: Splits) -> None:
    def shingles(example: legal_license.Example) -> set[str]:
        words = [word for word in legal_license._words(example) if not word.isdigit()]
        return {" ".join(words[i : i + 4]) for i in range(max(1, len(words) - 3))}

    train, test = ([(e.data["label"], shingles(e)) for e in side] for side in (splits.train, splits.test))
    for (label, one), (other, two) in product(train, test):
        if label == other:
            shared = len(one & two)
            assert shared < legal_license.NEAR * (len(one) + len(two) - shared)


def test_gold_scores_one_and_others_score_zero(task: LegalLicense, splits: Splits) -> None:
    for example in splits.test:
        assert task.target(example) in task.labels
        assert task.score(example, f" {task.target(example)}\n") == 1.0
        assert sum(task.score(example, label) for label in task.labels) == 1.0
        assert task.score(example, "") == 0.0


def test_prompts(task: LegalLicense, splits: Splits) -> None:
    prompts = [task.prompt(e) for _, examples in splits.items() for e in examples]
    assert median(map(len, prompts)) < 430
    assert max(map(len, prompts)) < MAX_CHARS + 120
    for prompt in prompts:
        assert prompt.endswith(":")
        # ScanCode's own marks and metadata stay out.
        assert "{{" not in prompt
        assert "license_expression" not in prompt
    assert "copyleft_limited" not in " ".join(prompts).lower().replace(" ", "_")


def test_comment_markers_are_stripped() -> None:
    text = "/*\n * Licensed under the {{X License}}.\n * See # 3.\n */\n# And\n// more\n;; here\n-------"
    example = legal_license._example("x.RULE", "x", {"x": "permissive"}, text)
    assert example.data["text"] == "Licensed under the X License . See # 3. And more here"


def test_texts_are_cut_between_words() -> None:
    assert legal_license._line("some words\n  here", 100) == "some words here"
    assert legal_license._line("some words here", 10) == "some words"
    assert legal_license._line("some words here", 9) == "some"


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legal_license, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install licensedcode-data==32\.1\.0"):
        LegalLicense().load()


def hub_folder(folder: Path, headings: tuple[str, ...]) -> Path:
    """A data set as the hub lays it out: a card that names the files of each configuration, and parquet."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=list(headings))})
    rows = {
        "train": [("This Agreement shall be governed by the laws of Delaware.", 47), ("Shared text.", 0)],
        "validation": [("Headings are for convenience only.", 48), ("  Shared   text! ", 0)],
        "test": [("Time is of the essence. " * 60, 99), ("The Executive's base salary is $1.", 11)],
    }
    card = "---\nconfigs:\n- config_name: ledgar\n  data_files:\n"
    for split, items in rows.items():
        file = f"ledgar/{split}-00000-of-00001.parquet"
        card += f"  - split: {split}\n    path: {file}\n"
        (folder / "ledgar").mkdir(exist_ok=True)
        columns = {"text": [text for text, _ in items], "label": [label for _, label in items]}
        Dataset.from_dict(columns, features=features).to_parquet(str(folder / file))
    (folder / "README.md").write_text(card + "---\n", encoding="utf-8")
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("offline")
def test_ledgar_reads_a_folder_in_the_hubs_format(tmp_path: Path) -> None:
    task = Ledgar(str(hub_folder(tmp_path, Ledgar.labels)))
    splits = task.load()
    assert {name: len(examples) for name, examples in splits.items()} == {"train": 1, "dev": 2, "test": 2}
    assert task.load() == splits
    assert splits.train[0].id == "train/0"
    assert task.target(splits.train[0]) == "Governing Laws"
    assert {task.target(e) for e in splits.test} == {"Withholdings", "Base Salary"}
    for _, examples in splits.items():
        for example in examples:
            assert len(task.prompt(example)) < legal_license.LEDGAR_MAX_CHARS + 100
            assert task.prompt(example).endswith(":")
            assert task.score(example, " " + task.target(example)) == 1.0
            assert task.score(example, "") == 0.0


@pytest.mark.usefixtures("offline")
def test_ledgar_refuses_other_headings(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path, (*Ledgar.labels[1:], "Adjustments"))
    with pytest.raises(PluginError, match="headings"):
        Ledgar(str(folder)).load()


def test_ledgar_is_the_twin_and_has_a_hundred_headings() -> None:
    assert LegalLicense.hub_twin is Ledgar
    assert len(set(Ledgar.labels)) == 100
    assert list(Ledgar.labels) == sorted(Ledgar.labels)
    assert len(legal_license.LEDGAR_REVISION) == 40
