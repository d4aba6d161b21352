"""Which learning rate a method is trained with: successive halving on the development items.

Every method gets the same: the first `trials` rates of its own grid, all of them trained for a small
share of a full run, the better half for twice as much, and so on until one is left, which is then trained
in full and tested (Jamieson and Talwalkar, 2016). Each trial is a whole run of its own, with its own
warm-up and decay. Two rates on the last rung train for half of a full run, four before that for a quarter:
of its seconds where the budget matches those, else of its steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from harness.budget import rungs
from harness.result import Trial

PROTOCOL = "successive halving, on dev"


def choose(
    rates: Sequence[float], attempt: Callable[[float, float, str], tuple[float | None, int]]
) -> tuple[float, tuple[Trial, ...]]:
    """The best rate, and all trials in the order they ran; of rates that score alike
    the one stays that was ahead a rung before, the default at first. One that did not train comes last: where
    all on the last rung diverge, the one that came furthest of those that never did is left.

    Args:
        rates: The method's grid, its default first.
        attempt: Trains at a rate for that share of a full run; its score on dev, 0 to 1 (None where it
            diverged, which a trial records as 0), and the steps it took. The text is for progress.
    """
    trials: list[Trial] = []
    failed: set[float] = set()
    fallen: set[float] = set()
    left = list(rates)
    for number, (count, share) in enumerate(rungs(len(rates)), 1):
        tried: list[Trial] = []
        failed = set()
        for rate in left[:count]:
            start = time.perf_counter()
            label = f"tune {len(trials) + len(tried) + 1}"
            score, steps = attempt(rate, share, label)
            seconds = time.perf_counter() - start
            if score is None:
                failed.add(rate)
            tried.append(
                Trial(learning_rate=rate, score=score or 0.0, seconds=seconds, rung=number, steps=steps)
            )
        trials += tried
        ranked = sorted(tried, key=lambda trial: (trial.learning_rate in failed, -trial.score))
        left = [trial.learning_rate for trial in ranked]
        fallen |= failed
    sound = [trial for trial in trials if trial.learning_rate not in fallen]
    if left[0] in failed and sound:
        return max(sound, key=lambda trial: (trial.rung or 0, trial.score)).learning_rate, tuple(trials)
    return left[0], tuple(trials)
