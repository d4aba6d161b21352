import os
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from harness.errors import ResultError
from harness.extras import Checkpoint
from harness.report import (
    chart,
    course,
    losses,
    merging,
    readme_block,
    render,
    reproduce,
    update_readme,
    words,
)
from harness.report.comparisons import compare
from harness.report.findings import cautions, findings
from harness.report.page import BEGIN, END, slug
from harness.report.palette import LOOKS, look, order
from harness.report.rows import board, compared, gain, shares
from harness.result import Result, Trial
from harness.stats import Interval
from tests import here, synthetic

SNAPSHOT = Path(__file__).parent / "snapshots" / "report.md"
CHARTS = ["quality-vs-seconds", "quality-vs-memory", "learning-curves", "where-the-seconds-went"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return render(synthetic.grid(), tmp_path_factory.mktemp("report"), name="quick")


def text_of(results, folder, *, drawn=False):
    """The report's text; its figures are drawn where the results could be too odd for them."""
    with pytest.MonkeyPatch.context() as patch:
        if not drawn:
            patch.setattr(chart, "save", here.touch)
        return render(results, folder, name="test").read_text(encoding="utf-8")


def png_size(path):
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def section(text, heading):
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_snapshot(rendered):
    text = rendered.read_text(encoding="utf-8")
    if os.environ.get("TUNEOFF_UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8"), "intended? then run with TUNEOFF_UPDATE_SNAPSHOTS=1"


def test_trials_are_shown_with_their_scores_and_cost(tmp_path):
    lora = synthetic.cell("legal_license", "lora-r16")
    trials = (
        *(
            Trial(learning_rate=r, score=s, seconds=4.0, rung=1, steps=7)
            for r, s in ((1e-3, 0.4), (3e-3, 0.5))
        ),
        Trial(learning_rate=3e-3, score=0.625, seconds=52.0, rung=2, steps=14),
    )
    tuned = replace(lora, train=replace(lora.train, trials=trials, learning_rate=3e-3))
    said = section(
        text_of([tuned, synthetic.cell("legal_license", "full")], tmp_path), "Learning-rate trials"
    )
    assert said.strip().splitlines()[-1] == (
        "| `legal_license` | `lora-r16` | 0 | "
        "7 steps: 1e-3 40.0%, 3e-3 50.0%; 14 steps: 3e-3 62.5% | 3e-3 | 1 min |"
    )
    assert "Learning-rate trials" not in text_of([lora], tmp_path)


def test_retention_is_shown_where_it_was_measured(tmp_path):
    lora = synthetic.cell("legal_license", "lora-r16")
    kept = {
        "prose": replace(lora.retention["prose"], loss_before=2.5, loss_after=2.625),
        "code": replace(lora.retention["code"], loss_before=1.25, loss_after=None),
    }
    cells = [replace(lora, retention=kept), synthetic.cell("legal_license", "zero-shot")]
    said = section(text_of(cells, tmp_path), "What the model kept").strip().splitlines()
    assert said[-1] == "| `legal_license` | `lora-r16` | 2e-4 | 2.500 | 2.625 | +0.125 | 1.250 | - | - |"
    assert "What the model kept" not in text_of([replace(lora, retention=None)], tmp_path)


def rising(method, scores, *, seconds=10.0, n=24, seed=0):
    """A cell whose checkpoints have these scores, `seconds` apart."""
    cell = synthetic.cell("legal_license", method, seed)
    found = (
        Checkpoint(step=at, examples=8 * at, tokens=100 * at, seconds=seconds * at, score=score, n=n)
        for at, score in enumerate(scores)
    )
    return replace(cell, checkpoints=tuple(found))


def growth(*cells):
    return course.said(board(cells)["legal_license"])


def test_the_seconds_to_a_share_of_full_are_the_first_checkpoint_that_meets_it():
    full = rising("full", (0.1, 0.5, 0.9, 0.8))  # 90% of its last is 0.72
    quick, slow = rising("lora-r16", (0.1, 0.73, 0.6, 0.7), seconds=2.5), rising("adalora", (0.1, 0.2, 0.5))
    assert growth(full, quick, slow) == [
        "90% of full's last score, 72.0% on 24 development items, was met at the checkpoint after: "
        "`full` 20 s, `lora-r16` 2.5 s.",
        "Not met by `adalora` (50.0%).",
    ]


def test_no_seconds_are_told_where_full_is_not_shown_to_have_gained():
    cells = [rising(method, (0.2, 0.3, 0.4)) for method in ("full", "lora-r16")]
    assert growth(*cells) == [
        "`full` went from 20.0% to 40.0% on 24 development items, which shows no gain: no time to a share "
        "of that is given."
    ]
    assert "was met" in growth(*(replace_n(cell, 200) for cell in cells))[0]
    assert growth(cells[0]) == growth(cells[1]) == []


def replace_n(cell, n):
    return replace(cell, checkpoints=tuple(replace(one, n=n) for one in cell.checkpoints))


def test_marks_are_means_over_the_seeds_start_with_start_and_end_with_end():
    cells = [rising("full", (0.2, 0.4), seconds=8.0), rising("full", (0.4, 0.5, 0.9), seconds=12.0, seed=1)]
    # A clock gave the second more steps; a third was run without checkpoints.
    cells.append(replace(rising("full", (), seed=2), checkpoints=()))
    (row,) = board(cells)["legal_license"].values()
    assert [(mark.examples, mark.seconds, mark.score) for mark in course.marks(row)] == [
        (0.0, 0.0, pytest.approx(0.3)), (12.0, 16.0, pytest.approx(0.65)),
    ]  # fmt: skip


def test_many_methods_are_shared_out_over_strips_each_with_full():
    methods = ("full", "lora-r8", "lora-r16", "lora-r32", "qlora-r8", "qlora-r16", "adalora", "prefix-tuning")
    strips = {}
    for count in (1, 7, 8):
        cells = [rising(method, (0.1, 0.5), seconds=at + 1) for at, method in enumerate(methods[:count])]
        drawn = course.figure("legal_license", board(cells)["legal_license"])
        named = [[text.get_text() for text in part.legends[0].get_texts()] for part in drawn.subfigs]
        strips[count] = [len(own) for own in named]
        assert all(own[0] == "full" for own in named)
        assert {panel.get_xlim()[1] for panel in drawn.axes[1::2]} == {1.05 * count}
    assert strips == {1: [1], 7: [7], 8: [5, 4]}


def test_loss_curves_of_many_methods_have_panels_of_one_scale():
    methods = ("full", "lora-r8", "lora-r16", "lora-r32", "qlora-r8", "qlora-r16", "adalora", "prefix-tuning")
    many = [rising(method, (0.1, 0.5), seconds=at + 1) for at, method in enumerate(methods)]
    drawn = losses.figure(board([*many, synthetic.cell("text_to_sql", "lora-r16")]))
    titles = [panel.get_title(loc="left") for panel in drawn.axes]
    assert titles == ["legal_license, 1 of 2", "legal_license, 2 of 2", "text_to_sql"]
    assert [len(panel.lines) for panel in drawn.axes] == [5, 4, 1]
    assert drawn.axes[0].get_ylim() == drawn.axes[1].get_ylim()


def test_who_stops_a_report_keeps_the_earlier_one_whole(tmp_path, monkeypatch):
    cells = synthetic.grid(("legal_license",))
    render(cells[:2], tmp_path, name="run")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def stopped(rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(losses, "figure", stopped)
    with pytest.raises(KeyboardInterrupt):
        render(cells, tmp_path, name="run")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_checkpoints_there_is_no_figure_of_them(tmp_path):
    text = text_of([replace(cell, checkpoints=()) for cell in synthetic.grid()], tmp_path)
    assert "checkpoints," not in text
    assert "development items" not in text
    assert not list(tmp_path.glob("checkpoints-*"))


def test_merged_adapters_are_shown_with_what_rounding_explains():
    lora, full = (synthetic.cell("legal_license", method) for method in ("lora-r16", "full"))
    table = merging.merged_table(board([lora, full]))
    assert table.values.tolist() == [
        ["`legal_license`", "`lora-r16`", "2e-4", "1.5", "3.2", "96.0%", "1.10 times", "1.50 times"]
    ]
    assert merging.beyond_rounding(board([lora, full])) is None
    far = replace(lora, merged=replace(lora.merged, difference=3.3), method="qlora-r8")
    none = replace(lora, merged=replace(lora.merged, difference=None), method="adalora")
    said = merging.beyond_rounding(board([lora, far, none]))
    assert said == "Further apart than rounding explains: `qlora-r8` and `adalora`."
    assert merging.merged_table(board([full])) is None


def test_an_adapter_that_was_not_merged_is_named_with_the_reason(tmp_path):
    lora, full = (synthetic.cell("legal_license", method) for method in ("lora-r16", "full"))
    assert merging.unmerged(board([lora, full])) is None
    reason = "peft has <no> such form"
    kept = [replace(lora, method=name, merged=None, unmerged=reason) for name in ("dora-r16", "lora-r16")]
    said = "Not merged: `lora-r16` in 1 cell and `dora-r16` in 1 cell (peft has &lt;no&gt; such form)."
    assert merging.unmerged(board([*kept, full])) == said
    assert f"## Merged adapters\n\n{said}\n" in text_of([*kept, full], tmp_path)


def test_answers_that_are_none_are_counted_apart_from_wrong_ones(tmp_path):
    kinds = [  # score, readable, unfinished
        (1.0, True, False), (1.0, True, True), (1.0, False, False), (0.5, True, False), (0.0, True, True),
        (0.0, False, False), (0.0, False, False), (0.0, False, True),
    ]  # fmt: skip
    cell = synthetic.cell("iso_dates", "full")
    items = tuple(
        replace(item, score=score, readable=readable, unfinished=unfinished)
        for item, (score, readable, unfinished) in zip(cell.items, kinds, strict=False)
    )
    clean = synthetic.cell("legal_license", "full")
    said = section(text_of([replace(cell, items=items), clean], tmp_path), "Wrong answers and no answers")
    assert said.strip().splitlines()[-1] == "| `iso_dates` | `full` | 3 | 1 | 0 | 1 | 2 | 1 |"
    assert "`legal_license`" not in said
    assert "Wrong answers and no" not in text_of([clean], tmp_path)
    old = replace(cell, items=tuple(replace(item, readable=None, unfinished=None) for item in items))
    assert "Wrong answers and no" not in text_of([old], tmp_path)
    both = text_of([replace(cell, items=items), replace(old, task="legal_license")], tmp_path)
    assert "Not recorded by an earlier version: `legal_license`." in both
    cut = replace(cell, items=tuple(replace(item, score=0.0, truncated=True) for item in items[:3]))
    said = section(text_of([cut], tmp_path), "Wrong answers and no answers")
    assert said.strip().splitlines()[-1] == "| `iso_dates` | `full` | 0 | 0 | 1 | 1 | 1 | 0 |"


def test_size_on_disk_is_shown_where_it_was_measured(tmp_path):
    cells = [synthetic.cell("legal_license", method) for method in ("zero-shot", "full", "lora-r16")]
    cells[1] = replace(cells[1], adapter_bytes=269_100_000, model_bytes=269_030_016)
    cells[2] = replace(cells[2], adapter_bytes=9_810_000, model_bytes=269_030_016)
    text = text_of(cells, tmp_path)
    table = section(text, "`legal_license`").splitlines()
    header, *lines = [line.split(" | ") for line in table if line.startswith(("| m", "| `"))][:4]
    at = header.index("on disk")
    assert [line[at : at + 2] for line in lines] == [["-", "-"], ["269 MB", "100.0%"], ["9.8 MB", "3.6%"]]
    assert '"On disk" is' in text
    old = text_of([replace(cell, adapter_bytes=None, model_bytes=None) for cell in cells], tmp_path)
    assert "on disk" not in old.lower()


def test_figures_exist_in_readme_size(rendered):
    linked = set(re.findall(r"\]\(([^)]+\.png)\)", rendered.read_text(encoding="utf-8")))
    assert linked == {f"{name}.png" for name in CHARTS} | {
        f"{kind}-{task}.png" for kind in ("quality", "checkpoints") for task in synthetic.TASKS
    }
    assert {path.name for path in rendered.parent.iterdir()} == linked | {"report.md"}
    for name in linked:
        assert png_size(rendered.parent / name) == (1200, 675)


def test_rendering_twice_gives_the_same_bytes(rendered, tmp_path):
    again = render(list(reversed(synthetic.grid())), tmp_path, name="quick")
    for path in rendered.parent.iterdir():
        assert (again.parent / path.name).read_bytes() == path.read_bytes()


def test_no_results_is_an_error(tmp_path):
    with pytest.raises(ResultError, match="at least one result"):
        render([], tmp_path, name="empty")


def test_an_unwritable_folder_is_an_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ResultError, match="cannot write the report"):
        render(synthetic.grid(), blocked / "report", name="quick")


@pytest.mark.parametrize("method", ["zero-shot", "full", "lora-r16"])
def test_a_single_cell(tmp_path, method):
    text = text_of([synthetic.cell("legal_license", method)], tmp_path, drawn=True)
    assert "No task has two methods with a quality yet." in text
    assert (tmp_path / "quality-legal_license.png").exists()


def test_every_stage_of_a_live_grid(tmp_path):
    results = synthetic.grid(tasks=("legal_license", "iso_dates"))
    for count in range(1, len(results) + 1, 3):
        assert f"{count} cell" in text_of(results[:count], tmp_path)


@pytest.mark.parametrize("status", ["skipped", "oom", "failed", "timeout", "degenerate"])
def test_nothing_ended_ok(tmp_path, status):
    results = [synthetic.ended(result, status, None) for result in synthetic.grid()]
    text = text_of(results, tmp_path)
    assert section(text, "Skipped and failed cells").count(f"| {status} |") == len(results)
    assert not list(tmp_path.glob("*.png"))


def test_without_full_there_are_no_shares_of_it(tmp_path):
    text = text_of(synthetic.grid(methods=("zero-shot", "lora-r16", "adalora")), tmp_path)
    header = section(text, "`legal_license`").strip().splitlines()[0]
    assert "FLOPs" not in header
    assert "gain" not in header
    assert "parameters trained" in header
    assert "3.5%" in section(text, "`legal_license`")  # of the method's own total


def test_without_zero_shot_there_is_no_gain(tmp_path):
    text = text_of(synthetic.grid(methods=("full", "lora-r16")), tmp_path)
    assert "gain kept |" not in text
    assert "against `zero-shot`" not in text


def test_everything_unknown_is_a_dash(tmp_path):
    bare = replace(
        synthetic.cell("legal_license", "full"),
        identity={}, environment={}, metric=None, items=(), curve=(), phases={}, train=None,
        generation=None, parameters=None, flops=None,
    )  # fmt: skip
    text = text_of([bare, replace(bare, method="lora-r16", reason="why", status="oom")], tmp_path, drawn=True)
    assert "| `full` | - | - | - |" in text
    assert "python -m harness run --tasks legal_license --methods full,lora-r16 --seeds 1" in text


def test_losses_and_energy_may_be_unknown(tmp_path):
    results = synthetic.grid(tasks=("legal_license",))
    results = [
        replace(
            result,
            curve=tuple(replace(point, loss=None) for point in result.curve),
            phases={name: replace(phase, peak_bytes=None) for name, phase in result.phases.items()},
        )
        for result in results
    ]
    text = text_of(results, tmp_path, drawn=True)
    assert "learning-curves" not in text
    assert "quality-vs-memory" not in text
    assert "energy" not in text


def test_energy_shows_where_a_result_has_it(tmp_path):
    results = [
        replace(
            cell,
            phases={
                name: replace(phase, energy_joules=phase.seconds * 50) for name, phase in cell.phases.items()
            },
        )
        for cell in synthetic.grid(tasks=("legal_license",))
    ]
    assert "of full's energy" in text_of(results, tmp_path)


def test_several_seeds(tmp_path):
    results = synthetic.grid(tasks=("legal_license",), methods=("zero-shot", "full", "lora-r16"), seeds=3)
    results[-1] = synthetic.ended(results[-1], "timeout", "stopped after 1800 s")
    text = text_of(results, tmp_path, drawn=True)
    assert "`lora-r16` (2 of 3 seeds)" in text
    assert "| `legal_license` | `lora-r16` | 2 | timeout | stopped after 1800 s |" in text
    assert "--seeds 3" in text


def test_text_from_results_stays_text(tmp_path):
    evil = (
        "<script>x</script> | `a` [link](http://x.y) ![i](z) **b** $x$ &lt; "
        "\x1b[31m\u202e\n# new line --> ~~s~~ \\"
    )
    base = synthetic.grid(tasks=("legal_license",))
    results = [
        replace(
            cell,
            task=f"t {evil}",
            method=cell.method if cell.method == "full" else f"{cell.method} {evil}",
            metric=replace(cell.metric, name=evil),
            generation={evil: evil},
            identity={
                "method_config": {evil: evil},
                "model": {"source": evil},
                "budget": {"name": evil, evil: evil},
            },
            environment={"device_name": evil, "versions": {evil: evil}, "machine": evil},
            phases={**cell.phases, evil: next(iter(cell.phases.values()))},
        )
        for cell in base
    ]
    results.append(replace(synthetic.ended(results[0], "failed", evil), method="other"))
    text = text_of(results, tmp_path)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", text)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in [*tokens, *inline]}
    assert not {"html_block", "html_inline", "link_open", "s_open"} & kinds
    sources = [child.attrs["src"] for child in inline if child.type == "image"]
    assert all(source.startswith(("quality-", "checkpoints-", "learning-", "where-")) for source in sources)
    assert sum(token.type == "heading_open" for token in tokens) == 10
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_unknown_names_are_shown(tmp_path):
    results = synthetic.grid(tasks=("their_task",), methods=("zero-shot", "full", "their-method"))
    text = text_of(results, tmp_path)
    assert "## `their_task`" in text
    assert "| `their-method` |" in text
    assert (tmp_path / "quality-their_task.png").exists()


def test_results_under_two_settings_draw_a_caution(tmp_path):
    results = synthetic.grid(tasks=("legal_license",))
    assert not cautions(board(results))
    results[1] = replace(results[1], identity={**results[1].identity, "precision": "float32"})
    assert "differ in precision" in text_of(results, tmp_path)


def on(machine: str, results: list[Result]) -> list[Result]:
    """The results as if another machine, twice as slow, had made them."""
    return [
        replace(
            one,
            identity={**one.identity, "machine": machine},
            environment={**one.environment, "device_name": f"{machine} CPU"},
            phases={name: replace(phase, seconds=2 * phase.seconds) for name, phase in one.phases.items()},
            checkpoints=tuple(replace(mark, seconds=2 * mark.seconds) for mark in one.checkpoints),
        )
        for one in results
    ]


def test_a_disturbed_seed_is_in_no_training_time():
    calm = synthetic.grid(tasks=("legal_license",), methods=("full", "lora-r16"), seeds=2)
    busy = [one if one.seed else on("0123456789abcdef", [one])[0] for one in calm]
    for results in (calm, busy):
        row = board(results)["legal_license"]["full"]
        assert row.seconds == min(one.phases["train"].seconds for one in calm[:2])


def test_gain_kept_is_of_the_seeds_that_both_ran():
    def right(share, method, seed):
        items = synthetic.cell("legal_license", method, seed).items
        scores = [replace(item, score=float(at < share * len(items))) for at, item in enumerate(items)]
        return replace(synthetic.cell("legal_license", method, seed), items=tuple(scores))

    cells = [right(share, "full", seed) for seed, share in enumerate((0.5, 0.5, 0.9))]
    cells += [right(0.5, "lora-r16", seed) for seed in (0, 1)] + [right(0.3, "zero-shot", 0)]
    kept = gain([board(cells)["legal_license"]], "lora-r16")
    assert kept is not None
    assert (kept.value, kept.low, kept.high) == pytest.approx((1, 1, 1))


def test_the_phase_chart_weighs_tasks_alike_however_many_seeds_ran():
    one, two = (synthetic.cell(task, "full") for task in ("legal_license", "iso_dates"))
    again = [synthetic.cell("legal_license", "full", seed) for seed in (1, 2)]
    widths = []
    for results in ([one, two], [one, two, *again]):
        figure = chart.phases(board(results))
        assert figure is not None
        widths.append(sum(patch.get_width() for patch in figure.axes[0].patches))
    assert widths[0] == pytest.approx(widths[1])


def test_the_phase_chart_leaves_out_tasks_that_were_measured_with_fewer_phases():
    one, two = (synthetic.cell(task, "full") for task in ("legal_license", "iso_dates"))
    part = replace(two, phases={name: phase for name, phase in two.phases.items() if name != "evaluate"})
    figure, alone = (chart.phases(board(cells)) for cells in ([one, part], [one]))
    widths = [sorted(patch.get_width() for patch in made.axes[0].patches) for made in (figure, alone)]
    assert widths[0] == widths[1]
    assert "1 task; 1 more were measured with fewer phases" in figure.axes[0].get_xlabel()


def test_that_no_rate_was_tried_is_said():
    cells = synthetic.grid(tasks=("iso_dates",), methods=("zero-shot", "full"))
    assert reproduce.UNTRIED in reproduce.kind(cells)
    tried = [
        replace(cell, identity={**cell.identity, "budget": {**cell.identity["budget"], "trials": 3}})
        for cell in cells
    ]
    assert reproduce.UNTRIED not in reproduce.kind(tried)
    assert reproduce.UNTRIED not in reproduce.kind(cells[:1])  # nothing was trained


def test_tasks_that_ran_otherwise_have_a_command_of_their_own():
    cells = synthetic.grid(tasks=("iso_dates", "legal_license"), methods=("zero-shot", "full"))
    cells += [synthetic.cell("legal_license", method, 2) for method in ("full", "lora-r16")]
    said = reproduce.commands(cells, ["iso_dates", "legal_license"], ["zero-shot", "full", "lora-r16"])
    assert [line.partition(" --budget")[0] for line in said] == [
        "python -m harness run --tasks iso_dates --methods zero-shot,full",
        "python -m harness run --tasks legal_license --methods zero-shot,full,lora-r16",
    ]
    assert ["--seeds 1" in said[0], "--seeds 3" in said[1]] == [True, True]


def test_seeds_of_several_machines_give_one_quality_and_the_seconds_of_one_machine():
    methods = ("zero-shot", "full", "lora-r16")
    first = synthetic.grid(tasks=("legal_license",), methods=methods)
    others = [synthetic.cell("legal_license", method, seed) for method in methods[1:] for seed in (1, 2)]
    joined = board([*on("slow", others), *first])["legal_license"]
    alone = board(first)["legal_license"]
    for method in methods[1:]:
        assert len(joined[method].runs) == 3
        assert (joined[method].seconds, joined[method].peak_bytes) == (
            alone[method].seconds,
            alone[method].peak_bytes,
        )
        assert [mark.seconds for mark in course.marks(joined[method])] == [
            mark.seconds for mark in course.marks(alone[method])
        ]
    # Of machines with all methods that of more seeds stands for all.
    apart = board([*first[1:], *on("slow", others)])["legal_license"]
    assert apart["full"].seconds == min(
        2 * one.phases["train"].seconds for one in others if one.method == "full"
    )
    (said,) = cautions(board([*first, *on("slow", others)]))
    assert said == (
        "The seeds of `legal_license` were shared out over machines, all methods of a seed on one: seconds, "
        "memory and energy are of seed 0 alone."
    )


def in_float32(results: list[Result]) -> list[Result]:
    return [replace(one, identity={**one.identity, "precision": "float32"}) for one in results]


def test_seeds_of_several_precisions_are_told():
    first = synthetic.grid(tasks=("legal_license",))
    others = in_float32(on("slow", [replace(one, seed=seed) for one in first for seed in (1, 2)]))
    (said,) = cautions(board([*first, *others]))
    assert said.endswith(
        "are of seeds 1 and 2 alone. They computed seed 0 in `bfloat16` and seeds 1 and 2 in `float32`, so a "
        "part of the spread between seeds may be rounding's."
    )
    # Of one machine in two precisions every seed is in one all the same.
    (said,) = cautions(board([*first, *in_float32([replace(one, seed=1) for one in first])]))
    assert said.startswith("The results of `legal_license` differ in precision: they do not compare")


def test_methods_of_one_seed_on_several_machines_do_not_compare():
    first = synthetic.grid(tasks=("legal_license",))
    (said,) = cautions(board([*first[:2], *on("slow", first[2:])]))
    assert said.startswith("The results of `legal_license` differ in machine: they do not compare")
    mixed = [*first[:2], *in_float32(on("slow", first[2:]))]
    (said,) = cautions(board(mixed))
    assert said.startswith("The results of `legal_license` differ in machine and precision: they do not")


def test_tasks_timed_on_several_machines_draw_a_caution():
    first = synthetic.grid(tasks=("legal_license", "iso_dates"))
    there = [one for one in first if one.task == "iso_dates"]
    (said,) = cautions(board([*(one for one in first if one not in there), *on("slow", there)]))
    assert (
        r"`legal_license` on Example CPU \@ 2.00GHz (012345) in `bfloat16`; "
        "`iso_dates` on slow CPU (slow) in `bfloat16`." in said
    )


def test_a_rate_that_was_given_where_others_were_chosen_draws_a_caution():
    trial = Trial(learning_rate=1e-3, score=0.5, seconds=9.0, rung=1, steps=7)
    results = [
        replace(one, identity={**one.identity, "tuning": "on dev"},
                train=one.train and replace(one.train, trials=(trial,) if one.method == "full" else ()))
        for one in synthetic.grid(tasks=("legal_license",), methods=("zero-shot", "full", "lora-r16"))
    ]  # fmt: skip
    (said,) = cautions(board(results))
    assert said.startswith("The learning rate of `lora-r16` was given; the other trained methods chose")


def test_findings_follow_the_figures():
    rows = board(synthetic.grid(tasks=("legal_license",), seeds=3))
    own, comparisons = rows["legal_license"], compare(rows)
    said = findings("legal_license", own, comparisons)
    assert said[0].startswith("`full` scores highest")
    assert said[1].startswith(
        "Against `full`: worse: `zero-shot`, `adalora` and `prompt-tuning`; no difference"
    )
    assert said[3].startswith("Against `zero-shot`: better: `full`, `lora-r16`, `qlora-r16`")
    assert not findings("legal_license", {"full": own["full"]}, comparisons)


def test_the_spread_of_seeds_is_shown_where_there_are_several(tmp_path):
    methods = ("zero-shot", "full", "lora-r16")
    cells = [
        replace(
            cell, items=tuple(replace(item, score=float(at < share)) for at, item in enumerate(cell.items))
        )
        for cell, share in zip(
            synthetic.grid(("legal_license",), methods, seeds=2), (40, 40, 100, 120, 110, 110), strict=True
        )
    ]
    assert board(cells)["legal_license"]["full"].seed_deviation == pytest.approx(0.1 / 2**0.5)
    text = text_of(cells, tmp_path)
    assert re.search(r"\| `full` \| 55.0% \[.*\] \| 7.1 points, 2 seeds \|", section(text, "`legal_license`"))
    assert "| 7.1 points, 2 seeds on 1 task |" in section(text, "Summary over tasks")
    figure = chart.quality("legal_license", board(cells)["legal_license"])
    dots = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "."]
    assert np.array(dots) == pytest.approx(np.array([[20, 20], [50, 60], [55, 55]]))
    assert "between seeds |" not in text_of([cell for cell in cells if not cell.seed], tmp_path)


