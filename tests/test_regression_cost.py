"""Costs against their tolerances."""

import pytest

from harness.regression import compare
from harness.regression import verdict as verdicts
from harness.regression.cost import OTHER_SEEDS, SAME_MACHINE, TOLERANCES
from tests.test_regression import changed, side

COSTS = {
    "train_seconds": 100.0, "evaluate_seconds": 20.0, "tokens_per_second": 900.0, "peak_bytes": 3e9,
    "train_flops": 8e12, "trainable": 4_884_480.0, "disk_bytes": 9_768_960.0,
}  # fmt: skip
ENVIRONMENT = {"device": "cpu", "machine": "m1"}


def costly(environment=ENVIRONMENT, seeds=(0, 1, 2), **factors):
    costs = {name: value * factors.get(name, 1.0) for name, value in COSTS.items()}
    whole = side(seeds=seeds, methods=("full", "lora-r16"))
    return changed(whole, lambda one: True, costs=costs, environment=environment)


def verdict(check, cost, method="full"):
    (one,) = [one for one in check.costs if one.cost == cost and one.method == method]
    return one


def test_equal_costs_pass():
    check = compare(costly(), costly())
    assert {one.verdict for one in check.costs} == {verdicts.PASS}
    assert len(check.costs) == 2 * len(TOLERANCES)
    assert check.exit_code(strict=True) == 0


@pytest.mark.parametrize("cost", ["train_seconds", "evaluate_seconds", "peak_bytes", "train_flops"])
@pytest.mark.parametrize("interleaved", [True, False])
def test_each_cost_has_its_own_tolerance(cost, interleaved):
    tolerance = TOLERANCES[cost]
    allowed = SAME_MACHINE if tolerance.phase and not interleaved else tolerance.one_job
    within, beyond = 1 + 0.98 * allowed, 1 + 1.02 * allowed
    for factor, expected in (
        (within, verdicts.PASS),
        (beyond, verdicts.REGRESSION),
        (1 / within, verdicts.PASS),
        (1 / beyond, verdicts.IMPROVEMENT),
    ):
        check = compare(costly(), costly(**{cost: factor}), interleaved=interleaved)
        assert verdict(check, cost).verdict == expected, factor
        assert check.exit_code(strict=True) == (expected == verdicts.REGRESSION)


@pytest.mark.parametrize(("cost", "factor"), [("train_seconds", 9.0), ("tokens_per_second", 0.1)])
def test_a_busy_moment_of_the_machine_is_no_regression(cost, factor):
    busy = changed(costly(), lambda one: one.seed > 0, costs={**COSTS, cost: COSTS[cost] * factor})
    assert verdict(compare(costly(), busy), cost).verdict == verdicts.PASS
    assert verdict(compare(costly(), costly(**{cost: factor})), cost).verdict == verdicts.REGRESSION


def test_tokens_a_second_are_worse_when_lower():
    slower = verdict(compare(costly(), costly(tokens_per_second=0.5)), "tokens_per_second")
    assert slower.verdict == verdicts.REGRESSION
    assert slower.ratio == pytest.approx(2)
    faster = verdict(compare(costly(), costly(tokens_per_second=2)), "tokens_per_second")
    assert faster.verdict == verdicts.IMPROVEMENT


@pytest.mark.parametrize("factor", [0.5, 0.999, 1.001, 2.0])
@pytest.mark.parametrize("cost", ["trainable", "disk_bytes"])
def test_any_other_number_of_parameters_is_another_method(cost, factor):
    assert verdict(compare(costly(), costly(**{cost: factor})), cost).verdict == verdicts.REGRESSION


def test_nothing_trained_any_more_is_a_regression():
    check = compare(costly(), costly(trainable=0.0))
    assert verdict(check, "trainable").verdict == verdicts.REGRESSION


TIMES = ("train_seconds", "evaluate_seconds", "tokens_per_second")


@pytest.mark.parametrize("machine", ["m2", None])
def test_seconds_of_another_machine_are_not_gated_and_memory_is(machine):
    slow = dict.fromkeys(TIMES, 3.0) | {"peak_bytes": 2.0}
    check = compare(costly(), costly({"device": "cpu", "machine": machine}, **slow))
    for cost in TIMES:
        assert verdict(check, cost).verdict == verdicts.NOT_GATED
        assert verdict(check, cost).reason == "another machine"
    assert verdict(check, "peak_bytes").verdict == verdicts.REGRESSION


def test_in_one_job_seconds_are_gated_whatever_the_fingerprint_says():
    check = compare(costly(), costly({"device": "cpu", "machine": None}, train_seconds=1.2), interleaved=True)
    assert verdict(check, "train_seconds").verdict == verdicts.REGRESSION


def test_on_another_device_only_parameters_are_gated():
    check = compare(costly(), costly({"device": "cuda", "machine": "m1"}, **dict.fromkeys(COSTS, 2.0)))
    gated = {one.cost for one in check.costs if one.verdict != verdicts.NOT_GATED}
    assert gated == {"trainable", "disk_bytes"}


def test_phases_that_are_too_short_are_not_gated():
    check = compare(costly(train_seconds=0.01), costly(train_seconds=0.05, tokens_per_second=0.2))
    assert verdict(check, "train_seconds").reason == "too short: less than 5 s"
    assert verdict(check, "tokens_per_second").reason == "too short: less than 5 s"
    assert verdict(check, "evaluate_seconds").verdict == verdicts.PASS


def test_other_seeds_draw_other_examples_and_get_more_room():
    check = compare(costly(), costly(seeds=(5, 6), train_flops=1.05))
    assert verdict(check, "train_flops").verdict == verdicts.PASS
    assert verdict(check, "train_flops").allowed == TOLERANCES["train_flops"].one_job + OTHER_SEEDS
    # With some seeds in common, those are compared.
    assert verdict(compare(costly(), costly(seeds=(0, 5), train_flops=1.05)), "train_flops").verdict == (
        verdicts.REGRESSION
    )


def test_the_worst_task_is_judged_and_named():
    one_task = changed(costly(), lambda one: one.task == "two", costs={**COSTS, "peak_bytes": 6e9})
    found = verdict(compare(costly(), one_task), "peak_bytes")
    assert found.verdict == verdicts.REGRESSION
    assert (found.task, found.ratio) == ("two", pytest.approx(2))


def test_unknown_figures_say_so_and_a_method_without_training_has_no_such_row():
    silent = changed(costly(), lambda one: True, costs={"peak_bytes": 3e9})
    check = compare(costly(), silent)
    assert verdict(check, "train_flops").reason == "known on one side only"
    assert {one.cost for one in compare(silent, silent).costs} == {"peak_bytes"}
    nothing = changed(costly(), lambda one: True, costs={})
    assert compare(nothing, nothing).costs == ()


def test_costs_of_cells_that_do_not_compare_are_not_judged():
    bad = changed(costly(peak_bytes=9.0), lambda one: one.method == "full", status="failed", scores={})
    assert {one.method for one in compare(costly(), bad).costs} == {"lora-r16"}
