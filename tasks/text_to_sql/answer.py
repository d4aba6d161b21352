"""From a model's output to a verdict: the statement, its rows in a limited process, and the comparison."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import permutations

from harness.sandbox import run_function

FENCE = re.compile(r"```[ \t]*\w*\n?(.*?)(?:```|\Z)", re.DOTALL)
STATEMENT = re.compile(r"(?:'[^']*'|\"[^\"]*\"|(?!\n[ \t]*\n)[^;])*")
READS = re.compile(r"(?:select|with)\b", re.IGNORECASE)
ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
MAX_COLUMNS = 4  # up to here the order of the columns does not count

# Runs in the child. While the tables are made only their making is allowed, and while the query runs only
# reading. Steps rather than seconds end a long query, so that the verdict does not depend on the machine.
RUNNER = """
import sqlite3

READING = {20, 21, 31, 33}
MAKING = READING | {1, 2, 3, 4, 5, 18, 22, 23, 27}

def run(script, query, most=1000, steps=200):
    connection = sqlite3.connect(":memory:")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 200_000)
    left = [steps]
    def tick():
        left[0] -= 1
        return left[0] < 0
    def allow(codes):
        return lambda code, *_: sqlite3.SQLITE_OK if code in codes else sqlite3.SQLITE_DENY
    connection.set_progress_handler(tick, 10_000)
    connection.set_authorizer(allow(MAKING))
    connection.executescript(script)
    connection.commit()
    connection.set_authorizer(allow(READING))
    rows = [list(row) for row in connection.execute(query).fetchmany(most + 1)]
    if len(rows) > most:
        raise ValueError("too many rows")
    return rows
"""

Rows = Sequence[Sequence[object]]


def statement(output: str) -> str:
    """The first statement of an output, up to ";" or a blank line and out of its code fence; may be empty."""
    fenced = FENCE.search(output)
    found = STATEMENT.match((fenced[1] if fenced else output).strip())
    text = found[0].strip() if found else ""
    return text if READS.match(text) else ""


def agrees(scripts: Sequence[str], gold: str, given: str) -> bool:
    """Whether two queries return the same rows on every database; what fails or is refused does not."""
    calls = [(script, query) for script in scripts for query in (gold, given)]
    outcomes = run_function(RUNNER, "run", calls)
    return all(
        wanted.error is None
        and got.error is None
        and isinstance(wanted.value, list)
        and isinstance(got.value, list)
        and same_rows(wanted.value, got.value, ordered=bool(ORDERED.search(gold)))
        for wanted, got in zip(outcomes[::2], outcomes[1::2], strict=True)
    )


def same_rows(wanted: Rows, got: Rows, *, ordered: bool) -> bool:
    """Whether two results hold the same rows: in order if `ordered`; the columns in any order."""
    if len(wanted) != len(got) or not wanted:
        return len(wanted) == len(got)
    width = len(wanted[0])
    if len(got[0]) != width:
        return False
    orders = permutations(range(width)) if width <= MAX_COLUMNS else [tuple(range(width))]
    return any(_same(wanted, [[row[place] for place in order] for row in got], ordered) for order in orders)


def _same(wanted: Rows, got: Rows, ordered: bool) -> bool:
    if ordered:
        return all(_same_row(one, other) for one, other in zip(wanted, got, strict=True))
    left = list(got)
    for row in wanted:
        place = next((place for place, other in enumerate(left) if _same_row(row, other)), None)
        if place is None:
            return False
        del left[place]
    return True


def _same_row(one: Sequence[object], other: Sequence[object]) -> bool:
    return all(_same_value(a, b) for a, b in zip(one, other, strict=True))


def _same_value(a: object, b: object) -> bool:
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
    return a == b
