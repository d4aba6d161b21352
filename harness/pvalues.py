"""P values: an exact test of paired answers, and the correction of several that share one error."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import binomtest


def mcnemar(first: int, second: int) -> float:
    """McNemar's exact test, one-sided: the chance of at least `first` of all discordant pairs.

    Args:
        first: Pairs of one kind, say right only in the candidate.
        second: Pairs of the other kind.
    """
    if first + second == 0:
        return 1.0
    return float(binomtest(first, first + second, 0.5, alternative="greater").pvalue)


def holm(p_values: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """P values adjusted by Holm's step-down method: those at most 0.05 keep the family's error at 5%.

    Args:
        p_values: One a test, in any order.
        weights: How the error is first shared out (Holm, "A simple sequentially rejective multiple test
            procedure", 1979, section 4); equally by default.

    Raises:
        ValueError: A p value is no number from 0 to 1, or a weight is not above 0.
    """
    shares = [1.0] * len(p_values) if weights is None else list(weights)
    if not all(0 <= p <= 1 for p in p_values) or not all(0 < share < math.inf for share in shares):
        raise ValueError("p values must be from 0 to 1, weights above 0")
    order = sorted(range(len(p_values)), key=lambda at: p_values[at] / shares[at])
    left, largest = math.fsum(shares), 0.0
    adjusted = [1.0] * len(p_values)
    for at in order:
        largest = max(largest, min(1.0, p_values[at] * left / shares[at]))
        adjusted[at] = largest
        left -= shares[at]
    return adjusted
