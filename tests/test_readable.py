"""What each task can read an answer out of, right or wrong."""

from __future__ import annotations

import pytest

from harness.errors import PluginError
from harness.prepare import readable
from harness.task import Example, Task
from tasks.arithmetic import Arithmetic
from tasks.date_normalisation import DateNormalisation
from tasks.function_completion import FunctionCompletion
from tasks.function_completion.answer import parses
from tasks.gsm_symbolic import GsmSymbolic
from tasks.json_extraction import JsonExtraction
from tasks.legal_license import LegalLicense
from tasks.text_to_sql import TextToSql
from tests.toy_task import Parity

ANY = Example(id="one", group="one", data={"prompt": 'def f(x):\n    """Twice x."""\n', "name": "f"})


@pytest.mark.parametrize(
    ("task", "wrong", "none"),
    [
        (Arithmetic(), ["41", "3 + 4 = 8\nso"], ["", "seven", "seven\n7"]),
        (DateNormalisation(), ["2020-02-31", "on 1999-01-02."], ["", "2 January 1999", "none\n1999-01-02"]),
        (GsmSymbolic(), ["It is 3.\n#### 3", "So 12 apples"], ["", "#### none", "So twelve apples"]),
        (JsonExtraction(), ['{"a": 1}', 'Here: {"a": 1} so'], ["", '{"a": 1', "[1]", "a: 1"]),
        (TextToSql(), ["SELECT 1", "```sql\nselect * from t;\n```"], ["", "The answer is 3", "DROP TABLE t"]),
        (FunctionCompletion(), ["    return 2 * x", "def f(x):\n    return x + 1"], ["", "    return (2 *"]),
        (LegalLicense(), ["permissive", "whatever"], ["", " \n"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_wrong_answers_are_readable_and_others_are_not(task: Task, wrong: list[str], none: list[str]) -> None:
    assert [text for text in wrong if not task.readable(ANY, text)] == []
    assert [text for text in none if task.readable(ANY, text)] == []


def test_a_task_has_to_say_yes_or_no() -> None:
    class Vague(Parity):
        def readable(self, example: Example, output: str) -> bool:
            return None  # type: ignore[return-value]

    with pytest.raises(PluginError, match=r"'parity': readable\(\) returned None for 'one', not a bool"):
        readable(Vague(), ANY, "even")


@pytest.mark.parametrize("source", ["x = " + "(" * 9999, "x = " + "-" * 99_999 + "1", "\0", "", None])
def test_what_the_parser_chokes_on_is_no_program(source: str | None) -> None:
    assert not parses(source)


def test_the_parser_warns_of_nothing() -> None:
    assert parses("x = '\\d' is 'd'")
