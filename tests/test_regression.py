"""Every verdict, on results whose luck is known."""

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import ResultError, UsageError
from harness.regression import Outcome, Side, compare, power, read_results
from harness.regression import verdict as verdicts
from harness.regression.luck import CellModel, Model
from harness.regression.power import Design
from harness.store import Store
from tests import synthetic

IDENTITY = {
    "task_version": 1, "task_hash": "abc", "data": "embedded", "chat_template": None, "shots": 0,
    "model": {"source": "embedded", "sha256": "ab"},
    "budget": {"name": "ci", "train_examples": 128, "match": "examples"},
    "precision": "bfloat16", "versions": {"torch": "2.13.0"}, "method_config": {"r": 16},
}  # fmt: skip
TASKS, METHODS = ("one", "two"), ("zero-shot", "full", "lora-r16")


def cell(task, method, seed, *, share=0.6, items=200, first=0, **changes):
    """An outcome; equal arguments give equal scores."""
    trained = method != "zero-shot"
    place = (TASKS.index(task) if task in TASKS else 9, len(method), seed * trained + first)
    rng = np.random.default_rng(place)
    hard = np.random.default_rng(place[:2]).beta(0.8, 0.8, items)
    scores = (rng.random(items) < hard - (0.6 - share) + trained * rng.normal(0, 0.015)).astype(float)
    values = {
        "status": "ok", "reason": None, "task": task, "method": method, "seed": seed, "identity": IDENTITY,
        "metric": "accuracy", "trained": trained,
        "scores": {f"{task}-{at}": float(score) for at, score in enumerate(scores)},
    }  # fmt: skip
    return Outcome(**{**values, **changes})


def side(*, seeds=(0, 1, 2), tasks=TASKS, methods=METHODS, worse=None, **changes):
    """A grid; `worse` maps methods to lower shares."""
    return Side(
        name="made up",
        outcomes=tuple(
            cell(
                task,
                method,
                seed,
                **{**changes, **({"share": worse[method]} if method in (worse or {}) else {})},
            )
            for task in tasks
            for method in methods
            for seed in seeds
        ),
    )


def changed(whole, where, **changes):
    """The same side with some outcomes replaced; None leaves them out."""
    kept = [replace(one, **changes) if where(one) else one for one in whole.outcomes]
    return replace(whole, outcomes=tuple(kept))


def without(whole, where):
    return replace(whole, outcomes=tuple(one for one in whole.outcomes if not where(one)))


def found(check, level="cell"):
    return {
        (one.task, one.method) if level == "cell" else one.method or one.task: one
        for one in check.qualities
        if one.level == level
    }


def test_the_same_results_pass_with_every_cell_identical():
    check = compare(side(), side())
    assert check.verdict == verdicts.PASS
    assert {one.verdict for one in check.qualities} == {verdicts.PASS}
    assert all(one.evidence.identical for one in check.qualities)
    assert check.exit_code(strict=True) == 0
    assert [len(found(check, level)) for level in ("cell", "method", "task", "suite")] == [6, 3, 2, 1]


def test_totals_are_over_all_seeds_though_the_base_model_runs_once():
    """Losses on the seeds that zero-shot, which no seed changes, has not run are in the suite's total."""
    before = without(side(seeds=(0, 1, 2, 3)), lambda one: one.method == "zero-shot" and one.seed)
    lost = [
        replace(one, scores={item: 0.5 * score for item, score in one.scores.items()}) if one.seed else one
        for one in before.outcomes
    ]
    check = compare(before, replace(before, outcomes=tuple(lost)))
    (suite,) = found(check, "suite").values()
    assert suite.verdict == verdicts.REGRESSION
    assert suite.evidence.seeds == 4
    changes = [one.evidence.change for one in check.qualities if one.level == "cell"]
    assert suite.evidence.change == pytest.approx(sum(changes) / len(changes))


def test_a_method_that_lost_much_is_a_regression_and_only_it():
    check = compare(side(), side(worse={"lora-r16": 0.3}))
    assert check.verdict == verdicts.REGRESSION
    assert check.exit_code(strict=False) == 1
    methods = found(check, "method")
    assert methods["lora-r16"].verdict == verdicts.REGRESSION
    assert methods["lora-r16"].evidence.p_value <= 0.05
    assert methods["full"].verdict == methods["zero-shot"].verdict == verdicts.PASS
    assert found(check)["one", "lora-r16"].evidence.change == pytest.approx(-0.25, abs=0.1)