def test_shares_are_relative_to_full():
    rows = board(synthetic.grid(tasks=("legal_license",)))["legal_license"]
    found = shares(rows["lora-r16"], rows["full"])
    assert found.parameters == 4_884_480 / 134_515_008
    assert found.flops == pytest.approx(0.68)
    assert found.seconds == pytest.approx(0.86)
    assert shares(rows["zero-shot"], rows["full"]).parameters == 0
    assert gain([rows], "full").value == 1
    assert gain([rows], "absent") is None


def test_the_article_is_quoted_correctly(rendered):
    text = section(rendered.read_text(encoding="utf-8"), "`legal_license`")
    lora = next(line for line in text.splitlines() if line.startswith("| `lora-r16` | 86.9%"))
    cells = [cell.strip() for cell in lora.split("|")]
    assert cells[4] == "-1.4 points"
    assert cells[6] == "24 min"
    assert cells[8] == "10.0%"
    assert cells[10] == "2.0%"


def test_one_failed_cell_does_not_empty_the_summary():
    rows = compared(board(synthetic.grid()))
    assert list(rows) == ["legal_license", "function_completion", "iso_dates"]
    assert list(rows["iso_dates"]) == ["zero-shot", "full", "lora-r16", "adalora"]
    assert compared({}) == {}


