"""Change points, and the history drawn."""

from dataclasses import replace

import numpy as np
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from harness import history
from harness.cli import app
from harness.errors import ResultError
from harness.history import Entry, Record
from harness.report import trends
from harness.report.trends import change_points, changes, render_history
from tests import here
from tests.test_hostile_report import DRAWN, PLAIN, TEXTS, Page


def entries(qualities, *, kind="check", conditions="c", machine="m", seconds=30.0, method="lora-r16"):
    return [
        Entry(
            kind=kind, when=f"2026-01-{at + 1:02}T00:00:00Z", who=None, commit=f"{at:040x}", verdict="pass",
            reason=None, conditions=conditions, machine=machine,
            methods={method: Record(quality=float(value), tasks=2, train_seconds=seconds, peak_bytes=2e9)},
        )
        for at, value in enumerate(qualities)
    ]  # fmt: skip


def noise(count, seed=0, size=0.004):
    return np.random.default_rng(seed).normal(0, size, count)


def test_a_step_is_found_where_it_is():
    series = np.r_[np.full(12, 0.60), np.full(10, 0.57)] + noise(22)
    assert change_points(series) == [12]


def test_a_slow_slide_is_found():
    assert change_points(0.6 - 0.002 * np.arange(30) + noise(30)) != []


def test_noise_alone_is_seldom_a_change():
    found = [bool(change_points(0.6 + noise(25, seed))) for seed in range(200)]
    assert np.mean(found) < 0.1


@pytest.mark.parametrize("series", [[], [0.5], [0.5, 0.4], [0.5] * 5, [0.5] * 30, [0.0] * 30])
def test_too_little_or_no_movement_is_no_change(series):
    assert change_points(series) == []


def test_one_odd_entry_is_luck():
    series = np.full(20, 0.6) + noise(20)
    series[9] = 0.5
    assert change_points(series) == []


def test_changes_name_the_method_and_both_levels():
    (found,) = changes(entries(np.r_[np.full(10, 0.60), np.full(10, 0.55)] + noise(20)))
    assert (found.line, found.method, found.at) == ("mean score, %", "lora-r16", 10)
    assert (found.before, found.after) == (pytest.approx(60, abs=0.5), pytest.approx(55, abs=0.5))


def test_another_budget_is_no_change_but_another_line():
    both = entries(0.6 + noise(10)) + entries(0.3 + noise(10), conditions="other")
    assert changes(both) == []


def test_fewer_tasks_are_another_line_and_seconds_of_several_machines_none():
    both = entries(0.6 + noise(10)) + entries(0.3 + noise(10))
    fewer = [
        replace(one, methods={name: replace(own, tasks=1) for name, own in one.methods.items()})
        for one in both[10:]
    ]
    assert changes(both) != []
    assert changes([*both[:10], *fewer]) == []
    slower = entries(0.6 + noise(10), machine=None) + entries(0.6 + noise(10), machine=None, seconds=90.0)
    assert changes(slower) == []


def test_the_page_links_its_figure_and_tells_what_changed(tmp_path):
    path = render_history(entries(np.r_[np.full(10, 0.60), np.full(10, 0.55)] + noise(20)), tmp_path)
    text = path.read_text(encoding="utf-8")
    assert "| 2026-01-11 | `00000000000" in text
    assert (tmp_path / "history.png").stat().st_size > 10_000
    assert "No level changed." in render_history(entries([0.5]), tmp_path).read_text(encoding="utf-8")


def test_an_empty_history_is_a_clear_error(tmp_path):
    with pytest.raises(ResultError, match="history is empty"):
        render_history([], tmp_path)


@TEXTS
def test_a_history_has_the_same_elements_whatever_it_says(tmp_path, monkeypatch, evil):
    if evil not in DRAWN:
        monkeypatch.setattr(trends, "save", here.touch)
    pages = []
    for text in (evil, PLAIN):
        steps = np.r_[np.full(5, 0.6), np.full(5, 0.3)]
        found = [
            Entry(
                kind="check", when=f"2026-01-{at + 1:02} {text}", who=text, commit=text, verdict=text,
                reason=text,
                conditions=text, machine=text, methods={text: Record(quality=value, tasks=1)},
            )
            for at, value in enumerate(steps)
        ]  # fmt: skip
        pages.append(render_history(found, tmp_path / str(len(pages))).read_text(encoding="utf-8"))
    assert Page(pages[0]).tags == Page(pages[1]).tags
    assert MarkdownIt().parse(pages[0])


def test_the_command_draws_it_and_wants_one_thing_to_draw(tmp_path):
    lines = tmp_path / "history.jsonl"
    for one in entries([0.5, 0.6]):
        history.append(lines, one)
    done = CliRunner().invoke(app, ["report", "--history", str(lines), "--reports", str(tmp_path / "out")])
    assert done.exception is None, done.exception
    assert (tmp_path / "out" / "history.md").exists()
    for arguments in ([], [str(tmp_path), "--history", str(lines)]):
        refused = CliRunner().invoke(app, ["report", *arguments])
        assert "and not both" in str(refused.exception)
