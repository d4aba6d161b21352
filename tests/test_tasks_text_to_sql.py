from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

import pytest

from harness.sandbox import run_function
from harness.task import Example, Splits, task_hash
from tasks import text_to_sql
from tasks.text_to_sql import Gretel, TextToSql
from tasks.text_to_sql.answer import RUNNER, same_rows, statement
from tasks.text_to_sql.generator import FILLINGS
from tasks.text_to_sql.query import Clause, Query, mutants
from tasks.text_to_sql.schemas import schemas, script
from tasks.text_to_sql.wordings import HELD_OUT, SHAPES
from tests.conftest import Pool

HASH = "d84ab21c04b250a42a11c481b50033c022f16654e7258db5e01be6e14b8f5cbb"
# Of the fillings, which `task_hash` does not see.
ROWS_HASH = "45cab9e910984bdfd159ff42c18deed706186a8d3d08ec7cc9094856acc69b1c"


@pytest.fixture(scope="module")
def task() -> TextToSql:
    return TextToSql()


@pytest.fixture(scope="module")
def splits(task: TextToSql, pool: Pool) -> Splits:
    return pool(task.name)[1]


@pytest.fixture(scope="module")
def example(splits: Splits) -> Example:
    data = {
        "schema": "pets",
        "shape": "list, compare",
        "question": "List the name of the pets with age above 5.",
        "sql": "SELECT name FROM pets WHERE age > 5",
    }
    return replace(splits.test[0], data=data)


def test_sizes_and_schemas(splits: Splits) -> None:
    assert {name: len(examples) for name, examples in splits.items()} == {
        "train": 2520,
        "dev": 200,
        "test": 400,
    }
    groups = {name: {e.group for e in examples} for name, examples in splits.items()}
    assert {name: len(of) for name, of in groups.items()} == {"train": 42, "dev": 8, "test": 16}
    assert set.union(*groups.values()) == set(schemas())
    for of in groups.values():
        assert 0.3 < mean(len(schemas()[name]) > 1 for name in of) < 0.5


def test_hash_is_pinned(task: TextToSql, splits: Splits) -> None:
    assert task_hash(task, splits) == HASH
    scripts = "".join(script(name, filling) for name in sorted(schemas()) for filling in FILLINGS)
    assert hashlib.sha256(scripts.encode()).hexdigest() == ROWS_HASH


def test_order_is_mixed(splits: Splits) -> None:
    assert len({e.group for e in splits.test[:50]}) >= 13
    assert len({e.group for e in splits.dev[:50]}) == 8
    assert len({e.data["shape"] for e in splits.test[:50]}) > 25


def test_held_out_shapes_are_not_trained(splits: Splits) -> None:
    held = {f"{head}, {kind}" for head, kind in HELD_OUT}
    assert all(kind in SHAPES[head] for head, kind in HELD_OUT)
    train, dev, test = (Counter(e.data["shape"] for e in of) for _, of in splits.items())
    assert not held & set(train)
    assert held <= set(test)
    assert set(test) - held <= set(train)
    for counts in (dev, test):
        assert 0.2 < sum(counts[shape] for shape in held) / counts.total() < 0.35


def test_no_shape_dominates(splits: Splits) -> None:
    for _, examples in splits.items():
        counts = Counter(e.data["shape"] for e in examples)
        assert max(counts.values()) / counts.total() < 0.08
    assert {e.data["shape"].partition(",")[0] for e in splits.train} == set(SHAPES)


def test_prompts(task: TextToSql, splits: Splits) -> None:
    prompts = [task.prompt(e) for _, examples in splits.items() for e in examples]
    assert len({re.sub(r"\W+", " ", prompt.lower()) for prompt in prompts}) == len(prompts)
    assert median(map(len, prompts)) < 180
    assert max(map(len, prompts)) < 320
    for prompt in prompts:
        assert prompt.endswith("\nSQL:")
        assert not re.search(r"SELECT|\{|  ", prompt)


def test_targets_are_one_short_line(task: TextToSql, splits: Splits) -> None:
    targets = [task.target(e) for _, examples in splits.items() for e in examples]
    assert median(map(len, targets)) < 70
    assert max(map(len, targets)) < 160
    for target in targets:
        assert statement(target) == target
        assert "\n" not in target


def test_gold_scores_one_and_empty_scores_zero(task: TextToSql, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, task.target(example)) == 1.0
            assert task.score(example, "") == 0.0


def test_gold_scores_one_when_it_is_run(task: TextToSql, splits: Splits) -> None:
    for example in splits.test[:60]:
        assert task.score(example, f" {task.target(example).replace('SELECT ', 'select  ')} ;") == 1.0


