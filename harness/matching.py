"""How far a method trains where all of them get the same operations or the same seconds.

Every method reads one stream of batches from its beginning; they only stop at different places. Operations
are counted for every method as `flops` counts them, for full fine-tuning on a model without weights.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence

from torch._subclasses.fake_tensor import FakeTensorMode

from harness.data import Batch, Encoded, stream
from harness.flops import Cost, train_step_flops
from harness.model import ModelSource
from harness.result import Point

TRAINING_SHARE = 0.2
"""Share of the probed matrix speed that training is sure to reach: how much of it fits into a time."""

CALIBRATION_STEPS = 5
"""Steps with which a method's speed is estimated; the first of them warms up and is not timed."""


class Supply:
    """The batches of one cell, the same for every method, without end; each is made once, when asked for."""

    def __init__(self, encoded: Sequence[Encoded], *, batch_size: int, seed: int, pad: int) -> None:
        self._stream = stream(encoded, batch_size=batch_size, seed=seed, pad=pad)
        self._made: list[Batch] = []

    def first(self, count: int) -> list[Batch]:
        """The first `count` batches."""
        self._make(count)
        return self._made[:count]

    def after(self, count: int) -> Iterator[Batch]:
        """All batches after the first `count`."""
        for index in itertools.count(count):
            self._make(index + 1)
            yield self._made[index]

    def _make(self, count: int) -> None:
        self._made += itertools.islice(self._stream, max(0, count - len(self._made)))


def positions(batches: Iterable[Batch]) -> int:
    """Tokens that a model sees of the batches, padding included: what operations are proportional to."""
    return sum(batch.ids.numel() for batch in batches)


def full_flops(source: ModelSource, batch: Batch) -> float:
    """Operations of a step of full fine-tuning on the batch, counted without memory for a model.

    None of them are once a step, so that other batches cost in proportion to their positions.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        return train_step_flops(source.empty(source.device), batch.to(source.device)).counted


def steps_of_equal_flops(supply: Supply, allowed: float, cost: Cost) -> int:
    """Steps whose batches come closest to the allowed operations, one at least."""
    spent = 0.0
    for done, batch in enumerate(supply.after(0)):
        ahead = cost.of(1, positions([batch]))
        if done and spent + ahead / 2 > allowed:
            return done
        spent += ahead
    raise AssertionError("the supply has no end")


def steps_of_equal_seconds(
    seconds: float, usual: Sequence[Batch], tried: Sequence[Batch], curve: Sequence[Point]
) -> int:
    """About how many steps fit into the time, one at least.

    Args:
        seconds: Of the train clock.
        usual: Batches whose mean width stands for all.
        tried: Batches of a short run.
        curve: Its points, a step each; fewer where it broke off.
    """
    paces = [
        (point.seconds - before.seconds) / positions([batch])
        for before, point, batch in zip(curve, curve[1:], tried[1:], strict=False)
    ]
    pace = statistics.median(paces) if paces else curve[0].seconds / positions(tried[:1])
    return max(1, round(seconds / (pace * positions(usual) / len(usual))))