def test_a_method_that_gained_much_is_an_improvement_and_passes():
    check = compare(side(worse={"lora-r16": 0.3}), side())
    assert found(check, "method")["lora-r16"].verdict == verdicts.IMPROVEMENT
    assert check.verdict == verdicts.PASS
    assert check.exit_code(strict=True) == 0


def test_other_seeds_are_inconclusive_and_say_what_would_settle_it():
    check = compare(side(), side(seeds=(7, 8, 9)))
    assert check.verdict == verdicts.INCONCLUSIVE
    assert (check.exit_code(strict=False), check.exit_code(strict=True)) == (0, 4)
    some = [one for one in check.qualities if one.verdict == verdicts.INCONCLUSIVE]
    assert some
    for one in some:
        assert 0.02 < one.evidence.detectable < 0.5
        assert one.evidence.more_seeds is None or one.evidence.more_seeds > 1
        assert one.evidence.more_items is None or one.evidence.more_items > 1
    assert not check.paired


def test_a_wide_margin_lets_other_seeds_pass():
    assert compare(side(), side(seeds=(7, 8, 9)), margin=0.25).verdict == verdicts.PASS


@pytest.mark.parametrize("margin", [0, 1, -0.1, float("nan"), 2.0])
def test_a_margin_that_makes_no_sense_is_bad_usage(margin):
    with pytest.raises(UsageError, match="points; it must be above 0 and below 100"):
        compare(side(), side(), margin=margin)


def test_a_small_real_drop_is_let_pass_by_the_margin_but_not_in_the_suite():
    """Half a point on 4,000 items that have no seeds: certain, and small."""
    sizes = {"items": 4000, "methods": ("zero-shot",), "tasks": ("one", "two"), "seeds": (0,)}
    before = side(**sizes)
    after = before
    for task in TASKS:
        right = [item for item, score in before.outcomes[TASKS.index(task)].scores.items() if score][:20]
        scores = {**before.outcomes[TASKS.index(task)].scores, **dict.fromkeys(right, 0.0)}
        after = changed(after, lambda one, task=task: one.task == task, scores=scores)
    check = compare(before, after)
    assert {one.verdict for one in found(check).values()} == {verdicts.PASS}
    assert max(one.evidence.p_value for one in found(check).values()) < 0.001
    assert found(check, "suite")[None].verdict == verdicts.REGRESSION
    assert compare(before, after, margin=0.001).exit_code(strict=False) == 1


def test_many_small_drops_together_are_a_regression():
    """1.65 points on each of 38 cells, none of which shows it alone."""
    model = Model(
        cells=tuple(
            CellModel(task=f"task {at}", method="full", mean=0.6, agreement=0.9, deviation=0.004)
            for at in range(38)
        ),
        share=0.0,
        degrees=0,
    )
    qualities = power.simulate(model, Design(items=300, seeds=3), np.random.default_rng(0), {"full": 0.0165})
    by_level = {
        level: [one.verdict for one in qualities if one.level == level] for level in ("cell", "suite")
    }
    assert by_level["suite"] == [verdicts.REGRESSION]
    assert by_level["cell"].count(verdicts.REGRESSION) <= 1


def test_a_vanished_cell_is_missing():
    check = compare(side(), without(side(), lambda one: one.cell == ("two", "full")))
    assert found(check)["two", "full"].verdict == verdicts.MISSING
    assert found(check)["two", "full"].reason == "the candidate has no such cell"
    assert check.exit_code(strict=False) == 3


def test_a_vanished_seed_is_missing():
    check = compare(side(), without(side(), lambda one: one.cell == ("two", "full") and one.seed == 1))
    assert found(check)["two", "full"].verdict == verdicts.MISSING
    assert "seed 1 is missing" in found(check)["two", "full"].reason
    assert check.exit_code(strict=False) == 3


def test_fewer_or_other_seeds_everywhere_are_no_missing_cells():
    check = compare(side(seeds=range(5)), side(seeds=(0, 1)))
    assert {one.verdict for one in found(check).values()} <= {verdicts.PASS, verdicts.INCONCLUSIVE}


