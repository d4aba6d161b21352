"""Budgets and the planned grid."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from harness import evaluate, registry
from harness.budget import MAY_BE_ZERO, PRESETS, Budget, matched, parse_match, preset
from harness.environment import Environment
from harness.errors import UsageError
from harness.plan import ROWS, TaskSize, estimate, plan, total_seconds
from harness.prepare import prepare
from harness.store import Store
from tests.conftest import Pool

ROOT = Path(__file__).parent.parent
HERE = Environment(
    device="cpu", device_name="test", cores=2, memory_bytes=24 * 2**30, gpu_memory_bytes=None,
    precision="bfloat16", matmul_flops=2.5e12, versions={}, machine="m", commit=None, platform="p",
)  # fmt: skip
LEGAL = TaskSize(train=2050, test=400, prompt=250, target=10, generates=False)
CODE = TaskSize(train=2217, test=400, prompt=230, target=80, generates=True)


def test_presets_grow_and_are_frozen() -> None:
    smoke, quick, standard = (preset(name) for name in ("smoke", "quick", "standard"))
    assert smoke.steps < quick.steps < standard.steps
    assert (standard.seeds, standard.trials) == (3, 3)
    assert quick.steps == quick.train_examples // quick.batch_size
    with pytest.raises(FrozenInstanceError):
        quick.epochs = 7  # type: ignore[misc]


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_budget_fields_are_whole_positive_numbers(value: object) -> None:
    with pytest.raises(UsageError, match="epochs must be a whole number of at least 1"):
        replace(PRESETS["quick"], epochs=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MAY_BE_ZERO)
def test_what_is_measured_beside_the_task_may_be_left_out(name: str) -> None:
    assert getattr(replace(PRESETS["quick"], **{name: 0}), name) == 0  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"{name} must be a whole number of at least 0"):
        replace(PRESETS["quick"], **{name: -1})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ci", "sweep"])
def test_budgets_that_must_stay_cheap_measure_the_task_alone(name: str) -> None:
    assert {getattr(PRESETS[name], field) for field in MAY_BE_ZERO} == {0}


def test_an_unknown_budget_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'quick'\?.*smoke"):
        preset("quik")


@pytest.mark.parametrize(
    ("text", "parsed"), [("examples", ("examples", None)), ("flops", ("flops", None)),
                         ("seconds", ("seconds", None)), ("seconds=90", ("seconds", 90))],
)  # fmt: skip
def test_a_match_is_a_kind_and_perhaps_its_seconds(text: str, parsed: tuple[str, int | None]) -> None:
    assert parse_match(text) == parsed


@pytest.mark.parametrize("text", ["", "steps", "flops=3", "seconds=", "seconds=1.5", "seconds=-2", "=9"])
def test_any_other_match_says_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError, match="none of examples, seconds, flops, or seconds=N"):
        parse_match(text)


def test_every_preset_has_seconds_of_its_own() -> None:
    for budget in PRESETS.values():
        timed = matched(budget, "seconds", None)
        assert timed.train_seconds is not None
        assert 1 <= timed.train_seconds < budget.timeout_seconds
        assert matched(budget, "examples", None) == budget


@pytest.mark.parametrize(("seconds", "said"), [(0, "at least 1"), (7200, "do not fit into a cell")])
def test_seconds_must_fit_into_a_cell(seconds: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        matched(preset("quick"), "seconds", seconds)


def test_seconds_of_trials_must_fit_into_a_cell_too() -> None:
    standard = preset("standard")  # of which three trials cost another 1.75 full runs
    assert matched(standard, "seconds", 5000).train_seconds == 5000
    with pytest.raises(UsageError, match="6000 seconds of training and 3 trials do not fit into a cell"):
        matched(standard, "seconds", 6000)


def test_seconds_belong_to_their_kind_of_budget() -> None:
    with pytest.raises(UsageError, match="only then"):
        replace(preset("quick"), train_seconds=5)
    with pytest.raises(UsageError, match="unknown kind of budget 'flop'; did you mean 'flops'"):
        replace(preset("quick"), match="flop")


def test_the_grid_is_tasks_by_methods_by_seeds() -> None:
    methods = {name: registry.method(name) for name in ("zero-shot", "full", "lora-r16")}
    cells = plan({"legal": LEGAL, "code": CODE}, methods, replace(preset("quick"), seeds=2), HERE, None)
    assert len({(cell.task, cell.method, cell.seed) for cell in cells}) == len(cells) == 2 * (2 * 2 + 1)
    # What neither trains nor shows examples would only repeat its answers under another seed.
    assert {cell.seed for cell in cells if cell.method == "zero-shot"} == {0}
    assert total_seconds(cells) == sum(cell.seconds for cell in cells)
    assert all(cell.skip is None and cell.seconds > 0 for cell in cells)


def test_estimates_grow_with_the_model() -> None:
    full = {"full": registry.method("full")}
    guess, small, large = (
        plan({"legal": LEGAL}, full, preset("quick"), HERE, parameters)[0].seconds
        for parameters in (None, 135e6, 8e9)
    )
    assert guess == small < large / 20


def test_a_method_that_cannot_run_is_a_skip_with_its_reason() -> None:
    (cell,) = plan(
        {"legal": LEGAL},
        {"qlora-r16": registry.method("qlora-r16")},
        preset("smoke"),
        replace(HERE, device="mps"),
        None,
    )
    assert cell.skip is not None
    assert "mps" in cell.skip
    assert cell.seconds == 0


def test_estimates_order_cells_as_they_really_are() -> None:
    quick, full, zero = preset("quick"), registry.method("full"), registry.method("zero-shot")
    legal = estimate(LEGAL, full, quick, HERE, 135e6)
    assert estimate(LEGAL, zero, quick, HERE, 135e6) < legal < estimate(CODE, full, quick, HERE, 135e6)
    assert estimate(LEGAL, full, replace(quick, trials=3), HERE, 135e6) > 2 * legal
    timed = replace(quick, match="seconds", train_seconds=90)
    assert (
        90
        < estimate(LEGAL, full, timed, HERE, 135e6)
        == estimate(LEGAL, registry.method("prompt-tuning"), timed, HERE, 135e6)
    )


@pytest.mark.parametrize("run", ["reference", "power"])
def test_estimates_are_good_to_a_factor_of_two_for_most_cells_that_ran(
    run: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The two were measured on processors whose matrix products differ in speed by three times.
    tasks = ("inflection", "language_id") if run == "power" else ("legal_license", "function_completion")
    ratios = []
    for name in tasks:
        task, splits = pool(name)
        monkeypatch.setattr(type(task), "load", lambda self, splits=splits: splits)
        size = prepare(name, False, 1, lambda message: None).size
        for result in Store(ROOT / "results" / run).load():
            if result.task == name and result.seed == 0:
                machine = {field.name: result.environment[field.name] for field in fields(Environment)}
                budget = Budget(**result.identity["budget"], seeds=1)
                method = registry.method(result.method)
                seconds = estimate(size, method, budget, Environment(**machine), 135e6)
                ratios.append(seconds / sum(phase.seconds for phase in result.phases.values()))
    assert ROWS == evaluate.ROWS
    assert len(ratios) >= 12
    assert sum(0.5 < ratio < 2 for ratio in ratios) >= 0.8 * len(ratios)
