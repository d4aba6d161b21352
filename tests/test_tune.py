"""Successive halving: the same rungs and cost for every method, and the rate that wins."""

from __future__ import annotations

import pytest

from harness.result import Trial
from harness.tune import choose, cost, rungs


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


def test_one_rate_needs_no_trial() -> None:
    assert tuned({}, [1e-3]) == (1e-3, ())
