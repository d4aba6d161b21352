"""Methods against the references of a report: who is called better, and how often wrongly."""

from dataclasses import replace

import numpy as np
import pytest

from harness import stats
from harness.paired import ASSUMED_SEED_DEVIATION, ERROR
from harness.report import answer
from harness.report.comparisons import BETTER, REFERENCES, UNDECIDED, WORSE, compare
from harness.report.rows import board
from harness.report.standing import comparison_table, spread, standings
from tests import synthetic

METHODS = ("zero-shot", "few-shot", "full", "lora-r16", "qlora-r16")
TEMPLATE = board([synthetic.cell("legal_license", "full")])["legal_license"]["full"]


def row(method, scores, *, first=0):
    """A row of made-up scores, a run a line of the matrix; no seed changes zero-shot."""
    runs = [{str(at): float(score) for at, score in enumerate(line)} for line in scores]
    by_seed = {first + seed: run for seed, run in enumerate(runs)}
    return replace(TEMPLATE, method=method, by_seed=by_seed, seeded=method != "zero-shot")


def draw(generator, *, tasks, seeds, items, deviation, gains=None, wild=1.0):
    """A board on which methods differ by `gains` alone; a task's methods share half of a seed's luck.

    Seeds move QLoRA `wild` times as much as the others.
    """
    rows = {}
    for task in map(str, range(tasks)):
        chances = generator.beta(0.8, 0.8, items)
        shared = generator.normal(0, deviation / np.sqrt(2), (seeds, 1))
        rows[task] = {}
        for method in METHODS:
            factor = wild if method == "qlora-r16" else 1.0
            own = generator.normal(0, factor * deviation / np.sqrt(2), (seeds, 1))
            luck = np.zeros((1, 1)) if method == "zero-shot" else shared + own
            right = generator.random((len(luck), items)) < chances + luck + (gains or {}).get(method, 0)
            rows[task][method] = row(method, right)
    return rows


def verdicts(found, task, reference):
    return {m: found.get(task, m, reference).verdict for m in METHODS if found.get(task, m, reference)}


def test_real_differences_are_called_in_both_directions_and_over_all_tasks():
    gains = {"full": 0.45, "lora-r16": 0.45, "few-shot": -0.3}
    rows = draw(np.random.default_rng(1), tasks=2, seeds=3, items=300, deviation=0.02, gains=gains)
    found = compare(rows)
    for task in ("0", "1", None):
        assert verdicts(found, task, "full") == {
            "zero-shot": WORSE, "few-shot": WORSE, "lora-r16": UNDECIDED, "qlora-r16": WORSE,
        }  # fmt: skip
        assert found.get(task, "full", "zero-shot").verdict == BETTER
    assert found.get(None, "full", "zero-shot").tasks == 2
    pairs = 4 + 3 + 2  # against full, LoRA and zero-shot
    assert {task: len(own) for task, own in found.found.items()} == dict.fromkeys(("0", "1", None), 2 * pairs)


def costing(rows, costs):
    """The board with the seconds and gigabytes of each method's training."""

    def filled(one):
        seconds, peak = costs.get(one.method, (None, None))
        return replace(one, quality=stats.runs_interval(one.runs), seconds=seconds, peak_bytes=peak)

    return {task: {method: filled(one) for method, one in own.items()} for task, own in rows.items()}


def test_the_answer_names_what_gains_and_keeps_up_and_the_cheapest_of_that():
    gains = {"full": 0.45, "lora-r16": 0.45, "few-shot": -0.3}
    rows = draw(np.random.default_rng(1), tasks=2, seeds=3, items=300, deviation=0.02, gains=gains)
    rows = costing(rows, {"full": (40.0, 5e9), "lora-r16": (30.0, 2e9), "qlora-r16": (1.0, 1e9)})
    found = compare(rows)
    scores = {name: 100 * np.mean([own[name].quality.value for own in rows.values()]) for name in METHODS}
    best = max(("full", "lora-r16"), key=scores.get)
    other = {"full": "lora-r16", "lora-r16": "full"}[best]
    far = -100 * found.get(None, "lora-r16", "full").difference.low
    assert far > 0
    assert answer.over_all(rows, found) == [
        "Over 2 tasks are shown to be better than the untrained model, and may by their 95% intervals be as "
        f"good as `full`: `{best}` ({scores[best]:.1f}%) and `{other}` ({scores[other]:.1f}%).",
        "Of these `lora-r16` trains fastest (30 s, 75.0% of `full`'s) and in the least memory "
        "(2.00 GB, 40.0% of `full`'s).",
        f"By the same intervals they may still be behind `full` by up to: `lora-r16` {far:.1f} points.",
        "Shown to be worse than `full`: `zero-shot`, `few-shot` and `qlora-r16`.",
    ]
    table = answer.by_task(rows, found)
    assert table["fastest of them"].tolist() == ["`lora-r16`, 30 s"] * 2
    for task, fit in zip(rows, table["fit"], strict=True):
        far = -100 * found.get(task, "lora-r16", "full").difference.low
        assert set(fit.split(" and ")) == {"`full`", f"`lora-r16` ({far:.1f})"}


