"""Adapters merged into the weights against adapters beside them, as a table and a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from harness.report import words
from harness.report.rows import Board, mean


def merged_table(rows: Board) -> pd.DataFrame | None:
    """Distance and speed of both forms, means over seeds; None where nothing was merged."""
    lines = []
    for own in rows.values():
        for row in own.values():
            found = [cell.merged for cell in row.ok if cell.merged]
            if found:
                lines.append(
                    {
                        "task": words.code(row.task),
                        "method": words.code(row.method),
                        "learning rate": words.rates(row.rates),
                        "logits differ by": words.digits(mean([one.difference for one in found])),
                        "rounding explains": words.digits(mean([one.tolerance for one in found])),
                        "same next token": words.percent(mean([one.agreement for one in found])),
                        "reading": words.times(
                            mean([one.merged.forward / one.apart.forward for one in found])
                        ),
                        "writing": words.times(
                            mean([one.merged.generation / one.apart.generation for one in found])
                        ),
                    }
                )
    return pd.DataFrame(lines) if lines else None


def unmerged(rows: Board) -> str | None:
    """Which adapters stayed beside the weights, and why; None for none."""
    reasons: dict[str, Counter[str]] = {}
    for row in (row for own in rows.values() for row in own.values()):
        for cell in row.ok:
            if cell.unmerged is not None:
                reasons.setdefault(cell.unmerged, Counter())[row.method] += 1
    if not reasons:
        return None
    said = "; ".join(f"{_counted(own)} ({words.escaped(why)})" for why, own in reasons.items())
    return f"Not merged: {said}."


def _counted(methods: Mapping[str, int]) -> str:
    return words.listed(
        [f"{words.code(name)} in {times} cell{'' if times == 1 else 's'}" for name, times in methods.items()]
    )


def beyond_rounding(rows: Board) -> str | None:
    """Which methods some merged model of theirs is no longer the one that was trained; None for none."""
    methods = {
        row.method: None
        for own in rows.values()
        for row in own.values()
        for cell in row.ok
        if cell.merged
        and (
            cell.merged.difference is None
            or cell.merged.tolerance is None
            or cell.merged.difference > cell.merged.tolerance
        )
    }
    if not methods:
        return None
    return f"Further apart than rounding explains: {words.listed([words.code(name) for name in methods])}."