def test_gold_has_rows_on_both_fillings(splits: Splits) -> None:
    for example in splits.test:
        for filling in FILLINGS:
            database = sqlite3.connect(":memory:")
            database.executescript(script(example.data["schema"], filling))
            rows = database.execute(example.data["sql"]).fetchall()
            database.close()
            assert rows
            assert None not in rows[0]


@pytest.mark.usefixtures("unboxed")
def test_naive_is_rarely_right(task: TextToSql, splits: Splits) -> None:
    # On the reference run's items `test_reference` holds the score to the stored one.
    assert mean(task.score(e, task.naive(e)) for e in splits.test[::4]) < 0.02


def test_no_query_of_another_item_is_right(task: TextToSql, splits: Splits) -> None:
    by_schema = sorted(
        (e for e in splits.test if e.group in {"employees", "flats", "ships"}), key=lambda e: e.id
    )
    wrong = sum(task.score(one, other.data["sql"]) for one, other in pairwise(by_schema))
    assert len(by_schema) >= 25
    assert wrong == 0.0


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("SELECT name FROM pets WHERE age > 5", 1.0),
        ("select pets.name from pets where not age <= 5 order by id desc;", 1.0),
        (" SELECT name\nFROM pets\nWHERE age > 5\n\nThis lists the pets.", 1.0),
        ("```sql\nSELECT name FROM pets WHERE age > 5;\n```", 1.0),
        ("Here it is:\n```\nSELECT name FROM pets WHERE age > 5", 1.0),
        ("SELECT name FROM pets WHERE age > 5 AND name <> 'a;b'", 1.0),
        ("WITH old AS (SELECT * FROM pets WHERE age > 5) SELECT name FROM old", 1.0),
        ("SELECT name FROM pets WHERE age > 5; DROP TABLE pets", 1.0),
        ("SELECT name FROM pets WHERE age >= 5", 0.0),
        ("SELECT name FROM pets WHERE weight > 5", 0.0),
        ("SELECT name, age FROM pets WHERE age > 5", 0.0),
        ("SELECT name FROM pets", 0.0),
        ("SELECT name FROM pets WHERE age > 5 LIMIT 3", 0.0),
        ("SELECT name FROM dogs WHERE age > 5", 0.0),
        ("SELECT name FROM pets WHERE", 0.0),
        ("The answer is SELECT", 0.0),
        ("DELETE FROM pets", 0.0),
        ("\ud800 SELECT", 0.0),
        ("   \n", 0.0),
    ],
)
def test_score(task: TextToSql, example: Example, output: str, score: float) -> None:
    assert task.score(example, output) == score


def test_order_counts_where_the_gold_query_sorts(task: TextToSql, example: Example) -> None:
    data = {**example.data, "sql": "SELECT name, weight FROM pets ORDER BY weight"}
    example = replace(example, data=data)
    assert task.score(example, "SELECT weight, name FROM pets ORDER BY weight ASC") == 1.0
    assert task.score(example, "SELECT name, weight FROM pets") == 0.0
    assert task.score(example, "SELECT name, weight FROM pets ORDER BY weight DESC") == 0.0


@pytest.mark.parametrize(
    ("wanted", "got", "ordered", "same"),
    [
        ([[1], [2]], [[2], [1]], False, True),
        ([[1], [2]], [[2], [1]], True, False),
        ([[1], [1], [2]], [[1], [2], [2]], False, False),
        ([["a", 1]], [[1, "a"]], False, True),
        ([["a", 1], ["b", 2]], [[1, "a"], ["b", 2]], False, False),
        ([[0.1 + 0.2]], [[0.3]], False, True),
        ([[3]], [[3.0]], False, True),
        ([[3]], [["3"]], False, False),
        ([[3]], [[None]], False, False),
        ([[1, 2]], [[1, 2, 3]], False, False),
        ([[1]], [], False, False),
        ([], [], False, True),
    ],
)
def test_same_rows(wanted: list[list[object]], got: list[list[object]], ordered: bool, same: bool) -> None:
    assert same_rows(wanted, got, ordered=ordered) is same


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO t VALUES (2)",
        "DROP TABLE t",
        "ATTACH DATABASE 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA table_info(t)",
        "CREATE TABLE u(x)",
        "SELECT load_extension('x')",
        "SELECT hex(zeroblob(1000000000))",
        "SELECT 1; SELECT 2",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
    ],
)
def test_the_runner_refuses_all_but_short_reading(query: str) -> None:
    read = "SELECT x FROM t"
    made = "CREATE TABLE t(x INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);"
    refused, fine = run_function(RUNNER, "run", [(made, query), (made, read)])
    assert refused.error is not None
    assert "timed out" not in refused.error
    assert fine.value == [[1]]