@pytest.mark.parametrize("status", ["failed", "oom", "degenerate", "timeout"])
def test_what_did_not_end_ok_counts_as_a_failure(status):
    bad = changed(
        side(),
        lambda one: one.cell == ("one", "full") and one.seed == 2,
        status=status,
        reason="loss is NaN",
        scores={},
    )
    check = compare(side(), bad)
    assert found(check)["one", "full"].verdict == verdicts.FAILED
    assert found(check)["one", "full"].reason == f"seed 2 was {status}: loss is NaN"
    assert check.verdict == verdicts.FAILED
    assert check.exit_code(strict=False) == 3


def test_a_cell_that_is_skipped_now_is_missing_and_one_always_skipped_is_not_asked_for():
    skipped = changed(
        side(), lambda one: one.method == "full", status="skipped", reason="needs CUDA", scores={}
    )
    check = compare(side(), skipped)
    assert found(check)["one", "full"].verdict == verdicts.MISSING
    assert found(check)["one", "full"].reason == "skipped: needs CUDA"
    assert ("one", "full") not in found(compare(skipped, skipped))


def test_a_baseline_that_failed_cannot_be_compared_with():
    bad = changed(
        side(), lambda one: one.cell == ("one", "full"), status="oom", reason="no memory", scores={}
    )
    check = compare(bad, side())
    assert found(check)["one", "full"].verdict == verdicts.NOT_COMPARABLE
    assert "oom: no memory" in found(check)["one", "full"].reason
    assert (check.exit_code(strict=False), check.exit_code(strict=True)) == (0, 4)


@pytest.mark.parametrize(
    ("identity", "field"),
    [
        ({"task_hash": "abd"}, "task_hash: abc -> abd"),
        ({"task_version": 2}, "task_version: 1 -> 2"),
        ({"data": "hub"}, "data: embedded -> hub"),
        ({"chat_template": "x"}, "chat_template: None -> x"),
        ({"model": {"source": "embedded", "sha256": "cd"}}, "model.sha256: ab -> cd"),
        ({"budget": {**IDENTITY["budget"], "train_examples": 64}}, "budget.train_examples: 128 -> 64"),
        ({"budget": {**IDENTITY["budget"], "trials": 3}}, "budget.trials: absent -> 3"),
        (
            {"budget": {**IDENTITY["budget"], "match": "flops"}},
            "budget.match: examples -> flops",
        ),
        ({"precision": "float32"}, "precision: bfloat16 -> float32"),
    ],
)
def test_other_conditions_are_not_comparable_and_named(identity, field):
    other = changed(side(), lambda one: one.task == "one", identity={**IDENTITY, **identity})
    check = compare(side(), other)
    assert {found(check)["one", method].verdict for method in METHODS} == {verdicts.NOT_COMPARABLE}
    assert found(check)["one", "full"].reason == field
    assert found(check)["two", "full"].verdict == verdicts.PASS
    everywhere = changed(side(), lambda one: True, identity={**IDENTITY, **identity})
    assert compare(side(), everywhere).exit_code(strict=False) == 3


def test_seeds_may_be_of_two_precisions_if_each_is_of_the_same_on_both_sides():
    slow = {**IDENTITY, "precision": "float32"}
    two = changed(side(), lambda one: one.seed == 2, identity=slow)
    assert compare(two, two).verdict == verdicts.PASS
    swapped = changed(side(), lambda one: one.seed == 1, identity=slow)
    fewer = without(two, lambda one: one.seed == 0)
    for other in (side(), swapped, fewer):
        check = compare(two, other)
        assert {one.verdict for one in found(check).values()} == {verdicts.NOT_COMPARABLE}
    assert found(compare(two, side()))["one", "full"].reason == "precision: float32 -> bfloat16"


@pytest.mark.parametrize(
    ("identity", "change"),
    [
        ({"versions": {"torch": "2.14.0"}}, "versions.torch: 2.13.0 -> 2.14.0"),
        ({"method_config": {"r": 8}}, "method_config.r: 16 -> 8"),
        ({"machine": "other"}, "machine: None -> other"),
        ({"budget": {**IDENTITY["budget"], "name": "mine"}}, None),
        ({"model": {"source": "/a/folder", "sha256": "ab"}}, None),
    ],
)
def test_what_a_change_may_be_about_is_compared_and_shown(identity, change):
    check = compare(side(), changed(side(), lambda one: True, identity={**IDENTITY, **identity}))
    assert check.verdict == verdicts.PASS
    assert check.changes == ((change,) if change else ())