def test_pareto_front():
    assert chart.front([(3, 0.9), (1, 0.5), (2, 0.4), (2, 0.7), (4, 0.9)]) == [1, 3, 0]


def test_looks_are_distinct_and_stable():
    looks = list(LOOKS.values())
    assert len({(one.colour, one.marker) for one in looks}) == len(looks)
    assert len({(one.colour, one.line) for one in looks}) == len(looks)
    assert look("full").colour == "#000000"
    assert look("lora-r16").colour == "#0072B2"
    code = "from harness.report.palette import look; print(look('their-method'))"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert fresh.strip() == str(look("their-method"))
    assert look("their-method").marker not in {one.marker for one in looks}
    assert order(["zz", "lora-r16", "full", "aa"]) == ["full", "lora-r16", "aa", "zz"]


def test_names_beside_points_do_not_overlap():
    rows = board(synthetic.grid(tasks=("legal_license", "iso_dates"), methods=tuple(synthetic.KEPT)))
    figure = chart.trade_off(compared(rows), lambda row: row.seconds, "training seconds")
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    texts = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
    # An annotation's own extent holds its leader line too; only the words must stay apart.
    boxes = [Text.get_window_extent(text) for text in texts]
    assert len(texts) == len(synthetic.KEPT) - 1  # prompt tuning failed on one task
    assert not any(a.overlaps(b) for at, a in enumerate(boxes) for b in boxes[:at])


