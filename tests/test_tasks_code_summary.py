from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from statistics import mean, median

import pytest

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks import code_summary
from tasks.code_summary import INSTRUCTION, MAX_CHARS, MAX_LINES, MODULE_CAP, CodeSearchNet, CodeSummary
from tests.conftest import Pool

TASK = CodeSummary()
HASH = "f5e9b0f7086b6d5f8ce8d24c34480eb4d7b1eabdcc304282ca5bd76352a96bc1"


@pytest.fixture(scope="module")
def splits(pool: Pool) -> Splits:
    return pool(TASK.name)[1]


def everything(splits: Splits) -> list[Example]:
    return [e for _, examples in splits.items() for e in examples]


def test_sizes(splits: Splits) -> None:
    assert TASK.sizes == (len(splits.train), len(splits.dev), len(splits.test))
    assert len(splits.train) >= 2000


def test_hash_is_pinned(splits: Splits) -> None:
    assert task_hash(TASK, splits) == HASH


def test_every_split_has_many_modules_of_every_package(splits: Splits) -> None:
    for _, examples in splits.items():
        packages = Counter(e.group.split("/")[0] for e in examples)
        assert set(packages) == set(code_summary.PACKAGES)
        assert min(packages.values()) >= 0.15 * len(examples)
    for examples in (splits.dev, splits.test):
        modules = Counter(e.group for e in examples)
        assert len(modules) >= 60
        assert max(modules.values()) <= MODULE_CAP


def test_order_is_mixed(splits: Splits) -> None:
    for examples in (splits.dev, splits.test):
        packages = Counter(e.group.split("/")[0] for e in examples[:60])
        assert min(packages[package] for package in code_summary.PACKAGES) >= 5
        assert max(Counter(e.group for e in examples[:60]).values()) <= 6


def test_names_do_not_cross_splits(splits: Splits) -> None:
    names = [{e.data["name"].strip("_") for e in examples} for _, examples in splits.items()]
    assert not names[0] & names[1]
    assert not names[0] & names[2]
    assert not names[1] & names[2]


def test_texts_do_not_repeat(splits: Splits) -> None:
    examples = everything(splits)
    for field in ("code", "summary"):
        texts = Counter(" ".join(re.findall(r"[^\s.]+", e.data[field].lower())) for e in examples)
        assert texts.most_common(1)[0][1] == 1


def test_no_function_nearly_repeats_one_of_another_split(splits: Splits) -> None:
    test = [code_summary._pairs(e) for e in splits.test]
    for example in (*splits.train, *splits.dev):
        own = code_summary._pairs(example)
        assert all(len(own & other) < code_summary.NEAR * len(own | other) for other in test), example.id


def test_prompts(splits: Splits) -> None:
    for example in everything(splits):
        prompt, code = TASK.prompt(example), example.data["code"]
        assert prompt == f"{INSTRUCTION}\n\n{code}\n\nSummary:"
        assert len(code) <= MAX_CHARS
        assert 2 <= len(code.split("\n")) <= MAX_LINES
        assert example.data["summary"].rstrip(".").lower() not in prompt.lower()
        function = ast.parse(code).body[0]
        assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        assert function.name == example.data["name"]
        assert ast.get_docstring(function) is None
    assert median(len(TASK.prompt(e)) for e in splits.test) < 300


def test_summaries_are_plain_sentences(splits: Splits) -> None:
    for example in everything(splits):
        summary = TASK.target(example)
        assert re.fullmatch(r"[A-Z][ -~]*\.", summary)
        assert not re.search(r"[`*\[\]{}<>]|https?:|::", summary)
        assert 4 <= len(summary.split()) <= 15
        assert not code_summary._says_its_name(example.data["name"], summary)


def test_gold_scores_one_and_empty_scores_zero(splits: Splits) -> None:
    for example in everything(splits):
        assert TASK.score(example, f" {TASK.target(example)}\n\nSummary: it adds numbers.") == 1.0
        assert TASK.score(example, "") == 0.0


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("Return the number of open connections.", 1.0),
        ("return the number of open connections", 1.0),
        ("\n\n  Return the number of open connections.\ndef f():\n    pass", 1.0),
        ("Return the number of connections.", 10 / 11),
        ("Return the number.", 6 / 9),
        ("Connections open of number the return.", 2 / 12),
        ("Close everything.", 0.0),
        ("Close everything.\nReturn the number of open connections.", 0.0),
        ("```", 0.0),
    ],
)
def test_scoring(output: str, score: float) -> None:
    data = {"code": "def f():\n    pass", "summary": "Return the number of open connections.", "name": "f"}
    assert TASK.score(Example(id="x", group="x", data=data), output) == pytest.approx(score)


