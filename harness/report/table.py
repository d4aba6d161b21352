"""The report's tables, as pandas frames whose cells are Markdown already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from harness import stats
from harness.report import words
from harness.report.article import CLAIMS
from harness.report.comparisons import Comparisons
from harness.report.rows import Board, Row, gain, mean, mean_spread, shares, without_model
from harness.result import Result

GAIN = "full's gain kept"
ON_DISK = "on disk"
SEEDS = "between seeds"
"""Column of the spread of the seeds' means."""
STEPS, SEEN = "steps", "examples seen"
OPTIONAL = (
    SEEDS, STEPS, SEEN, ON_DISK, "of the model's size", "of full's FLOPs", "of full's seconds",
    "of full's energy", GAIN,
)  # fmt: skip
"""Columns of the task table that are left out where no method has a figure, or all have the same."""


def text_or_none(frame: pd.DataFrame | None) -> str | None:
    """A frame of words as a GitHub table; None for none."""
    return None if frame is None else markdown(frame, figures=False)


def markdown(frame: pd.DataFrame, *, figures: bool = True) -> str:
    """The frame as a GitHub table; all but the first column to the right where they hold figures."""
    rest = ["---:" if figures else "---"] * (len(frame.columns) - 1)
    lines = [list(frame.columns), ["---", *rest], *frame.values.tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def task_table(rows: Mapping[str, Row]) -> pd.DataFrame:
    """One task in the article's form: quality beside what it cost."""
    full = rows.get("full")
    metric = next((row.metric for row in rows.values() if row.metric), None)
    quality = f"quality ({words.code(metric)})" if metric else "quality"
    uneven = len({(row.steps, row.examples) for row in rows.values() if row.steps}) > 1
    lines: list[dict[str, str]] = []
    if rule := without_model(rows):
        lines.append({"method": f"no model: {words.escaped(rule[0])}", quality: words.percent(rule[1])})
    for method, row in rows.items():
        parts = shares(row, full)
        lines.append(
            {
                "method": _name(row),
                quality: words.interval(row.quality) if row.quality else _statuses(row),
                SEEDS: words.spread(row.seed_deviation, len(row.by_seed)),
                STEPS: words.count(row.steps if uneven else None),
                SEEN: words.count(row.examples if uneven else None),
                "training time": words.span(row.seconds, row.slowest),
                "peak memory": words.gigabytes(row.peak_bytes),
                "parameters trained": words.share(parts.parameters),
                ON_DISK: words.size(row.adapter_bytes),
                "of the model's size": words.share(row.disk_share),
                "of full's FLOPs": words.share(parts.flops),
                "of full's seconds": words.share(parts.seconds),
                "of full's energy": words.share(parts.joules),
                GAIN: _gain([rows], method),
            }
        )
    frame = pd.DataFrame(lines).fillna(words.ABSENT)
    return frame.drop(columns=[name for name in OPTIONAL if (frame[name] == words.ABSENT).all()])


def article_table(task: str, rows: Mapping[str, Row], comparisons: Comparisons) -> pd.DataFrame:
    """The article's figures for one of its two tasks beside ours."""
    claims = CLAIMS[task]
    full, own_full = claims["full"], rows.get("full")
    lines = []
    for method, claim in claims.items():
        row = rows.get(method)
        own = shares(row, own_full) if row else None
        distance = comparisons.get(task, method, "full")
        lines.append(
            {
                "method": words.code(method),
                "article: quality": words.percent(claim.quality),
                "here: quality": words.interval(row.quality) if row else words.ABSENT,
                "article: gap to full": words.gap(claim.quality - full.quality if method != "full" else None),
                "here: gap to full": words.points(distance.difference if distance else None),
                "article: time": words.seconds(claim.seconds),
                "here: time": words.seconds(row.seconds) if row else words.ABSENT,
                "article: time of full's": words.share(claim.seconds / full.seconds),
                "here: time of full's": words.share(own.seconds) if own else words.ABSENT,
                'article: "compute"': words.share(claim.compute),
                "here: FLOPs of full's": words.share(own.flops) if own else words.ABSENT,
            }
        )
    return pd.DataFrame(lines)


def summary_table(rows: Board) -> pd.DataFrame:
    """Mean rank, quality and costs of every method over the tasks of a grid without gaps."""
    ranks = stats.mean_ranks([{method: row.runs for method, row in own.items()} for own in rows.values()])
    lines = []
    for method in sorted(ranks, key=lambda name: ranks[name].value):
        own = [task[method] for task in rows.values()]
        lines.append(
            {
                "method": words.code(method),
                "mean rank": words.rank(ranks[method]),
                "mean quality": words.interval(stats.tasks_interval([row.runs for row in own])),
                SEEDS: words.spread(*mean_spread(own)),
                GAIN: _gain(list(rows.values()), method),
                "mean training time": words.seconds(mean([row.seconds for row in own])),
                "mean peak memory": words.gigabytes(mean([row.peak_bytes for row in own])),
            }
        )
    frame = pd.DataFrame(lines)
    return frame.drop(columns=[name for name in (SEEDS, GAIN) if (frame[name] == words.ABSENT).all()])


def readme_table(rows: Board, methods: Sequence[str]) -> pd.DataFrame:
    """Tasks down, methods across, the best answer without a model first; mean costs at the end."""
    lines = []
    for task, own in rows.items():
        rule = without_model(own)
        line = {"task": words.code(task), "no model": words.percent(rule[1] if rule else None)}
        for method in methods:
            line[words.code(method)] = words.interval(own[method].quality) if method in own else words.ABSENT
        lines.append(line)
    seconds = {"task": "mean training time", "no model": words.ABSENT}
    memory = {"task": "mean peak memory", "no model": words.ABSENT}
    for method in methods:
        there = [own[method] for own in rows.values() if method in own]
        seconds[words.code(method)] = words.seconds(mean([row.seconds for row in there]))
        memory[words.code(method)] = words.gigabytes(mean([row.peak_bytes for row in there]))
    return pd.DataFrame([*lines, seconds, memory])


def methods_table(results: Sequence[Result], methods: Sequence[str]) -> pd.DataFrame:
    """Each method's configuration, its learning rates, and how many it could try."""
    lines = []
    for method in methods:
        own = [cell for cell in results if cell.method == method]
        trained = [cell.train for cell in own if cell.train]
        offered = {float(value) for cell in own for value in cell.identity.get("learning_rates") or ()}
        configurations = {words.settings(cell.identity.get("method_config") or {}) for cell in own}
        lines.append(
            {
                "method": words.code(method),
                "configuration": "; ".join(sorted(configurations)),
                "learning rates on offer": words.rates(offered),
                "used": words.rates(train.learning_rate for train in trained),
                "trials a cell": words.numbers(sorted({len(train.trials) for train in trained})),
            }
        )
    return pd.DataFrame(lines)


def pairs_table(pairs: Mapping[str, str], names: tuple[str, str]) -> pd.DataFrame:
    """Two columns, the values Markdown already."""
    return pd.DataFrame(list(pairs.items()), columns=list(names))


def _name(row: Row) -> str:
    whole = len(row.ok) in (0, len(row.cells))
    return words.code(row.method) + ("" if whole else f" ({len(row.ok)} of {len(row.cells)} seeds)")


def _statuses(row: Row) -> str:
    return ", ".join(dict.fromkeys(cell.status for cell in row.cells if cell.status != "ok")) or words.ABSENT


def _gain(tasks: Sequence[Mapping[str, Row]], method: str) -> str:
    kept = gain(tasks, method)
    # 0% and 100% by definition: an interval would suggest that they were measured.
    return words.percent(kept.value) if kept and method in ("zero-shot", "full") else words.interval(kept)
