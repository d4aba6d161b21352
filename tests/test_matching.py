"""Budgets of equal operations and equal seconds: whole cells on the toy model, in this process."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import registry, worker
from harness.budget import preset
from harness.data import Batch, Encoder, batches, stream
from harness.flops import Cost, train_step_flops
from harness.grid import Listener, Settings, build
from harness.matching import CALIBRATION_STEPS, Supply, full_flops, steps_of_equal_flops
from harness.model import ModelSource
from harness.result import Result
from harness.run import execute

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
    pytest.mark.usefixtures("undrawn"),
]

METHODS = ("full", "lora-r16", "adalora", "prompt-tuning")


class Here:
    """An executor that runs everything in this process, where a test can set the clock."""

    def call(self, function: str, *arguments: Any, timeout: float, on_message: Any = None) -> Any:
        return getattr(worker, function)(*arguments, lambda message: None)


def cells(
    toy_folder: Path, folder: Path, methods: str, match: str = "examples", **budget: Any
) -> list[Result]:
    chosen = Settings(
        tasks=str(Path(__file__).parent / "toy_task.py"), methods=methods, model=str(toy_folder),
        budget="smoke", match=match, seeds=None, results=folder / "results", reports=folder / "reports",
        device="cpu", hub=False, chat=False,
    )  # fmt: skip
    here: Any = Here()
    grid = build(chosen, here, Listener())
    return execute(replace(grid, budget=replace(grid.budget, **budget)), here, Listener(), force=False)


class Clock:
    """Stands still but for training steps, each of which takes what `pace` says for its method.

    `pace` gets the method's trained parameters and how many steps were taken before, over all runs.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pace: Callable[[int, int], float]) -> None:
        self.now, self.steps, self.pace = 0.0, 0, pace
        monkeypatch.setattr("harness.train.time", SimpleNamespace(perf_counter=lambda: self.now))
        original = worker.train
        monkeypatch.setattr(
            worker, "train", lambda *args, **options: original(*args, **self.slowed(**options))
        )

    def slowed(self, **options: Any) -> dict[str, Any]:
        def loss_of(model: Any, batch: Batch) -> Any:
            self.now += self.pace(sum(p.numel() for p in model.parameters() if p.requires_grad), self.steps)
            self.steps += 1
            return options["loss_of"](model, batch)

        return {**options, "loss_of": loss_of}


def prefix(first: Result, second: Result) -> bool:
    """Whether both read the same batches up to where one stopped."""
    return all(one.tokens == other.tokens for one, other in zip(first.curve, second.curve, strict=False))


def test_equal_flops_are_those_of_full_to_within_a_step(toy_folder: Path, tmp_path: Path) -> None:
    same = cells(toy_folder, tmp_path / "examples", "full", epochs=4)[0]
    full, *others = cells(toy_folder, tmp_path, ",".join(METHODS), match="flops", epochs=4)
    assert full.train
    assert full.flops
    assert full.flops["train"]
    # Full fine-tuning is what the others are measured by: nothing of it may change.
    assert full.train.steps == 8
    assert [(p.loss, p.learning_rate, p.tokens) for p in full.curve] == [
        (p.loss, p.learning_rate, p.tokens) for p in same.curve
    ]
    assert full.items == same.items
    for result in others:
        assert result.status == "ok", result.reason
        assert result.train
        assert result.flops
        assert result.flops["train"]
        step = result.flops["train"] / result.train.steps
        assert abs(result.flops["train"] - full.flops["train"]) <= step
        assert prefix(full, result)
        assert result.curve[-1].learning_rate < result.train.learning_rate / 2
    assert {result.train.steps for result in others if result.train} != {8}


