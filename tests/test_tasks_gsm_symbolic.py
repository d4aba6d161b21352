from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from harness.errors import PluginError
from harness.task import Splits, digest, task_hash
from tasks import gsm_symbolic
from tasks.gsm_symbolic import TEMPLATES, Gsm8k, GsmSymbolic
from tests.conftest import Pool

HASH = "c9c75c2a6791b5ffab174d6d303b2695f8167b129c03661a90d6b60e0a0943a4"


@pytest.fixture(scope="module")
def task() -> GsmSymbolic:
    return GsmSymbolic()


@pytest.fixture(scope="module")
def splits(task: GsmSymbolic, pool: Pool) -> Splits:
    return pool(task.name)[1]


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


def test_hash_is_pinned(task: GsmSymbolic, splits: Splits) -> None:
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


SOLUTION = "Ann has 3*{n} = <<3*{n}={product}>>{product} pens.\nTwice that is <<2*{product}={total}>>{total}."


def hub_folder(folder: Path, end: str = "#### {total:,}") -> Path:
    """A data set as the hub lays it out: a card that names the files of each configuration, and parquet."""
    from datasets import Dataset

    numbers = {"train": range(600), "test": range(598, 640)}
    card = "---\nconfigs:\n- config_name: main\n  data_files:\n"
    for split, values in numbers.items():
        file = f"main/{split}-00000-of-00001.parquet"
        card += f"  - split: {split}\n    path: {file}\n"
        (folder / "main").mkdir(exist_ok=True)
        columns = {
            "question": [
                f"Ann has {n} boxes of 3 pens, {'' if split == 'test' else ' '}doubled?" for n in values
            ],
            "answer": [f"{SOLUTION}\n{end}".format(n=n, product=3 * n, total=6 * n) for n in values],
        }
        Dataset.from_dict(columns).to_parquet(str(folder / file))
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
def test_gsm8k_reads_a_folder_in_the_hubs_format(tmp_path: Path) -> None:
    task = Gsm8k(str(hub_folder(tmp_path)))
    splits = task.load()
    # Two of train's 600 questions are in test, but for a space.
    assert {name: len(examples) for name, examples in splits.items()} == {"train": 98, "dev": 500, "test": 42}
    assert task.load() == splits
    row = {e.id: e for _, examples in splits.items() for e in examples}["test/41"]
    assert task.prompt(row).endswith("Question: Ann has 639 boxes of 3 pens, doubled?\nAnswer:")
    assert task.target(row) == "Ann has 3*639 = 1917 pens.\nTwice that is 3834.\n#### 3834"
    assert task.score(row, "That makes 3,834 pens.") == 1.0
    for _, examples in splits.items():
        for example in examples:
            assert "<<" not in task.target(example)
            assert task.score(example, task.target(example)) == 1.0
            assert task.score(example, "") == 0.0


@pytest.mark.usefixtures("offline")
def test_gsm8k_order_is_mixed_and_dev_is_chosen_by_the_question(tmp_path: Path) -> None:
    splits = Gsm8k(str(hub_folder(tmp_path))).load()
    rows = [int(e.id.removeprefix("train/")) for e in splits.dev]
    assert sorted(rows) != rows
    assert min(rows[:50]) < 100 < 500 < max(rows[:50])
    digests = [digest(f"Ann has {n} boxes of 3 pens,  doubled?") for n in rows]
    assert sorted(digests) == digests


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("end", ["### {total}", "#### many", "####"])
def test_gsm8k_refuses_solutions_without_an_answer(tmp_path: Path, end: str) -> None:
    with pytest.raises(PluginError, match=r"the solution of 'test/0' does not end"):
        Gsm8k(str(hub_folder(tmp_path, end))).load()


@pytest.mark.parametrize(
    ("solution", "answer"),
    [("It is 5.\n#### 5", "5"), ("#### 1,250,000", "1250000"), ("#### -3", "-3"), ("#### .5\n", ".5")],
)
def test_gsm8k_answers_are_plain_numbers(solution: str, answer: str) -> None:
    assert gsm_symbolic._solved("x", "?", solution).data["answer"] == answer


def test_gsm8k_is_the_twin() -> None:
    assert GsmSymbolic.hub_twin is Gsm8k
    assert Gsm8k.hub_twin is None
    assert Gsm8k.source != GsmSymbolic.source
    assert len(gsm_symbolic.GSM8K_REVISION) == 40