def test_readme_block_is_compact_and_replaceable(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n", encoding="utf-8")
    block = readme_block(synthetic.grid(), folder="reports/mine")
    update_readme(readme, block)
    update_readme(readme, block)
    text = readme.read_text(encoding="utf-8")
    assert text == f"# Title\n\n{BEGIN}\n{block}\n{END}\n\nrest\n"
    assert "![Mean quality against training seconds](reports/mine/quality-vs-seconds.png)" in block
    assert sum(line.startswith("| `") for line in block.splitlines()) == len(synthetic.TASKS)
    assert block.count("| mean ") == 2
    assert "\n- Against `full`: " in block
    assert "is assumed, 3.0 points" in block
    some = [*synthetic.grid(methods=("full", "lora-r16")), synthetic.cell("legal_license", "lora-r8")]
    block = readme_block(some)
    assert "| task | no model | `full` | `lora-r16` |" in block
    assert "On some of these tasks also ran `lora-r8`: see the report." in block
    alone = readme_block(synthetic.grid(tasks=("legal_license",), methods=("full", "lora-r16")))
    assert "Over all tasks" not in alone


@pytest.mark.parametrize("text", ["none", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_its_markers_is_left_alone(tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    with pytest.raises(ResultError, match="once each"):
        update_readme(readme, "block")
    assert readme.read_text(encoding="utf-8") == text
    with pytest.raises(ResultError, match="cannot read"):
        update_readme(tmp_path / "absent.md", "block")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.4, "0.4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (24.3, "24 s"), (59.6, "1 min"), (192, "3 min 12 s"),
     (3599.7, "1.0 h"), (4320, "1.2 h"), (None, "-")],
)  # fmt: skip
def test_seconds(value, expected):
    assert words.seconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, "100.0%"), (0.241, "24.1%"), (0.01, "1.0%"), (0.00996, "1.0%"), (0.0037, "0.37%"), (0.005, "0.50%"),
     (0.000012, "0.0012%"), (0, "0%"), (3.2, "320.0%"), (None, "-")],
)  # fmt: skip
def test_share(value, expected):
    assert words.share(value) == expected