def test_the_answer_is_none_where_nothing_is_shown_to_gain():
    rows = draw(np.random.default_rng(2), tasks=2, seeds=2, items=100, deviation=0.02)
    rows = costing(rows, {"full": (40.0, 5e9)})
    found = compare(rows)
    assert answer.over_all(rows, found) == [
        "Over 2 tasks no method is shown to be better than the untrained model."
    ]
    assert answer.by_task(rows, found)["fit"].tolist() == ["none", "none"]
    alone = {task: {"full": own["full"]} for task, own in rows.items()}
    assert answer.over_all(alone, compare(alone)) == []
    assert answer.by_task(alone, compare(alone)) is None


def test_a_pair_is_the_same_comparison_from_both_sides():
    rows = draw(np.random.default_rng(2), tasks=1, seeds=2, items=80, deviation=0.03)
    found = compare(rows)
    there, back = found.get("0", "full", "lora-r16"), found.get("0", "lora-r16", "full")
    assert there.difference.value == -back.difference.value
    assert (there.difference.low, there.p_value) == (-back.difference.high, back.p_value)
    assert there.detectable == back.detectable
    assert found.get(None, "full", "lora-r16") is None  # of one task there is no total
    assert found.get("0", "few-shot", "qlora-r16") is None


def test_a_difference_that_would_have_been_seen_is_beyond_any_that_was_not():
    rows = draw(np.random.default_rng(3), tasks=3, seeds=3, items=100, deviation=0.04)
    undecided = [one for own in compare(rows).found.values() for one in own.values() if one.detectable]
    assert undecided
    assert all(abs(one.difference.value) < one.detectable for one in undecided)


def test_what_was_called_leaves_its_share_of_the_error_to_the_rest():
    calm = draw(np.random.default_rng(4), tasks=1, seeds=3, items=200, deviation=0.02)
    some = calm["0"] | {"zero-shot": row("zero-shot", np.zeros((1, 200)))}
    before, after = compare(calm), compare({"0": some})
    assert before.get("0", "zero-shot", "full").verdict == UNDECIDED
    assert after.get("0", "zero-shot", "full").verdict == WORSE
    spreads = before.spread.variance**0.5, after.spread.variance**0.5
    assert spreads[1] == pytest.approx(spreads[0], abs=0.01)
    assert after.get("0", "qlora-r16", "full").detectable < before.get("0", "qlora-r16", "full").detectable


def test_only_seeds_that_both_ran_are_compared():
    generator = np.random.default_rng(5)
    luck = generator.normal(0.5, 0.2, (3, 1))
    full, lora = (generator.random((3, 2000)) < luck for _ in range(2))
    whole = {"full": row("full", full), "lora-r16": row("lora-r16", lora)}
    part = whole | {"lora-r16": row("lora-r16", lora[1:], first=1)}
    value = lora[1:].mean() - full[1:].mean()
    assert compare({"t": part}).get("t", "lora-r16", "full").difference.value == pytest.approx(value)
    assert compare({"t": whole}).spread.variance ** 0.5 < 0.05  # luck that both share drops out


def test_one_run_of_what_no_seed_changes_stands_for_every_seed():
    generator = np.random.default_rng(6)
    zero, full = generator.random((1, 100)) < 0.5, generator.random((3, 100)) < 0.5
    rows = {"full": row("full", full), "zero-shot": row("zero-shot", zero)}
    found = compare({"t": rows})
    assert found.get("t", "full", "zero-shot").difference.value == pytest.approx(full.mean() - zero.mean())
    assert found.spread.measured == 2