def test_other_items_are_not_comparable_and_some_shared_ones_are():
    other = changed(side(), lambda one: one.cell == ("one", "full"), scores={"else": 1.0})
    check = compare(side(), other)
    assert found(check)["one", "full"].reason == "items: none in common"
    half = compare(side(), side(items=100))
    assert found(half)["one", "full"].evidence.items == 100


def test_nothing_that_compares_is_a_failure():
    empty = Side(name="x", outcomes=())
    assert compare(side(), empty).exit_code(strict=False) == 3
    assert compare(empty, side()).exit_code(strict=False) == 3


def test_cells_that_the_baseline_does_not_have_are_named():
    check = compare(side(tasks=("one",)), side())
    assert check.new == (("two", "full"), ("two", "lora-r16"), ("two", "zero-shot"))
    assert check.verdict == verdicts.PASS


def test_methods_of_a_task_without_a_common_seed_are_one_clear_error():
    odd = changed(side(), lambda one: False)
    odd = replace(
        odd, outcomes=tuple(one for one in odd.outcomes if (one.method == "full") == (one.seed == 0))
    )
    with pytest.raises(ResultError, match="no seed or no item in common"):
        compare(odd, side())


@pytest.mark.parametrize("bad", [float("nan"), 1.5, -0.1])
def test_a_score_that_is_none_is_refused(bad):
    with pytest.raises(ResultError, match="must be from 0 to 1"):
        cell("one", "full", 0, scores={"a": bad})


def test_a_regression_outweighs_a_failure_and_a_failure_what_says_nothing():
    worse = side(worse={"lora-r16": 0.3})
    broken = changed(worse, lambda one: one.cell == ("one", "full"), status="failed", scores={})
    assert compare(side(), broken).exit_code(strict=False) == 1
    other = changed(
        side(seeds=(7, 8, 9)), lambda one: one.cell == ("one", "full"), status="failed", scores={}
    )
    assert compare(side(), other).exit_code(strict=False) == 3


def test_one_cell_alone_has_no_totals():
    check = compare(side(tasks=("one",), methods=("full",)), side(tasks=("one",), methods=("full",)))
    assert [one.level for one in check.qualities] == ["cell"]


def test_real_results_compare_with_themselves(tmp_path):
    for one in synthetic.grid():
        Store(tmp_path).write(one)
    read = read_results(tmp_path)
    check = compare(read, read)
    # One cell of the grid failed on both sides: there is nothing to compare with.
    assert sorted({one.verdict for one in check.qualities}) == [verdicts.NOT_COMPARABLE, verdicts.PASS]


def test_a_damaged_candidate_is_a_failed_cell_and_a_damaged_baseline_an_error(tmp_path):
    for one in synthetic.grid(tasks=("legal_license",)):
        Store(tmp_path).write(one)
    good = read_results(tmp_path)
    path = tmp_path / "legal_license" / "full" / "seed-0.json"
    path.write_text(path.read_text().replace('"score": 1.0', '"score": NaN', 1))
    with pytest.raises(ResultError, match="checksum does not match"):
        read_results(tmp_path)
    check = compare(good, read_results(tmp_path, forgiving=True))
    assert found(check)["legal_license", "full"].verdict == verdicts.FAILED
    assert "checksum does not match" in found(check)["legal_license", "full"].reason
    assert check.exit_code(strict=False) == 3


def test_without_seeds_only_items_would_settle_it():
    before = side(methods=("zero-shot",), tasks=("one",), items=100)
    flipped = {
        item: 1 - score if at % 10 == 0 else score
        for at, (item, score) in enumerate(before.outcomes[0].scores.items())
    }
    check = compare(before, changed(before, lambda one: True, scores=flipped))
    (one,) = check.qualities
    assert one.verdict == verdicts.INCONCLUSIVE
    assert one.evidence.more_seeds is None
    assert one.evidence.more_items > 1