def test_other_formats():
    estimate = Interval(value=0.615, low=0.5461, high=0.6803)
    assert words.interval(estimate) == "61.5% [54.6, 68.0]"
    assert words.points(Interval(value=-0.0151, low=-0.0001, high=0.02)) == "-1.5 points [0.0, 2.0]"
    assert words.points(Interval(value=0.0001, low=-0.01, high=0.02)) == "0.0 points [-1.0, 2.0]"
    assert words.points(Interval(value=0.02, low=0.01, high=0.03), unit="") == "+2.0 [1.0, 3.0]"
    assert [words.p_value(p) for p in (0.00099, 0.0042, 0.314, 1)] == [
        "p < 0.001", "p = 0.0042", "p = 0.31", "p = 1",
    ]  # fmt: skip
    assert [words.spread(0.018, 3), words.spread(None, 1)] == ["1.8 points, 3 seeds", "-"]
    assert words.spread(0.018, 3, 1) == "1.8 points, 3 seeds on 1 task"
    assert words.gigabytes(1_234_000_000) == "1.23 GB"
    sizes = (47_300, 999_600, 9_820_000, 269_200_000, 1_240_000_000, None)
    assert [words.size(size) for size in sizes] == ["47 kB", "1.0 MB", "9.8 MB", "269 MB", "1.2 GB", "-"]
    assert [words.rate(value) for value in (2e-4, 1.5e-3, 5e-05, 1.0)] == ["2e-4", "1.5e-3", "5e-5", "1e0"]
    assert [words.nats(value, signed=True) for value in (0.0214, -1.5, -0.0001)] == [
        "+0.021",
        "-1.500",
        "0.000",
    ]
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.escaped("x" * 400).endswith("...")


