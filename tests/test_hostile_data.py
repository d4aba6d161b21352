"""Data files from somebody who means harm: named with their line, or carried to the result as plain text."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import PluginError, UsageError
from harness.prepare import check_names
from harness.records import MAX_LINE
from harness.result import Item, Result
from harness.store import Store
from harness.task import Task
from harness.text import printable, terminal
from harness.userdata import task_from_file
from tests import synthetic

ESCAPES = "\x1b]0;title\x07 \x1b[2J \x1b[31m \x9b31m \x00 \x7f \r \u202e \u200b \u2028"
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)")


def rows(count: int = 60) -> list[str]:
    return [json.dumps({"prompt": f"What is {n} + 1?", "completion": str(n + 1)}) for n in range(count)]


def write(folder: Path, lines: list[str], name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        task_from_file(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a", "label": ' + "[" * 10**5 + "]" * 10**5 + "}", "is nested too deeply"),
        ('{"more": ' * 10**4 + "1" + "}" * 10**4, "is nested too deeply"),
        ('{"text": "a", "label": ' + "7" * 4301 + "}", "holds an integer with too many digits"),
        ('{"text": "a", "label": 1e999}', "'label' is a number"),
        ('{"text": "a", "label": NaN}', "'label' is a number"),
        ('{"text": "a", "label": -Infinity}', "'label' is a number"),
        ('{"prompt": "a", "completion": "\\ud800"}', "'completion' holds half of a surrogate pair"),
        ('{"prompt": "a", "completion": "b", "id": "\\udfff"}', "'id' holds half of a surrogate pair"),
        ('{"prompt": "a", "completion": "b", "group": "\\ud800"}', "'group' holds half of a surrogate pair"),
        ('{"prompt": "a", "completion": "b", "group": {"a": "b"}}', "'group' is an object"),
        ('{"\\ud800\\u001b[2J": "a"}', r"has the keys '\ud800\x1b[2J'"),
        ('{"messages": [{"role": "\\u001b]0;x\\u0007", "content": "a"}]}', r"'role' is '\x1b]0;x\x07'"),
        ('{"prompt": "a\x1b[2J", "completion": "b"}', "is not JSON: Invalid control character"),
        ("\x00", "is not JSON"),
        ("\ufeff{}", "is not JSON"),
    ],
    ids=lambda text: ascii(text[:30]),
)  # fmt: skip
def test_a_hostile_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    text = refused(write(tmp_path, [*rows(2), line, *rows()[2:]]))
    assert f"data.jsonl, line 3: {message}" in text
    assert text.isprintable()


def test_a_line_without_end_is_never_held_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path, rows())
    with path.open("ab") as stream:
        stream.write(b'\n{"prompt": "')
        for _ in range(100):
            stream.write(b"a" * 1_000_000)
    tracemalloc.start()
    try:
        assert "line 61: is longer than 1,000,000 bytes" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_LINE
    finally:
        tracemalloc.stop()


def hostile_task(folder: Path) -> Task:
    """Texts that harm where somebody else would interpret them, in every field."""
    texts = [ESCAPES, "../../../etc/passwd", "/", "C:\\", "..", "a" * 5000, "<script>x</script>", *FORMULAS]
    lines = [
        json.dumps(
            {
                "prompt": f"{n} {text}",
                "completion": f"{text} {n}",
                "id": f"{text} {n}",
                "group": f"{text} {n}",
            }
        )
        for n in range(10)
        for text in texts
    ]
    return task_from_file(str(write(folder, lines)))


def test_hostile_fields_are_plain_text(tmp_path: Path) -> None:
    """Carried through a result file and back; what they name is not touched."""
    task = hostile_task(tmp_path)
    examples = task.load().test
    items = tuple(
        Item(id=one.id, score=task.score(one, task.target(one)), output=task.target(one), truncated=False)
        for one in examples
    )
    assert {item.score for item in items} == {1.0}
    cell = synthetic.cell(task.name, "full")
    store = Store(tmp_path / "results")
    store.write(
        Result(**{**{name: getattr(cell, name) for name in cell.__dataclass_fields__}, "items": items})
    )
    assert [path.relative_to(tmp_path).as_posix() for path in store.paths()] == [
        "results/data/full/seed-0.json"
    ]
    assert store.load()[0].items == items
    text = next(store.paths()).read_bytes()
    assert not set(text) & {*range(10), *range(11, 32), *range(127, 256)}  # JSON escapes all of these


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("..", "data"),
        ("\x1b[2J", "2j"),
        ("a\nb", "a_b"),
        ("-rf", "rf"),
        ("[red]", "red"),
        ("$(touch x)", "touch_x"),
        ("C:", "c"),
        ("\u202egpj", "gpj"),
        ("\u33c2" * 80, None),
    ],
    ids=ascii,
)
def test_names_of_files_become_harmless(tmp_path: Path, stem: str, name: str | None) -> None:
    task = task_from_file(str(write(tmp_path, rows(), f"{stem}.jsonl")))
    assert task.name.isidentifier()
    assert len(task.name) <= 100
    assert name is None or task.name in (name, f"data_{name}")
    check_names([task.name], "tasks")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/", "a\\b", " ", "a\nb", "a\0b"], ids=ascii)
def test_names_that_leave_the_results_folder_are_refused(name: str) -> None:
    with pytest.raises(PluginError, match="which no folder of results can be"):
        check_names([name], "tasks")


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = write(tmp_path, rows())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert sum(len(examples) for _, examples in task_from_file(str(path)).load().items()) == 60


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_data_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.jsonl")
    assert "cannot be read: no regular file" in refused(tmp_path / "data.jsonl")


@pytest.mark.parametrize(
    "text", [ESCAPES, "[red]x[/] [link=http://x.y]z[/link] [/]", ":warning: \\x", "a\tb"]
)
def test_a_terminal_shows_text_as_it_is(text: str) -> None:
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    Console(file=stream, force_terminal=True, emoji=False, highlight=False, soft_wrap=True).print(
        terminal(text)
    )
    shown = stream.getvalue().removesuffix("\n")
    assert shown.isprintable()
    assert printable(shown) == printable(text)


def test_the_command_line_shows_names_as_text(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J [red] :warning: \u202e.jsonl"
    path.write_text("oops\n" * 20)
    done = CliRunner().invoke(app, ["validate", str(path)], catch_exceptions=True)
    assert isinstance(done.exception, UsageError)
    assert terminal(done.exception).count("\n") == 11  # the list of faults stays a list
    assert "\x1b" not in terminal(done.exception)
