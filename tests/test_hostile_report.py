"""Results that hold markup, notation and control characters: the report shows them as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin
from rich.console import Console
from typer.testing import CliRunner

from harness import display
from harness.cli import app
from harness.errors import ResultError
from harness.report import readme_block, render, reproduce, update_readme
from harness.report.page import BEGIN, END
from harness.result import SCHEMA_VERSION, Result, _checksum
from harness.store import Store
from harness.text import printable
from harness.typed import DEEPEST
from harness.vetting import PICKLE, REMOTE_CODE
from tests import synthetic

PLAIN = "two words"
EVIL = {
    "pipe": "a | b || c",
    "code": "`a` ``b`` ```",
    "fence": "```\nrm -rf ~\n```",
    "tilde fence": "~~~\nx\n~~~",
    "link": "[x](javascript:alert(1)) ![x](http://x.y/z.png)",
    "reference": "[x]: http://x.y\n\n[x]",
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "closing": "</td></tr></table></code></pre><h1>x</h1>",
    "comment": "<!-- x --> --> <!--",
    "marker": f"{END}\n{BEGIN}",
    "entity": "&lt;b&gt; &#60;i&#62; &amp;amp;",
    "heading": "# x\n## y\nz\n===",
    "rule": "---\n***\n___",
    "list": "- x\n1. y\n> z\n+ w",
    "emphasis": "*a* **b** _c_ __d__ ~~e~~",
    "footnote": "[^1] ^[x]\n[^1]: y",
    "mention": "@somebody #1 owner/name#2",
    "address": "http://x.y https://x.y www.x.y <http://x.y> ftp://x.y mailto:a@x.y a@x.y x.y.com //x.y",
    "mathematics": "$x$ $$y$$ $\\frac{ \\(z\\) \\[w\\]",
    "unclosed": "$\\frac{1}{",
    "template": "{{ 7 * 7 }} {% include 'x' %} {# y #}",
    "rich": "[red]x[/] [link=http://x.y]z[/link] [/] :warning:",
    "escapes": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://x.y\x1b\\ \x9b2J \x00 \x08 \x7f",
    "directions": "\u202egpj.exe\u202c \u2066x\u2069 \u200b \u200d \ufeff \u2028 \u00ad",
    "surrogate": "\ud800 \udfff",
    "long": "a|" * 10_000,
    "backslashes": "\\ \\\\ \\| \\` \\<b> \\",
    "columns": "| a | b |\n| --- | --- |\n| c | d |",
}

DRAWN = {
    EVIL[name]
    for name in (
        "mathematics", "unclosed", "template", "escapes", "directions", "surrogate", "long", "backslashes"
    )
}  # fmt: skip
"""What a figure's text could take for more than text, or find no room for."""

TEXTS = pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)


def everywhere(text: str) -> list[Result]:
    """Results with `text` in every place that is anybody's: names, settings, reasons, outputs, machines."""
    results = [
        replace(
            cell,
            task=f"t {text}",
            method=cell.method if cell.method == "full" else f"{cell.method} {text}",
            metric=replace(cell.metric, name=text) if cell.metric else None,
            items=tuple(replace(item, id=f"{item.id} {text}", output=text) for item in cell.items),
            baselines={f"rule {text}": 0.05},
            generation={text: text, "stop": [text]},
            identity={
                **cell.identity,
                "method_config": {text: text, "r": [text]},
                "model": {"source": text, "sha256": text, "trust": [text]},
                "budget": {"name": text, text: text},
                "recipe": {text: {text: text}},
                "data": text,
                "chat_template": text,
            },
            environment={
                **cell.environment,
                "versions": {text: text},
                **dict.fromkeys(
                    ("device_name", "machine", "precision", "platform", "commit", "sandbox"), text
                ),
            },
            phases={**cell.phases, text: next(iter(cell.phases.values()))},
        )
        for cell in synthetic.grid(tasks=("legal_license",), methods=("full", "lora-r16", "adalora"))
    ]
    return [*results, replace(synthetic.ended(results[0], "failed", text), method=f"other {text}")]