def test_file_names_are_safe_and_unique():
    assert slug("legal_license") == "legal_license"
    names = ["A b", "a b", "a/b", "../../etc/passwd", "", "x" * 300]
    assert len({slug(name) for name in names}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,80}", slug(name)) for name in names)


def test_the_best_rule_without_a_model_stands_beside_the_methods(rendered):
    page = rendered.read_text(encoding="utf-8")
    assert "| no model: naive rule | 11.0% |" in page  # of the legal task, whose other rule gets 5%
    assert "| no model: most common target | 5.0% |" in page
    assert "interval of every method is above the best rule without a model (naive rule, 11.0%)." in page


def test_methods_no_better_than_a_rule_are_named(tmp_path):
    cells = [replace(cell, baselines={"most common target": 0.9}) for cell in synthetic.grid(("iso_dates",))]
    page = text_of(cells, tmp_path)
    assert "Not above the best rule without a model (most common target, 90.0%)" in page


def test_results_without_baselines_are_reported_without_a_rule(tmp_path):
    cells = [replace(cell, baselines=None) for cell in synthetic.grid(("iso_dates",))]
    assert "| no model" not in text_of(cells, tmp_path)


def test_every_phase_has_its_name_on_the_figure():
    (one,) = synthetic.grid(tasks=("legal_license",), methods=("full",))
    spent = dict.fromkeys(chart.PHASES, next(iter(one.phases.values())))
    drawn = chart.phases(board([replace(one, phases=spent)]))
    drawn.draw_without_rendering()
    (legend,) = drawn.legends
    extent = legend.get_window_extent()
    assert len(legend.get_texts()) == len(chart.PHASES)
    assert extent.x0 >= 0
    assert extent.x1 <= drawn.bbox.width
