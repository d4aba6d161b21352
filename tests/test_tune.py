"""Successive halving: the same rungs and cost for every method, and the rate that wins."""

from __future__ import annotations

import pytest

from harness.result import Trial
from harness.tune import choose, cost, rungs


@pytest.mark.parametrize(
    ("trials", "steps", "expected"),
    [
        (1, 28, []),
        (2, 28, [(2, 14)]),
        (3, 28, [(3, 7), (2, 14)]),
        (4, 28, [(4, 7), (2, 14)]),
        (5, 100, [(5, 12), (3, 25), (2, 50)]),
        (8, 100, [(8, 12), (4, 25), (2, 50)]),
        (4, 2, [(4, 1), (2, 1)]),
    ],
)
def test_rungs_halve_the_rates_and_double_the_steps(
    trials: int, steps: int, expected: list[tuple[int, int]]
) -> None:
    assert list(rungs(trials, steps)) == expected


def test_the_cost_grows_with_the_logarithm_of_the_trials() -> None:
    assert [cost(trials) for trials in (1, 2, 4, 8)] == [0, 1, 2, 3]


def tuned(scores: dict[tuple[float, int], float], rates: list[float]) -> tuple[float, tuple[Trial, ...]]:
    return choose(rates, 28, lambda rate, steps, label: scores[rate, steps])


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
