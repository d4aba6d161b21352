"""Which learning rate a method is trained with: successive halving on the development items.

Every method gets the same: the first `trials` rates of its own grid, all of them trained for a small
share of the steps, the better half for twice as many, and so on until one is left, which is then trained
for all steps and tested (Jamieson and Talwalkar, 2016). Each trial is a whole run of its own, with its
own warm-up and decay. Two rates on the last rung train for half the steps, four before that for a quarter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from harness.result import Trial

PROTOCOL = "successive halving, on dev"


def rungs(trials: int, steps: int) -> Iterator[tuple[int, int]]:
    """How many rates each rung tries, and for how many steps; none where there is nothing to choose."""
    count = max(trials - 1, 0).bit_length()
    for rung in range(count):
        yield -(-trials // 2**rung), max(1, steps // 2 ** (count - rung))


def cost(trials: int) -> float:
    """Steps of all trials together in units of one full run."""
    whole = 2**20
    return sum(count * steps for count, steps in rungs(trials, whole)) / whole


def choose(
    rates: Sequence[float], steps: int, attempt: Callable[[float, int, str], float]
) -> tuple[float, tuple[Trial, ...]]:
    """The best rate, and all trials in the order they ran; of rates that score alike
    the one stays that was ahead a rung before, the default at first.

    Args:
        rates: The method's grid, its default first.
        steps: Of a full run.
        attempt: Trains at a rate for that many steps and scores on dev, 0 to 1; the text is for progress.
    """
    trials: list[Trial] = []
    left = list(rates)
    for number, (count, share) in enumerate(rungs(len(rates), steps), 1):
        tried: list[Trial] = []
        for rate in left[:count]:
            start = time.perf_counter()
            label = f"tune {len(trials) + len(tried) + 1}"
            score = attempt(rate, share, label)
            seconds = time.perf_counter() - start
            tried.append(Trial(learning_rate=rate, score=score, seconds=seconds, rung=number, steps=share))
        trials += tried
        left = [trial.learning_rate for trial in sorted(tried, key=lambda trial: -trial.score)]
    return left[0], tuple(trials)
