"""The examples: which schema and which shapes go to which split, and only queries that the rows bear out."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator

from harness.task import Example, Splits, digest, mixed
from tasks.text_to_sql.answer import same_rows
from tasks.text_to_sql.query import Query, mutants, twins
from tasks.text_to_sql.questions import ask
from tasks.text_to_sql.schemas import schemas, script
from tasks.text_to_sql.wordings import HELD_OUT, SHAPES

FILLINGS = (0, 1)
SEED = "text_to_sql 1"
SCHEMAS = {"test": 16, "dev": 8, "train": 42}
QUESTIONS = {"test": 25, "dev": 25, "train": 60}  # of each schema
ATTEMPTS = 6  # at one shape, of which some are seldom told apart, before another is drawn
HELD_OUT_SHARE = 0.3  # of dev and test


def build() -> Splits:
    """All examples, every split in a mixed order."""
    pools: dict[str, list[Example]] = {"test": [], "dev": [], "train": []}
    # Schemas of one table and of two are dealt alike.
    names = sorted(schemas(), key=lambda name: (len(schemas()[name]), digest(name)))
    for name, split in zip(names, _spread(len(names)), strict=True):
        pools[split] += _examples(name, split)
    return mixed(pools)


def _spread(count: int) -> Iterator[str]:
    """The split of each of `count` schemas, the shares of `SCHEMAS` kept along the way."""
    dealt = dict.fromkeys(SCHEMAS, 0)
    for place in range(1, count + 1):
        split = max(SCHEMAS, key=lambda s: place * SCHEMAS[s] / count - dealt[s])
        dealt[split] += 1
        yield split


def _examples(schema: str, split: str) -> Iterator[Example]:
    databases = []
    for filling in FILLINGS:
        databases.append(sqlite3.connect(":memory:"))
        databases[-1].executescript(script(schema, filling))
    usual = {head: [kind for kind in kinds if (head, kind) not in HELD_OUT] for head, kinds in SHAPES.items()}
    heads = [head for head, kinds in usual.items() for _ in range(1 + len(kinds) // 2)]
    seen: set[str] = set()
    draws = random.Random(f"{SEED}/{schema}")
    while len(seen) < QUESTIONS[split]:
        head, kind = draws.choice(HELD_OUT)
        if split == "train" or draws.random() > HELD_OUT_SHARE:
            head = draws.choice(heads)
            kind = draws.choice(usual[head])
        for _ in range(ATTEMPTS):
            asked = ask(head, kind, schema, draws)
            if asked is None or (sql := str(asked[1])) in seen or not _tells_apart(asked[1], databases):
                continue
            seen.add(sql)
            data = {"schema": schema, "shape": f"{head}, {kind}", "question": asked[0], "sql": sql}
            yield Example(id=f"{schema}-{len(seen):02}", group=schema, data=data)
            break
    for database in databases:
        database.close()


def _tells_apart(query: Query, databases: list[sqlite3.Connection]) -> bool:
    """Whether both fillings give rows, ties do not matter, and every mistake shows on one filling."""
    gold = [_rows(database, query) for database in databases]
    if not all(found and found[0][0] is not None for found in gold):
        return False

    def same(other: Query) -> bool:
        return all(
            same_rows(wanted or [], _rows(database, other) or [], ordered=bool(query.order))
            for wanted, database in zip(gold, databases, strict=True)
        )

    return all(map(same, twins(query))) and not any(map(same, mutants(query)))


def _rows(database: sqlite3.Connection, query: Query) -> list[list[object]] | None:
    try:
        return [list(row) for row in database.execute(str(query))]
    except sqlite3.Error:
        return None