def test_the_report_repeats_the_switches() -> None:
    cell = synthetic.cell("legal_license", "full")
    cell.identity["model"]["trust"] = [PICKLE, REMOTE_CODE]
    assert "--trust-pickle --trust-remote-code" in reproduce.commands([cell], ["legal_license"], ["full"])[0]


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, str]] = []
        self.text = ""
        # As GitHub reads it: tables, strike-through, bare addresses, footnotes, HTML.
        parser = MarkdownIt("gfm-like").use(footnote_plugin)
        assert parser.linkify
        # GitHub links neither names without a protocol nor those behind two bare slashes.
        parser.linkify.set({"fuzzy_link": False}).add("//", None)
        self.feed(parser.render(markdown))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        kept = [(name, value) for name, value in attributes if name != "alt"]
        # A figure's file is named by a hash of its task, if nothing else.
        self.tags.append((tag, re.sub(r"(quality|checkpoints)-t-[\w-]+\.png", r"\1.png", str(kept))))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", data))

    def handle_data(self, data: str) -> None:
        self.text += data


def report_of(text: str, folder: Path) -> str:
    """The report of results that say this everywhere."""
    return render(everywhere(text), folder, name=text).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(report_of(PLAIN, tmp_path_factory.mktemp("plain")))


@TEXTS
def test_the_report_has_the_same_elements_whatever_results_say(
    tmp_path: Path, harmless: Page, evil: str, request: pytest.FixtureRequest
) -> None:
    if evil not in DRAWN:
        request.getfixturevalue("undrawn")
    text = report_of(evil, tmp_path)
    assert re.sub(r"\n", "", text).isprintable()
    hostile = Page(text)
    assert hostile.tags == harmless.tags
    shown = printable(evil)
    assert (shown if len(shown) < 300 else shown[:290]) in hostile.text
    assert max(map(len, text.splitlines())) < 10_000
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".png"}


def updated(readme: Path, text: str) -> Page:
    """The README with the block of results that say this everywhere."""
    update_readme(readme, readme_block(everywhere(text), folder="reports/mine"))
    return Page(readme.read_text(encoding="utf-8"))


EMPTY_README = f"# Title\n\n{BEGIN}\n{END}\n\nrest\n"


@pytest.fixture(scope="module")
def harmless_readme(tmp_path_factory: pytest.TempPathFactory) -> Page:
    readme = tmp_path_factory.mktemp("readme") / "README.md"
    readme.write_text(EMPTY_README)
    return updated(readme, PLAIN)