def test_rows_that_cannot_be_compared_are_left_out():
    one, other = row("full", [[1, 0]]), replace(row("lora-r16", [[1, 0]]), by_seed={0: {"else": 1.0}})
    assert compare({"t": {"full": one, "lora-r16": other}}).found == {}
    assert compare({"t": {"full": one, "lora-r16": replace(other, by_seed={}, quality=None)}}).found == {}
    assert compare({"t": {"qlora-r16": one, "adalora": one}}).found == {}
    assert compare({}).found == {}


def test_equal_scores_are_told_and_never_called():
    rows = {"full": row("full", [[1, 0] * 40]), "lora-r16": row("lora-r16", [[1, 0] * 40])}
    found = compare({"t": rows})
    assert found.get("t", "lora-r16", "full").verdict == UNDECIDED
    assert "no difference shown: every item the same" in str(comparison_table(found, "t", list(rows)).values)
    assert standings(found, "t", list(rows))[0] == "Against `full`: no difference shown: `lora-r16`."


def test_many_methods_without_a_difference_are_counted():
    same = [[1, 0] * 40]
    rows = {method: row(method, same) for method in ("full", *(f"lora-r{rank}" for rank in range(1, 8)))}
    assert standings(compare({"t": rows}), "t", list(rows)) == [
        "Against `full`: no difference shown: all 7 methods."
    ]
    rows["zero-shot"] = row("zero-shot", [[0] * 80])
    assert standings(compare({"t": rows}), "t", list(rows))[0] == (
        "Against `full`: worse: `zero-shot`; no difference shown: the other 7 methods."
    )


def test_fewer_tasks_than_others_are_named():
    rows = draw(np.random.default_rng(7), tasks=3, seeds=1, items=60, deviation=0.0)
    del rows["2"]["qlora-r16"]
    table = comparison_table(compare(rows), None, METHODS).set_index("method")
    assert table.loc["`qlora-r16`", "against `full`"].endswith(", 2 tasks")
    assert "tasks" not in table.loc["`few-shot`", "against `full`"]
    assert list(table.columns) == [f"against `{name}`" for name in REFERENCES]


def test_it_is_said_whether_the_spread_between_seeds_was_measured():
    single = draw(np.random.default_rng(8), tasks=2, seeds=1, items=60, deviation=0.0)
    said = spread(single, compare(single))
    assert f"assumed, {100 * ASSUMED_SEED_DEVIATION:.1f} points" in said
    assert "from a single seed" in said
    few = draw(np.random.default_rng(8), tasks=1, seeds=2, items=60, deviation=0.0)
    few = {"0": {name: few["0"][name] for name in ("full", "lora-r16")}}
    assert "measured on the seeds that ran and, as these are few, an assumed" in spread(few, compare(few))
    several = draw(np.random.default_rng(8), tasks=2, seeds=3, items=60, deviation=0.0)
    said = spread(several, compare(several))
    assert "measured on the seeds that ran." in said
    assert "assumed" not in said
    assert "single seed" not in said


@pytest.mark.parametrize(
    ("tasks", "seeds", "deviation", "wild"),
    [(1, 3, 0.05, 1.0), (2, 2, 0.0, 1.0), (2, 1, ASSUMED_SEED_DEVIATION, 1.0), (2, 3, 0.03, 6.0)],
)
def test_of_tests_that_share_an_error_any_is_called_in_at_most_five_percent(tasks, seeds, deviation, wild):
    generator = np.random.default_rng(9)
    reports = 150
    called, covered = {}, []
    for _ in range(reports):
        found = compare(draw(generator, tasks=tasks, seeds=seeds, items=60, deviation=deviation, wild=wild))
        for task, own in found.found.items():
            called.setdefault(task, []).append(any(one.verdict != UNDECIDED for one in own.values()))
            covered += [one.difference.low <= 0 <= one.difference.high for one in own.values()]
    assert called.keys() == {*map(str, range(tasks)), *([None] if tasks > 1 else [])}
    for times in called.values():
        assert np.mean(times) <= ERROR + 2 * np.sqrt(ERROR * (1 - ERROR) / reports)
    assert np.mean(covered) > 0.93
