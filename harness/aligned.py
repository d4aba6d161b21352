"""Runs of one unit by seed, brought onto the items they share.

A unit is what is compared: a cell of a grid, or the average over several cells. Scores are from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.stats import Run

Floats = npt.NDArray[np.float64]
Seeded = Mapping[int, Run]
"""The runs of one unit by seed."""


def average(runs: Sequence[Seeded]) -> Seeded:
    """One unit out of several that ran the same seeds and items, such as the methods of a task.

    Scores are averaged item by item and seed by seed, over the seeds and items that all share.
    """
    if len(runs) == 1:
        return runs[0]
    seeds = sorted(set[int](runs[0]).intersection(*runs))
    items = (
        sorted(set[str].intersection(*(set(one[seed]) for one in runs for seed in seeds))) if seeds else []
    )
    return {
        seed: dict(
            zip(
                items,
                np.mean([[one[seed][item] for item in items] for one in runs], axis=0).tolist(),
                strict=True,
            )
        )
        for seed in seeds
    }


def aligned(baseline: Seeded, candidate: Seeded) -> tuple[Floats, Floats, bool]:
    """Two matrices, seeds by items, and whether their seeds are the same ones in the same rows.

    Raises:
        ValueError: They share no item, or a score is not from 0 to 1.
    """
    runs = [*baseline.values(), *candidate.values()]
    if not baseline or not candidate or not (shared := set[str](runs[0]).intersection(*runs)):
        raise ValueError("the runs have no item in common")
    ids = sorted(shared)
    old, new = (
        np.array([[side[seed][item] for item in ids] for seed in sorted(side)], dtype=np.float64)
        for side in (baseline, candidate)
    )
    if not all(((rows >= 0) & (rows <= 1)).all() for rows in (old, new)):
        raise ValueError("item scores must be from 0 to 1")
    return old, new, set(baseline) == set(candidate)
