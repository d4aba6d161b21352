"""`check` and `baseline` as a user types them: exit codes, files, and what hostile results do to them."""

import json
import os
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness import baseline, history
from harness.cli import app
from harness.regression import Side, compare, outcome
from harness.report import accepted as shown
from harness.report import verdicts as report
from harness.store import Store
from harness.text import printable
from tests import synthetic
from tests.test_hostile_report import PLAIN, TEXTS, Page, everywhere

SNAPSHOT = Path(__file__).parent / "snapshots" / "check.md"
TASKS, METHODS = ("legal_license", "iso_dates"), ("zero-shot", "full", "lora-r16")


def grid(seeds=3):
    return [
        synthetic.cell(task, method, seed) for task in TASKS for method in METHODS for seed in range(seeds)
    ]


def worse(results, method, share):
    """The same results with this share of the method's right answers lost."""
    found = []
    for one in results:
        if one.method == method:
            items = tuple(
                replace(item, score=0.0 if at % 100 < 100 * share else item.score)
                for at, item in enumerate(one.items)
            )
            one = replace(one, items=items)
        found.append(one)
    return found


def write(folder, results):
    for one in results:
        Store(folder).write(one)
    return folder


def check(*arguments):
    done = CliRunner().invoke(app, ["check", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture
def base(tmp_path):
    return write(tmp_path / "base", grid())


def test_exit_code_0_when_nothing_changed(base):
    done = check("--baseline", base, "--candidate", base, "--strict")
    assert done.exit_code == 0
    assert done.output.startswith("pass: no cell")


def test_exit_code_1_when_a_method_lost_much(base, tmp_path):
    bad = write(tmp_path / "bad", worse(grid(), "lora-r16", 0.4))
    done = check("--baseline", base, "--candidate", bad)
    assert done.exit_code == 1
    assert "regression: something got worse" in done.output


def test_exit_code_3_when_a_cell_failed_and_when_nothing_compares(base, tmp_path):
    failed = write(
        tmp_path / "failed",
        [*grid(), synthetic.ended(synthetic.cell("iso_dates", "full"), "oom", "no memory")],
    )
    assert check("--baseline", base, "--candidate", failed).exit_code == 3
    other = grid()
    for one in other:
        one.identity["task_hash"] = "other"
    done = check("--baseline", base, "--candidate", write(tmp_path / "other", other))
    assert done.exit_code == 3
    assert "task_hash" in done.output


def test_exit_code_4_only_when_strict(base, tmp_path):
    others = [
        replace(synthetic.cell(task, method, seed + 9))
        for task in TASKS
        for method in METHODS
        for seed in range(3)
    ]
    folder = write(tmp_path / "others", others)
    assert check("--baseline", base, "--candidate", folder).exit_code == 0
    done = check("--baseline", base, "--candidate", folder, "--strict")
    assert done.exit_code == 4
    assert done.output.startswith("inconclusive: nothing is shown")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the results to check with --candidate"),
        (["--candidate", "BASE", "--tasks", "kinship"], "say what --interleave runs"),
        (["--candidate", "nowhere"], "neither a baseline nor results in results/baseline"),
        (["--baseline", "BASE", "--candidate", "nowhere"], "neither a baseline nor results in nowhere"),
        (
            ["--baseline", "BASE", "--candidate", "BASE", "--margin", "0"],
            "a margin of 0 points; it must be above 0 and below 100",
        ),
        (["--baseline", "BASE", "--candidate", "BASE", "--margin", "200"], "a margin of 200 points"),
        (["--baseline", "BASE", "--candidate", "BASE", "--markdown", "BASE"], "cannot write BASE"),
        (
            ["--interleave", "nowhere", "--tasks", "legal_license"],
            "the baseline's checkout nowhere is no folder",
        ),
        (["--interleave", ".", "--tasks", "legl_license"], "did you mean 'legal_license'?"),
        (["--interleave", ".", "--tasks", "legal_license", "--candidate", "BASE"], "BASE is not empty"),
    ],
)
def test_exit_code_2_and_one_clear_line_for_bad_usage(base, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    base.rename("BASE")
    from harness import cli

    monkeypatch.setattr("sys.argv", ["harness", "check", *arguments])
    errors = StringIO()
    monkeypatch.setattr(cli, "err", Console(file=errors, soft_wrap=True))
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert message in errors.getvalue()
    assert len(errors.getvalue().strip().splitlines()) == 1


def test_all_files_are_written_and_say_the_same(base, tmp_path):
    bad = write(tmp_path / "bad", worse(grid(), "lora-r16", 0.4))
    files = {kind: tmp_path / f"check.{kind}" for kind in ("markdown", "json", "junit")}
    options = [part for kind, path in files.items() for part in (f"--{kind}", path)]
    assert check("--baseline", base, "--candidate", bad, *options).exit_code == 1
    body = json.loads(files["json"].read_text())
    assert (body["verdict"], body["exit_code"]) == ("regression", 1)
    called = {(one["level"], one["method"]) for one in body["qualities"] if one["verdict"] == "regression"}
    assert ("method", "lora-r16") in called
    assert ("method", "full") not in called
    suite = ElementTree.parse(files["junit"]).getroot().find("testsuite")
    cases = suite.findall("testcase")
    assert len(cases) == int(suite.get("tests")) == len(body["qualities"]) + len(body["costs"])
    failures = [case.get("name") for case in cases if case.find("failure") is not None]
    assert len(failures) == int(suite.get("failures"))
    assert "lora-r16: 2 cells" in failures
    assert "### Tuneoff: regression" in files["markdown"].read_text()


def test_json_may_go_to_standard_output_alone(base):
    done = check("--baseline", base, "--candidate", base, "--json", "-")
    assert json.loads(done.output)["verdict"] == "pass"


def mixed():
    """A check with every verdict: one method worse, one cell gone, one failed, one of another budget."""
    before = [outcome(one) for one in grid()]
    after = [outcome(one) for one in worse(grid(), "lora-r16", 0.4)]
    other = [
        outcome(synthetic.cell("function_completion", method, seed))
        for method in METHODS
        for seed in range(3)
    ]
    before += other
    after += [
        replace(one, identity={**one.identity, "task_hash": "changed"})
        if one.method == "full"
        else replace(one, status="failed", reason="OSError: disk full", scores={})
        for one in other
        if one.method != "zero-shot"
    ]
    after = [
        replace(one, costs={**one.costs, "peak_bytes": 9e9}) if one.method == "full" else one for one in after
    ]
    return compare(
        Side(name="results/baseline", outcomes=tuple(before)), Side(name="mine", outcomes=tuple(after))
    )


def test_markdown_snapshot():
    text = report.to_markdown(mixed(), report.command("results/baseline", "mine", margin=2.0, strict=False))
    if os.environ.get("TUNEOFF_UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8"), "intended? then run with TUNEOFF_UPDATE_SNAPSHOTS=1"


def test_an_interleaved_check_is_reproduced_interleaved():
    options = ["--interleave", "../old", "--tasks", "kinship"]
    said = report.command("a", "b c", margin=2.0, strict=True, interleaving=options)
    assert said == (
        "python -m harness check --baseline a --candidate 'b c' --interleave ../old --tasks kinship "
        "--margin 2 --strict"
    )


def test_the_worst_comes_first_and_the_comment_is_short():
    text = report.to_markdown(mixed(), "x")
    rows = [line.split(" | ")[1] for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert rows[1] == "regression"
    assert len(text.splitlines()) < 60


def test_strict_makes_junit_fail_where_nothing_is_shown():
    before = Side(name="a", outcomes=tuple(outcome(one) for one in grid()))
    others = [
        synthetic.cell(task, method, seed) for task in TASKS for method in METHODS for seed in (7, 8, 9)
    ]
    found = compare(before, Side(name="b", outcomes=tuple(map(outcome, others))))
    lenient, strict = (
        ElementTree.fromstring(report.to_junit(found, strict=strict)) for strict in (False, True)
    )
    assert lenient.find("testsuite").get("failures") == "0"
    assert int(strict.find("testsuite").get("failures")) > 0


def hostile(text):
    """A check of which every name, path and reason is this text."""
    results = [outcome(one) for one in everywhere(text)]
    after = [
        replace(one, identity={**one.identity, "task_hash": text, "versions": {text: text}})
        if one.method == "full"
        else replace(one, identity={**one.identity, "versions": {text: f"{text}2"}})
        for one in results
    ]
    after = [replace(one, costs={**one.costs, "peak_bytes": 9e12}) for one in after]
    return compare(Side(name=text, outcomes=tuple(results)), Side(name=text, outcomes=tuple(after)))


@TEXTS
def test_a_comment_has_the_same_elements_whatever_results_say(evil):
    texts = [
        report.to_markdown(hostile(text), report.command(text, text, margin=2, strict=False))
        for text in (evil, PLAIN)
    ]
    assert re.sub(r"\n", "", texts[0]).isprintable()
    assert Page(texts[0]).tags == Page(texts[1]).tags
    assert max(map(len, texts[0].splitlines())) < 10_000


@TEXTS
def test_junit_and_json_stay_readable_whatever_results_say(evil):
    found = hostile(evil)
    root = ElementTree.fromstring(report.to_junit(found, strict=False))
    plain = ElementTree.fromstring(report.to_junit(hostile(PLAIN), strict=False))
    assert [one.tag for one in root.iter()] == [one.tag for one in plain.iter()]
    assert printable(evil)[:100] in " ".join(case.get("name") for case in root.iter("testcase"))
    assert json.loads(report.to_json(found, strict=False))["candidate"] == evil


@TEXTS
def test_a_terminal_shows_checks_and_history_as_text(evil):
    stream = StringIO()
    console = Console(file=stream, force_terminal=True, emoji=False, highlight=False, width=200)
    found = hostile(evil)
    report.to_terminal(found, console)
    line = history.entry(
        [outcome(one) for one in everywhere(evil)],
        kind="accept",
        when=evil,
        commit=evil,
        who=evil,
        reason=evil,
    )
    shown.show_history([line], console)
    about = baseline.Accepted(
        who=evil, when=evil, commit=evil, versions={evil: evil}, source=evil, reason=evil
    )
    shown.show_baseline(
        baseline.Baseline(accepted=about, outcomes=tuple(map(outcome, everywhere(evil)))), console
    )
    text = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert text.replace("\n", "").isprintable()


def test_accept_show_diff_history(base, tmp_path):
    folder, lines = tmp_path / "accepted", tmp_path / "history.jsonl"
    runner = CliRunner()

    def run(*arguments):
        done = runner.invoke(app, ["baseline", *map(str, arguments)])
        assert done.exception is None, done.exception
        assert done.exit_code == 0
        return done.output

    before = sorted(path.read_bytes() for path in base.rglob("*.json"))
    assert "18 cells accepted" in run(
        "accept", base, "--reason", "start", "--folder", folder, "--history", lines
    )
    assert check("--baseline", folder, "--candidate", base, "--history", lines).exit_code == 0
    kept = (folder / "baseline.json").read_bytes()
    assert [one.kind for one in history.read(lines)] == ["accept", "check"]
    assert history.read(lines)[1].verdict == "pass"
    text = run("show", folder)
    assert "start" in text
    assert "lora-r16" in text
    worse_one = write(tmp_path / "bad", worse(grid(), "lora-r16", 0.4))
    assert "regression" in run("diff", worse_one, "--folder", folder)
    assert "start" in run("history", lines)
    # Nothing but accept writes a baseline, and nothing touches results.
    assert (folder / "baseline.json").read_bytes() == kept
    assert sorted(path.read_bytes() for path in base.rglob("*.json")) == before
