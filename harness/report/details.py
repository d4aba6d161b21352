"""Tables of what stands behind scores: cells that did not end ok, cut texts, answers, retention, trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from harness.report import words
from harness.report.rows import Board, mean
from harness.result import Item, Result, Training, Trial

OUTCOMES = (
    "right", "wrong", "wrong, prompt cut", "wrong, unfinished", "not readable", "not readable, unfinished",
)  # fmt: skip
"""What may become of a test item; a score below 1 counts as wrong."""
PASSAGES = ("prose", "code")
"""What a result's retention is measured on."""


def unfinished_table(results: Sequence[Result]) -> pd.DataFrame | None:
    """Cells that did not end ok, and why; cells of one reason share a line."""
    seeds: dict[tuple[str, str, str, str], list[int]] = {}
    for cell in results:
        if cell.status != "ok":
            key = (cell.task, cell.method, cell.status, words.escaped(cell.reason or words.ABSENT))
            seeds.setdefault(key, []).append(cell.seed)
    lines = [
        {
            "task": words.code(task),
            "method": words.code(method),
            "seeds": words.numbers(numbers),
            "status": status,
            "reason": reason,
        }
        for (task, method, status, reason), numbers in sorted(seeds.items())
    ]
    return pd.DataFrame(lines) if lines else None


def truncation_table(rows: Board) -> pd.DataFrame | None:
    """How often a training example or a test item was cut, summed over seeds; None if never."""
    lines = []
    for own in rows.values():
        for row in own.values():
            trained = [(cell.train, _drawn(cell.train, cell)) for cell in row.ok if cell.train]
            items = [item for cell in row.ok for item in cell.items]
            cut, short = sum(train.truncated for train, _ in trained), sum(item.truncated for item in items)
            stopped = sum(bool(item.unfinished) for item in items)
            told = all(item.unfinished is not None for item in items)
            if cut or short:
                examples = sum(drawn for _, drawn in trained)
                lines.append(
                    {
                        "task": words.code(row.task),
                        "method": words.code(row.method),
                        "training examples cut": f"{cut} of {examples}" if trained else words.ABSENT,
                        "test items cut": f"{short} of {len(items)}",
                        "in their answer": str(stopped) if told else words.ABSENT,
                    }
                )
    return pd.DataFrame(lines) if lines else None


def answers_table(rows: Board) -> pd.DataFrame | None:
    """What became of every test item, summed over seeds: each item is in one column.

    Of tasks on which some prompt was cut, or some answer could not be read or met the limit of new tokens;
    None without any.
    """
    lines = []
    for own in rows.values():
        known = {
            method: [item for cell in row.ok for item in cell.items if item.readable is not None]
            for method, row in own.items()
        }
        if all(item.readable and not item.truncated for items in known.values() for item in items):
            continue
        for method, items in known.items():
            if items:
                counts = Counter(_outcome(item) for item in items)
                names = {"task": words.code(own[method].task), "method": words.code(method)}
                lines.append(names | {name: str(counts[name]) for name in OUTCOMES})
    return pd.DataFrame(lines) if lines else None


def unrecorded(rows: Board) -> list[str]:
    """Tasks of which nothing but scores is known of some answers: an earlier version did not look."""
    return [
        task
        for task, own in rows.items()
        if any(item.readable is None for row in own.values() for cell in row.ok for item in cell.items)
    ]


def retention_table(rows: Board) -> pd.DataFrame | None:
    """Loss on each kind of held-out passages before and after training, a mean over seeds; None if none."""
    lines = []
    for own in rows.values():
        for row in own.values():
            known = [cell.retention for cell in row.ok if cell.retention]
            if not known:
                continue
            line = {
                "task": words.code(row.task),
                "method": words.code(row.method),
                "learning rate": words.rates(row.rates),
            }
            for kind in PASSAGES:
                losses = [one[kind] for one in known if kind in one]
                before = mean([one.loss_before for one in losses])
                after = mean([one.loss_after for one in losses])
                change = None if before is None or after is None else after - before
                line[f"{kind}: before"] = words.nats(before)
                line[f"{kind}: after"] = words.nats(after)
                line[f"{kind}: change"] = words.nats(change, signed=True)
            lines.append(line)
    return pd.DataFrame(lines) if lines else None


def passages(rows: Board) -> str:
    """How much text the losses are means over: ", 8 passages of prose (540 tokens) and ..."."""
    counts = {
        kind: (kept.passages, kept.tokens)
        for own in rows.values()
        for row in own.values()
        for cell in row.ok
        for kind, kept in (cell.retention or {}).items()
        if kind in PASSAGES
    }
    told = [f"{number} passages of {kind} ({tokens:,} tokens)" for kind, (number, tokens) in counts.items()]
    return f", {words.listed(told)}" if told else ""


def trials_table(results: Sequence[Result]) -> pd.DataFrame | None:
    """Every learning rate that was tried on dev, rung by rung, and what that cost; None where none was."""
    lines = []
    for cell in results:
        if cell.train and cell.train.trials:
            rungs: dict[int | None, list[Trial]] = {}
            for trial in cell.train.trials:
                rungs.setdefault(trial.rung, []).append(trial)
            lines.append(
                {
                    "task": words.code(cell.task),
                    "method": words.code(cell.method),
                    "seed": str(cell.seed),
                    "rates tried and their scores on dev": "; ".join(map(_rung, rungs.values())),
                    "chosen": words.rate(cell.train.learning_rate),
                    "time": words.seconds(sum(trial.seconds for trial in cell.train.trials)),
                }
            )
    return pd.DataFrame(lines) if lines else None


def _outcome(item: Item) -> str:
    if item.score == 1:
        return OUTCOMES[0]
    if not item.readable:
        return OUTCOMES[4 + bool(item.unfinished)]
    if item.unfinished:
        return OUTCOMES[3]
    return OUTCOMES[1 + item.truncated]  # what was truncated and ended was so in its prompt


def _drawn(train: Training, cell: Result) -> int:
    """The different examples of a run; results from before there was a figure for them saw all alike."""
    return train.drawn or train.examples // int((cell.identity.get("budget") or {}).get("epochs") or 1)


def _rung(trials: Sequence[Trial]) -> str:
    """The trials of a rung: "7 steps: 1e-3 40.0%, 3e-3 50.0%", or "5 to 9 steps" where they differ."""
    counts = sorted({trial.steps for trial in trials if trial.steps is not None})
    steps = " to ".join(map(str, counts if len(counts) < 2 else (counts[0], counts[-1]))) or "all"
    tried = [f"{words.rate(trial.learning_rate)} {words.percent(trial.score)}" for trial in trials]
    return f"{steps} steps: {', '.join(tried)}"