@TEXTS
def test_a_readme_keeps_its_elements_and_its_markers(
    tmp_path: Path, harmless_readme: Page, evil: str
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(EMPTY_README)
    first, over_hostile = updated(readme, evil), updated(readme, evil)
    assert first.tags == over_hostile.tags == harmless_readme.tags
    assert readme.read_text(encoding="utf-8").endswith(f"{END}\n\nrest\n")


@TEXTS
def test_a_terminal_shows_results_as_text(evil: str) -> None:
    shown = []
    for cell in everywhere(evil):
        stream = StringIO()
        console = Console(file=stream, force_terminal=True, emoji=False, highlight=False, soft_wrap=True)
        listener = display.Live(Console(file=StringIO()), console)
        listener.result(synthetic_cell(cell), cell, kept=True)
        listener.note(evil)
        shown.append(stream.getvalue())
    colours = re.compile(r"\x1b\[(0|2|33)m")  # the display's own: dim, yellow
    assert all(colours.sub("", text).replace("\n", "").isprintable() for text in shown)


def synthetic_cell(result: Result) -> Any:
    from harness.plan import Cell

    return Cell(task=result.task, method=result.method, seed=result.seed, skip=None, seconds=1.0)


Edit = Callable[[dict[str, Any]], object]


def edited(folder: Path, edit: Edit) -> Path:
    """A result file changed by somebody who also made its checksum right again."""
    body = json.loads(synthetic.cell("legal_license", "full").to_json())
    del body["checksum"]
    edit(body)
    path = folder / "results" / "legal_license" / "full" / "seed-0.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**body, "checksum": _checksum(body)}))
    return path


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda body: body.update(items="x"), "items is str where a list belongs"),
        (lambda body: body.update(items={}), "items is dict where a list belongs"),
        (lambda body: body["items"][3].pop("id"), r"items\[3\]\.id is missing"),
        (lambda body: body["items"][0].update(id=7), r"items\[0\]\.id is int where text belongs"),
        (lambda body: body["items"][0].update(output=None), r"items\[0\]\.output is NoneType where text"),
        (lambda body: body["items"][0].update(score=True), r"items\[0\]\.score is bool where a number"),
        (lambda body: body["items"][0].update(score=1.5), "score of item 'legal_license-0' is 1.5; it must"),
        (lambda body: body["items"][0].update(score=-1), r"items\[0\]\.score is -1; allowed: 0 to 1e\+30"),
        (lambda body: body["items"][0].update(score=float("nan")), "score is nan; allowed"),
        (lambda body: body["metric"].update(value=1e999), "metric.value is inf; allowed"),
        (lambda body: body["metric"].update(n=10**4000), "metric.n is 10{39}; allowed"),
        (lambda body: body["phases"]["train"].update(seconds=1e300), "train.seconds is 1e.300; allowed"),
        (lambda body: body["phases"]["train"].update(seconds="1"), "train.seconds is str where a number"),
        (lambda body: body["curve"][0].update(loss=nested(1)), r"curve\[0\]\.loss is list where a number"),
        (lambda body: body.update(identity=[]), "identity is list where an object belongs"),
        (lambda body: body["identity"].update(budget="x"), "identity.budget is str where an object"),
        (lambda body: body["identity"]["budget"].update(epochs="x"), "identity.budget.epochs is str where"),
        (lambda body: body["identity"].update(learning_rates=["x"]), r"rates\[0\] is str where a number"),
        (lambda body: body["identity"].update(model=nested(DEEPEST)), "identity is nested too deeply"),
        (lambda body: body["environment"].update(versions=[]), "environment.versions is list where an"),
        (lambda body: body["environment"].update(memory_bytes="x"), "environment.memory_bytes is str where"),
        (lambda body: body.update(status="evil"), "status 'evil' is not one of ok"),
        (lambda body: body.update(status=["ok"]), "status is list where text belongs"),
        (lambda body: body.update(schema_version=nested(3)), "schema_version .* is not one of 1, 2"),
        (lambda body: body.update(schema_version=SCHEMA_VERSION + 10**4000), "a newer Tuneoff wrote it"),
        (lambda body: body.pop("task"), "task is missing"),
        (lambda body: body.update(metric=nested(900)), "metric is nested too deeply"),
    ],
)  # fmt: skip
def test_an_edited_result_is_a_clear_error(tmp_path: Path, edit: Edit, message: str) -> None:
    path = edited(tmp_path, edit)
    with pytest.raises(ResultError, match=message) as caught:
        Store(tmp_path / "results").load()
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "9" * 10**6, "\x00", "null", ""])
def test_a_file_that_is_no_result_is_a_clear_error(tmp_path: Path, text: str) -> None:
    path = edited(tmp_path, lambda body: None)
    path.write_text(text)
    with pytest.raises(ResultError, match=re.escape(str(path))):
        Store(tmp_path / "results").load()


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body.update(task="../../x", method="/", seed=10**9),
        lambda body: body.update(items=[{"id": "a", "score": 1, "output": "", "truncated": False}]),
        lambda body: body["phases"]["train"].update(seconds=1e30, peak_bytes=10**30),
        lambda body: body.update(flops={"train": 1e30, "train_formula": None, "evaluate": 0}),
        lambda body: body.update(identity={}, environment={}, items=[], curve=[], phases={}, metric=None),
    ],
)
def test_strange_results_that_are_readable_are_drawn(tmp_path: Path, edit: Edit) -> None:
    edited(tmp_path, edit)
    done = CliRunner().invoke(
        app, ["report", str(tmp_path / "results"), "--reports", str(tmp_path / "report")]
    )
    assert done.exception is None, done.exception
    assert {path.parent for path in tmp_path.rglob("*.png")} <= {tmp_path / "report"}
