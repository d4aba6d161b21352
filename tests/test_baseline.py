"""Baselines: what is kept, who may change it, and what happens to a file that somebody edited."""

import json
import os
import stat
from pathlib import Path

import pytest

from harness import baseline, history
from harness.errors import ResultError, UsageError
from harness.regression import compare, read_results
from harness.store import Store
from tests import synthetic

REASON = "the first one"


@pytest.fixture
def results(tmp_path):
    for one in synthetic.grid(tasks=("legal_license", "iso_dates"), methods=("full", "lora-r16"), seeds=2):
        Store(tmp_path / "results").write(one)
    return tmp_path / "results"


def test_what_is_accepted_is_what_is_read(results, tmp_path):
    written = baseline.accept(results, tmp_path / "base", REASON)
    read = baseline.read(tmp_path / "base")
    assert read == written
    assert read.accepted.reason == REASON
    assert read.accepted.source == results.as_posix()
    assert read.accepted.who
    assert read.accepted.versions["python"]
    assert read.side("x").outcomes == read_results(results).outcomes
    assert compare(read.side("x"), read_results(results)).exit_code(strict=True) == 0


def test_it_is_small_and_holds_no_outputs(results, tmp_path):
    baseline.accept(results, tmp_path / "base", REASON)
    text = (tmp_path / "base" / "baseline.json").read_text(encoding="utf-8")
    whole = sum(path.stat().st_size for path in results.rglob("*.json"))
    assert '"output"' not in text
    assert '"curve"' not in text
    assert len(text) < whole / 8
    assert len(text.splitlines()) == 2 + 8 + 2  # a line a cell


def test_accepting_again_replaces_it_whole_and_leaves_nothing_behind(results, tmp_path):
    for reason in ("one", "two"):
        baseline.accept(results, tmp_path / "base", reason)
    assert baseline.read(tmp_path / "base").accepted.reason == "two"
    assert [path.name for path in (tmp_path / "base").iterdir()] == ["baseline.json"]


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 501])
def test_a_reason_is_needed(results, tmp_path, reason):
    with pytest.raises(UsageError, match="--reason must say why"):
        baseline.accept(results, tmp_path / "base", reason)
    assert not (tmp_path / "base").exists()


def test_a_run_with_a_failed_cell_is_not_accepted(results, tmp_path):
    Store(results).write(synthetic.ended(synthetic.cell("iso_dates", "full"), "failed", "disk full"))
    with pytest.raises(
        UsageError, match="1 of 8 cells did not end ok, such as iso_dates/full seed 0: failed"
    ):
        baseline.accept(results, tmp_path / "base", REASON)


def test_a_skipped_cell_is_part_of_it(results, tmp_path):
    Store(results).write(synthetic.ended(synthetic.cell("iso_dates", "adalora"), "skipped", "needs CUDA"))
    assert len(baseline.accept(results, tmp_path / "base", REASON).outcomes) == 9


def test_items_that_one_cell_lacks_are_null(results, tmp_path):
    Store(results).write(synthetic.cell("iso_dates", "full", 0, items=150))
    accepted = baseline.accept(results, tmp_path / "base", REASON)
    short = next(
        one for one in accepted.side("x").outcomes if one.cell == ("iso_dates", "full") and one.seed == 0
    )
    assert len(short.scores) == 150


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace('"who":"', '"who":"not '), "checksum does not match"),
        (lambda text: text[: len(text) // 2], "baseline.json"),
        (lambda text: text.replace('"version":1', '"version":2', 1), "version 2 is not 1"),
        (lambda text: text.replace('"version":1', '"version":"x"', 1), "version is missing"),
        (lambda text: "[]", "version is missing"),
        (lambda text: "[" * 10**5, "baseline.json"),
        (lambda text: "", "baseline.json"),
    ],
)
def test_an_edited_baseline_is_one_clear_error(results, tmp_path, edit, message):
    baseline.accept(results, tmp_path / "base", REASON)
    path = tmp_path / "base" / "baseline.json"
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ResultError, match=message) as caught:
        baseline.read(tmp_path / "base")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda body: body["cells"][0].update(scores=[2] * 200), "must be from 0 to 1"),
        (lambda body: body["cells"][0].update(scores=["1"] * 200), "scores.0. is str where a number"),
        (lambda body: body["cells"][0].update(scores=[1]), "200 items, a cell 1 scores"),
        (lambda body: body["cells"][0].update(status="fine"), "status 'fine'"),
        (lambda body: body["cells"][0].update(identity=[]), "identity is list"),
        (lambda body: body["cells"][0]["identity"].update(model=7), "identity.model is int"),
        (lambda body: body["cells"][0].update(costs={"x": -1}), "allowed: 0 to"),
        (lambda body: body.update(items=[]), "items is list"),
        (lambda body: body.pop("accepted"), "accepted is missing"),
    ],
)
def test_a_forged_baseline_with_a_right_checksum_is_one_too(results, tmp_path, edit, message):
    baseline.accept(results, tmp_path / "base", REASON)
    path = tmp_path / "base" / "baseline.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    del body["checksum"]
    edit(body)
    path.write_text(json.dumps({**body, "checksum": baseline._checksum(body)}), encoding="utf-8")
    with pytest.raises(ResultError, match=message):
        baseline.read(tmp_path / "base")


def test_no_baseline_says_how_to_make_one(tmp_path):
    with pytest.raises(ResultError, match="baseline accept"):
        baseline.read_side(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_keeps_the_old_one(results, tmp_path):
    baseline.accept(results, tmp_path / "base", "old")
    (tmp_path / "base").chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ResultError, match="cannot write"):
        baseline.accept(results, tmp_path / "base", "new")
    assert baseline.read(tmp_path / "base").accepted.reason == "old"


def line(results, when="2026-01-01T00:00:00Z", **values):
    return history.entry(
        read_results(results).outcomes,
        **{"kind": "check", "when": when, "commit": "abc", "verdict": "pass", **values},
    )


def test_history_grows_by_lines_and_is_read_in_order(results, tmp_path):
    path = tmp_path / "deep" / "history.jsonl"
    for when in ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"):
        history.append(path, line(results, when))
    read = history.read(path)
    assert [one.when[:10] for one in read] == ["2026-01-01", "2026-01-02"]
    assert set(read[0].methods) == {"full", "lora-r16"}
    scores = [one.scores.values() for one in read_results(results).outcomes if one.method == "full"]
    assert read[0].methods["full"].quality == pytest.approx(sum(map(sum, scores)) / sum(map(len, scores)))
    assert read[0].methods["full"].tasks == 2


def test_another_budget_is_another_line_of_history(results, tmp_path):
    first = line(results)
    one = synthetic.cell("legal_license", "full")
    Store(results).write(one)
    assert line(results).conditions == first.conditions
    one.identity["budget"]["train_examples"] = 7
    Store(results).write(one)
    assert line(results).conditions != first.conditions


@pytest.mark.parametrize("bad", ["{", "[]", "7", '{"kind": "check"}', "[" * 10**5])
def test_a_bad_line_of_history_is_named(results, tmp_path, bad):
    path = tmp_path / "history.jsonl"
    history.append(path, line(results))
    with path.open("a") as stream:
        stream.write(bad + "\n")
    with pytest.raises(ResultError, match="line 2"):
        history.read(path)


def test_a_missing_history_says_what_writes_one():
    with pytest.raises(ResultError, match="baseline accept"):
        history.read(Path("nowhere.jsonl"))
