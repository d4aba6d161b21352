"""Successive halving: the same rungs and cost for every method, and the rate that wins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.budget import cost, rungs
from harness.examine import Examined, Examiner
from harness.result import Trial
from harness.task import Example
from harness.tune import choose
from tests.test_matching import cells


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        (1, []),
        (2, [(2, 1 / 2)]),
        (3, [(3, 1 / 4), (2, 1 / 2)]),
        (4, [(4, 1 / 4), (2, 1 / 2)]),
        (5, [(5, 1 / 8), (3, 1 / 4), (2, 1 / 2)]),
        (8, [(8, 1 / 8), (4, 1 / 4), (2, 1 / 2)]),
    ],
)
def test_rungs_halve_the_rates_and_double_the_training(
    trials: int, expected: list[tuple[int, float]]
) -> None:
    assert list(rungs(trials)) == expected


def test_the_cost_grows_with_the_logarithm_of_the_trials() -> None:
    assert [cost(trials) for trials in (1, 2, 4, 8)] == [0, 1, 2, 3]


def tuned(scores: dict[tuple[float, int], float], rates: list[float]) -> tuple[float, tuple[Trial, ...]]:
    return choose(rates, lambda rate, share, label: (scores[rate, int(28 * share)], int(28 * share)))


def test_the_better_half_goes_on_and_the_last_rung_decides() -> None:
    scores = {
        (1e-3, 7): 0.5, (3e-3, 7): 0.6, (3e-4, 7): 0.2, (1e-4, 7): 0.1, (3e-3, 14): 0.6, (1e-3, 14): 0.7,
    }  # fmt: skip
    rate, trials = tuned(scores, [1e-3, 3e-3, 3e-4, 1e-4])
    assert rate == 1e-3
    assert {(trial.learning_rate, trial.steps): trial.score for trial in trials} == scores
    assert [trial.rung for trial in trials] == [1, 1, 1, 1, 2, 2]
    assert all(trial.seconds >= 0 for trial in trials)


def test_the_default_stays_where_all_score_alike() -> None:
    grid = [1e-3, 3e-3, 3e-4]
    scores = {(rate, steps): 0.0 for rate in grid for steps in (7, 14)}
    assert tuned(scores, grid)[0] == 1e-3


def test_a_rate_that_diverged_loses_to_one_that_scores_nothing() -> None:
    rate, trials = choose([3.0, 1.0], lambda rate, share, label: (None if rate == 3.0 else 0.0, 7))
    assert rate == 1.0
    assert [(trial.learning_rate, trial.score) for trial in trials] == [(3.0, 0.0), (1.0, 0.0)]


def test_where_all_on_the_last_rung_diverge_the_best_of_the_others_is_left() -> None:
    scores = {(3.0, 7): 0.5, (1.0, 7): 0.4, (0.3, 7): 0.2, (0.1, 7): 0.3}

    def attempt(rate: float, share: float, label: str) -> tuple[float | None, int]:
        return scores.get((rate, int(28 * share))), int(28 * share)

    assert choose([3.0, 1.0, 0.3, 0.1], attempt)[0] == 0.1
    assert choose([3.0, 1.0], attempt)[0] == 3.0  # nothing else was tried


def test_one_rate_needs_no_trial() -> None:
    assert tuned({}, [1e-3]) == (1e-3, ())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_test_items_are_asked_once_and_after_training(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, set[str]]] = []
    examine = Examiner.examine

    def heard(self: Examiner, model: Any, examples: Sequence[Example], label: str) -> Examined:
        asked.append((label, {example.id for example in examples}))
        return examine(self, model, examples, label)

    monkeypatch.setattr(Examiner, "examine", heard)
    (result,) = cells(toy_folder, tmp_path, "lora-r16", trials=3)
    assert result.train is not None
    splits = registry.task(str(Path(__file__).parent / "toy_task.py")).load()
    test, dev = ({example.id for example in part} for part in (splits.test, splits.dev))
    assert [label for label, ids in asked if ids & test] == ["evaluate"]
    assert asked[-1][0] == "evaluate"
    assert {label.split()[0] for label, ids in asked if ids <= dev} == {"tune", "checkpoints"}