def test_equal_seconds_end_within_a_step(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paces: dict[int, float] = {}

    def pace(trainable: int, done: int) -> float:
        if trainable not in paces:
            paces[trainable] = (0.5, 0.25, 0.75, 0.125)[len(paces)]
        return paces[trainable]

    Clock(monkeypatch, pace)
    results = cells(toy_folder, tmp_path, ",".join(METHODS), match="seconds=3")
    for result, one in zip(results, (0.5, 0.25, 0.75, 0.125), strict=True):
        assert result.status == "ok", result.reason
        assert result.train
        assert result.train.steps == len(result.curve) == 3 / one
        assert result.curve[-1].seconds == pytest.approx(3.0)
        assert result.train.examples == 8 * result.train.steps
        assert result.train.drawn == 16
        assert "calibrate" in result.phases
        assert result.identity["budget"]["train_seconds"] == 3
    assert all(prefix(results[0], result) for result in results)
    report = (tmp_path / "reports" / "report.md").read_text()
    assert "All methods train for 3.0 s of the train clock" in report
    assert "| method | quality (`accuracy`) | steps | examples seen |" in report


@pytest.mark.parametrize(("later", "steps"), [(0.125, 24), (2.0, 2)])
def test_a_run_of_more_or_fewer_steps_than_estimated_is_whole(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: float, steps: int
) -> None:
    # Calibrated at half a second a step, so that AdaLoRA's schedule is made for 6 steps.
    Clock(monkeypatch, lambda trainable, done: 0.5 if done < CALIBRATION_STEPS else later)
    (result,) = cells(toy_folder, tmp_path, "adalora", match="seconds=3")
    assert (result.status, len(result.curve)) == ("ok", steps)
    # The rate follows the clock, not the estimate.
    rates = [point.learning_rate for point in result.curve]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert all(rate > 0 for rate in rates)


def test_trials_get_shares_of_the_same_kind(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch, lambda trainable, done: 0.25)
    (timed,) = cells(toy_folder, tmp_path / "a", "lora-r16", match="seconds=4", trials=3)
    (counted,) = cells(toy_folder, tmp_path / "b", "lora-r16", match="flops", epochs=4, trials=3)
    assert timed.train
    assert counted.train
    assert timed.train.steps == 16
    assert [trial.steps for trial in timed.train.trials] == [4, 4, 4, 8, 8]
    steps = counted.train.steps
    assert [trial.steps for trial in counted.train.trials] == [*[steps // 4] * 3, *[steps // 2] * 2]


def test_full_is_counted_alike_with_weights_and_without(toy: ModelSource) -> None:
    encoder = Encoder(toy.tokenizer(), 64)
    (batch,) = batches([encoder.pair("Count to 3:", "one")], batch_size=1, epochs=1, seed=0, pad=0)
    model = registry.method("full").adapt(toy.load(), preset("smoke"))
    assert full_flops(toy, batch) == train_step_flops(model, batch).counted > 0


def test_a_supply_is_one_stream(toy: ModelSource) -> None:
    encoder = Encoder(toy.tokenizer(), 64)
    pairs = [encoder.pair("Count:" + "x" * n, "one") for n in range(20)]
    supply = Supply(pairs, batch_size=8, seed=3, pad=0)
    late = list(itertools.islice(supply.after(2), 5))
    wanted = list(itertools.islice(stream(pairs, batch_size=8, seed=3, pad=0), 7))
    assert [batch.ids.tolist() for batch in supply.first(2) + late] == [b.ids.tolist() for b in wanted]
    passes = batches(pairs, batch_size=8, epochs=2, seed=3, pad=0)
    assert [batch.ids.tolist() for batch in passes] == [batch.ids.tolist() for batch in wanted[:6]]
    assert sorted(map(len, (b.ids for b in passes[:3]))) == [4, 8, 8]  # each pass sees every example once
    assert passes[0].ids.tolist() != passes[3].ids.tolist()


@pytest.mark.parametrize(
    ("allowed", "once", "steps"),
    [(1.0, 0.0, 1), (1.4, 0.0, 1), (1.6, 0.0, 2), (7.0, 0.0, 7), (7.0, 0.75, 4)],
)
def test_steps_of_equal_flops_come_closest(toy: ModelSource, allowed: float, once: float, steps: int) -> None:
    encoder = Encoder(toy.tokenizer(), 64)
    supply = Supply([encoder.pair("Count:", "one")] * 4, batch_size=4, seed=0, pad=0)
    each = supply.first(1)[0].ids.numel()
    assert steps_of_equal_flops(supply, allowed * each, Cost(once=once * each, position=1.0)) == steps