def test_neither_the_name_nor_a_stock_phrase_scores_well(splits: Splits) -> None:
    names = [TASK.naive(e) or "" for e in splits.test]
    assert 0.20 < mean(map(TASK.score, splits.test, names)) < 0.27
    first = Counter(word for e in splits.train for word in TASK.target(e).lower().rstrip(".").split())
    phrases = [
        "Return a list of the values in the given object.",
        " ".join(w for w, _ in first.most_common(6)),
    ]
    for phrase in phrases:
        assert mean(TASK.score(e, phrase) for e in splits.test) < 0.21


def test_the_name_in_words() -> None:
    data = {"code": "", "summary": "", "name": "_getHTTPResponse_v2"}
    assert TASK.naive(Example(id="x", group="x", data=data)) == "Get http response v 2."


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("Return the open file.", "Return the open file."),
        ("Return the open\n    file. It may be closed.\n\n    More.", "Return the open file."),
        ("Return the open file\n\nMore.", "Return the open file."),
        ("Get the `Widget` that has [focus][textual.focus].", "Get the Widget that has focus."),
        ("Return a :class:`Point` or ``None`` here.", "Return a Point or None here."),
        ("Return the file.", None),
        ("return the open file.", None),
        ("Return x{a} of the graph.", None),
        ("Return all files, see https://example.org for more.", None),
        ("Return the old name, deprecated since 2.0.", None),
        ("Return 5 \u2264 x for all of them.", None),
        ("", None),
    ],
)
def test_first_sentences(docstring: str, summary: str | None) -> None:
    assert code_summary._summary(docstring) == summary


def test_what_is_taken_from_a_module() -> None:
    source = '''
class Store:
    @property
    def size(self):
        """Return the number of rows held."""

        # Rows are kept in memory.
        return len(self.rows)

    def __len__(self):
        """Return the number of rows here."""
        return len(self.rows)

    def rows_sorted(self):
        """Return the rows sorted."""
        return sorted(self.rows, key=str)

    def close(self):
        """Close the file behind this store."""
        raise NotImplementedError("subclasses close what they have opened")

    def plain(self):
        """Return what was given at the start."""
        return self._plain
'''
    (example,) = code_summary._functions("m", source)
    assert example.id == "m:4"
    assert example.data == {
        "name": "size",
        "code": "def size(self):\n    # Rows are kept in memory.\n    return len(self.rows)",
        "summary": "Return the number of rows held.",
    }


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_summary, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install Django==5\.2\.19"):
        CodeSummary().load()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


METHOD = '''def total(self, rows):
        """
        Add up the prices of all rows.

        :param rows: the rows
        """
        return sum(row.price for row in rows)'''
FUNCTION = 'def first(rows):\n    """Return the row that came in first."""\n    return min(rows, key=by_time)'


def hub_folder(folder: Path) -> Path:
    """A data set as the hub lays it out: a card that names the files of each configuration, and parquet."""
    from datasets import Dataset

    rows = {
        "train": [
            ("a/a", FUNCTION.replace("first", "final").replace("min", "max")),
            ("t/t", FUNCTION.replace("came in", "was seen")),
            ("a/a", METHOD),  # as in test
            ("a/a", 'def old(x):\n    """Print the value of x."""\n    print x, x + 1'),
            ("a/a", "def two(x):\n    '''Print the value of x here.'''\n    print(x, x + 1)"),
        ],
        "validation": [
            ("v/v", FUNCTION.replace("rows):", "rows, by_time):").replace("row that", "one that"))
        ],
        "test": [("t/t", METHOD)],
    }
    card = "---\nconfigs:\n- config_name: python\n  data_files:\n"
    (folder / "python").mkdir()
    for split, items in rows.items():
        file = f"python/{split}-00000-of-00001.parquet"
        card += f"  - split: {split}\n    path: {file}\n"
        columns = {
            "id": list(range(len(items))),
            "repo": [repository for repository, _ in items],
            "code": [code for _, code in items],
        }
        Dataset.from_dict(columns).to_parquet(str(folder / file))
    (folder / "README.md").write_text(card + "---\n", encoding="utf-8")
    return folder


@pytest.mark.usefixtures("offline")
def test_the_twin_reads_a_folder_in_the_hubs_format(tmp_path: Path) -> None:
    task = CodeSearchNet(str(hub_folder(tmp_path)))
    splits = task.load()
    assert task.load() == splits
    assert [e.id for e in splits.train] == ["train/0"]
    assert [e.group for e in splits.dev] == ["v/v"]
    (example,) = splits.test
    assert task.target(example) == "Add up the prices of all rows."
    assert example.data["code"] == "def total(self, rows):\n    return sum(row.price for row in rows)"
    assert task.score(example, task.target(example)) == 1.0


def test_the_twin() -> None:
    assert CodeSummary.hub_twin is CodeSearchNet
    assert CodeSearchNet.hub_twin is None
    assert CodeSearchNet.sizes is None
