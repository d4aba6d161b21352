"""What the figures show, in sentences: who is ahead, where no difference is shown, what does not compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.report import words
from harness.report.comparisons import Comparisons
from harness.report.rows import Board, Row, without_model
from harness.report.standing import standings
from harness.result import Result
from harness.stats import Interval

SHARED = ("task_hash", "budget", "recipe", "model", "data", "device", "precision", "machine", "versions")
"""What results must agree on to be compared."""


def findings(task: str, rows: Mapping[str, Row], comparisons: Comparisons) -> list[str]:
    """Sentences on the best method, on how each stands to the references, and on a rule without a model."""
    scored = {method: row.quality for method, row in rows.items() if row.quality}
    if len(scored) < 2:
        return []
    best = max(scored, key=lambda method: scored[method].value)
    said = [
        f"{words.code(best)} scores highest, {words.interval(scored[best])}.",
        *standings(comparisons, task, list(scored)),
    ]
    if rule := without_model(rows):
        said += _beside(*rule, scored)
    return said


def cautions(rows: Board) -> list[str]:
    """Sentences on results that were measured under different conditions and do not compare."""
    said = []
    for task, own in rows.items():
        cells = [cell for row in own.values() for cell in row.ok]
        mixed = [name for name in SHARED if len(_distinct(cells, name)) > 1]
        if "machine" in mixed and _a_seed_a_machine(cells):
            mixed.remove("machine")
            timed = words.seeds(cell.seed for row in own.values() for cell in row.timed)
            said.append(
                f"The seeds of {words.code(task)} were shared out over machines, all methods of a seed on "
                f"one: seconds, memory and energy are of {timed} alone."
            )
        if mixed:
            said.append(
                f"The results of {words.code(task)} differ in {words.listed(mixed)}: they do not compare, "
                "and the figures of this report that join them mean little. Run them again under one setting."
            )
    return said + _several_clocks(rows) + _given_rates(rows)


def _a_seed_a_machine(cells: Sequence[Result]) -> bool:
    """Whether every seed ran on one machine, whichever that was."""
    seeds = {cell.seed for cell in cells}
    return all(
        len(_distinct([cell for cell in cells if cell.seed == seed], "machine")) == 1 for seed in seeds
    )


def _several_clocks(rows: Board) -> list[str]:
    """A sentence on tasks that were timed on other machines than others were."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for task, own in rows.items():
        timed = next((cell for row in own.values() for cell in row.timed), None)
        if timed is not None:
            name = str(timed.environment.get("device_name", "an unknown processor"))
            tasks.setdefault((str(timed.identity.get("machine")), name), []).append(task)
    if len(tasks) < 2:
        return []
    places = [
        f"{words.names(own)} on {words.escaped(name)} ({machine[:6]})"
        for (machine, name), own in tasks.items()
    ]
    return [
        f"Seconds compare within a task, not between tasks, which were timed on several machines: "
        f"{'; '.join(places)}. Means of seconds over them weigh the slower machine's more."
    ]


def _given_rates(rows: Board) -> list[str]:
    """A sentence on methods whose one rate was given where the others chose theirs on dev."""
    given: dict[str, None] = {}
    for row in (row for own in rows.values() for row in own.values()):
        for cell in row.ok:
            # A run with trials has none recorded where it had but one rate to try.
            if cell.train and not cell.train.trials and cell.identity.get("tuning") is not None:
                given[row.method] = None
    if not given:
        return []
    return [
        f"The learning rate of {words.names(list(given))} was given; the other trained methods chose theirs "
        "on development items, which a given rate need not be fair to either way."
    ]


def _beside(rule: str, score: float, scored: Mapping[str, Interval]) -> list[str]:
    """Which methods' intervals are not above a rule that needs no model."""
    behind = [method for method, quality in scored.items() if quality.low <= score]
    known = f"the best rule without a model ({words.escaped(rule)}, {words.percent(score)})"
    return (
        [f"Not above {known} with the whole interval: {words.names(behind)}."]
        if behind
        else [f"The whole interval of every method is above {known}."]
    )


def _distinct(cells: Sequence[Result], name: str) -> list[Any]:
    """The different values under one key of the identities that have it."""
    found: list[Any] = []
    for cell in cells:
        value = cell.identity.get(name)
        if value is not None and value not in found:
            found.append(value)
    return found