@pytest.mark.parametrize(
    "text", ["ATTACH DATABASE 'x.db' AS x;", "PRAGMA journal_mode=WAL;", "CREATE TABLE ("]
)
def test_the_runner_refuses_other_set_ups(text: str) -> None:
    (outcome,) = run_function(RUNNER, "run", [(text, "SELECT 1")])
    assert outcome.error is not None


def test_mutants_of_a_query() -> None:
    table = schemas()["pets"][0]
    clause = Clause(column="age", operator=">", values=("5",))
    found = {str(query) for query in mutants(Query(table=table, select=("AVG(weight)",), where=(clause,)))}
    assert "SELECT AVG(weight) FROM pets" in found
    assert "SELECT AVG(age) FROM pets WHERE age > 5" in found
    assert "SELECT MAX(weight) FROM pets WHERE age > 5" in found
    assert "SELECT AVG(weight) FROM pets WHERE age >= 5" in found
    assert "SELECT AVG(weight) FROM pets WHERE weight > 5" in found
    assert "SELECT AVG(weight) FROM pets WHERE age > 5" not in found


def hub_folder(folder: Path) -> Path:
    """A data set as the hub lays it out: a card that names the files of each split, and parquet."""
    from datasets import Dataset

    shop = "CREATE TABLE shop (id INT, name TEXT); INSERT INTO shop VALUES (1, 'A'), (2, 'B');"
    farm = "CREATE TABLE farm (id INT, size REAL); INSERT INTO farm VALUES (1, 2.5);"
    barn = "CREATE TABLE barn (id INT); INSERT INTO barn (id) VALUES (7);"
    rows = {
        "train": [
            ("Which shops are there?", shop, "SELECT name FROM shop;"),
            ("How large is farm 1?", farm, "SELECT size\nFROM farm WHERE id = 1;"),
            ("Sum of farm sizes?", farm, "SELECT SUM(size) FROM farm;"),
            ("Sum of farm sizes?", farm, "SELECT SUM(size) FROM farm;"),
            ("Which barns are there?", barn, "SELECT id FROM barn;"),
            ("Barn of today?", barn, "SELECT date('now') FROM barn;"),
            ("Barn nine?", barn, "SELECT id FROM barn WHERE id = 9;"),
            ("Remove the barns.", barn, "DELETE FROM barn;"),
            ("Wrong dialect?", barn, "SELECT EXTRACT(YEAR FROM id) FROM barn;"),
            ("No table?", "INSERT INTO x VALUES (1);", "SELECT 1"),
        ],
        "test": [("How many shops?", shop, "SELECT COUNT(*) FROM shop;")],
    }
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n"
    for split, items in rows.items():
        file = f"synthetic_text_to_sql_{split}.snappy.parquet"
        card += f"  - split: {split}\n    path: {file}\n"
        columns = {
            name: [item[place] for item in items]
            for place, name in enumerate(("sql_prompt", "sql_context", "sql"))
        }
        Dataset.from_dict({"id": list(range(len(items))), **columns}).to_parquet(str(folder / file))
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
def test_gretel_reads_a_folder_in_the_hubs_format(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(text_to_sql, "GRETEL_SIZES", {"test": 10, "dev": 1, "train": 10})
    task = Gretel(str(hub_folder(tmp_path)))
    splits = task.load()
    assert task.load() == splits
    assert [task.target(e) for e in splits.test] == ["SELECT COUNT(*) FROM shop"]
    rest = {task.target(e) for e in (*splits.dev, *splits.train)}
    assert rest <= {
        "SELECT size FROM farm WHERE id = 1",
        "SELECT SUM(size) FROM farm",
        "SELECT id FROM barn",
    }
    assert not {e.group for e in splits.dev} & {e.group for e in splits.train}
    for _, examples in splits.items():
        for example in examples:
            assert task.prompt(example).startswith("CREATE TABLE")
            assert "INSERT" not in task.prompt(example)
            assert task.score(example, task.target(example)) == 1.0
            assert task.score(example, task.target(example).lower() + ";") == 1.0
            assert task.score(example, "SELECT 12345") == 0.0
            assert task.score(example, "") == 0.0


def test_gretel_is_the_twin() -> None:
    assert TextToSql.hub_twin is Gretel
    assert len(text_to_sql.GRETEL_REVISION) == 40
