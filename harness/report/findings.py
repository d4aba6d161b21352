"""What the figures show, in sentences: who is ahead, where no difference is shown, what does not compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.identity import SHARED, SHARED_BY_TASK, mixed
from harness.report import words
from harness.report.comparisons import Comparisons
from harness.report.rows import Board, Row, without_model
from harness.report.standing import standings
from harness.result import PLACE, Result
from harness.stats import Interval


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
    everything = [cell for own in rows.values() for row in own.values() for cell in row.ok]
    said = _apart("The results", mixed((cell.identity for cell in everything), SHARED))
    for task, own in rows.items():
        cells = [cell for row in own.values() for cell in row.ok]
        apart = mixed((cell.identity for cell in cells), (*SHARED_BY_TASK, *PLACE))
        if "machine" in apart and _a_seed_a_machine(cells):
            apart = [name for name in apart if name not in PLACE]
            timed = words.seeds(cell.seed for row in own.values() for cell in row.timed)
            said.append(
                f"The seeds of {words.code(task)} were shared out over machines, all methods of a seed on "
                f"one: seconds, memory and energy are of {timed} alone.{_precisions(cells)}"
            )
        said += _apart(f"The results of {words.code(task)}", apart)
    return said + _older(rows) + _several_clocks(rows) + _given_rates(rows)


def _apart(results: str, parts: Sequence[str]) -> list[str]:
    """A sentence on results that differ in parts of their identities, if they do."""
    if not parts:
        return []
    return [
        f"{results} differ in {words.listed(parts)}: they do not compare, and the figures of this report "
        "that join them mean little. Run them again under one setting."
    ]


def _a_seed_a_machine(cells: Sequence[Result]) -> bool:
    """Whether every seed ran on one machine and in one precision, whichever those were."""
    seeds = {cell.seed for cell in cells}
    return all(len({cell.place for cell in cells if cell.seed == seed}) == 1 for seed in seeds)


def _precisions(cells: Sequence[Result]) -> str:
    """What to say of seeds that machines computed in several precisions."""
    found: dict[str, list[int]] = {}
    for cell in cells:
        found.setdefault(str(cell.identity.get("precision")), []).append(cell.seed)
    if len(found) < 2:
        return ""
    computed = words.listed([f"{words.seeds(own)} in {words.code(kind)}" for kind, own in found.items()])
    return f" They computed {computed}, so a part of the spread between seeds may be rounding's."


def _older(rows: Board) -> list[str]:
    """A sentence on tasks measured before results named their engine: by another training loop."""
    old = [
        task
        for task, own in rows.items()
        if any("engine" not in cell.identity for row in own.values() for cell in row.ok)
    ]
    if not old or len(old) == len(rows):  # where all are, nothing stands beside them
        return []
    return [
        f"{words.names(old)} {'was' if len(old) == 1 else 'were'} measured by an earlier version, whose "
        "results do not name an engine: scores, seconds and memory there are of that version's training, and "
        "what a row lacks beside the other tasks' (checkpoints, retention, merging) was not measured yet."
    ]


def _several_clocks(rows: Board) -> list[str]:
    """A sentence on tasks that were timed on other machines than others were."""
    tasks: dict[tuple[str, str, str], list[str]] = {}
    for task, own in rows.items():
        timed = next((cell for row in own.values() for cell in row.timed), None)
        if timed is not None:
            name = str(timed.environment.get("device_name", "an unknown processor"))
            place = (str(timed.identity.get("machine")), name, str(timed.identity.get("precision")))
            tasks.setdefault(place, []).append(task)
    if len(tasks) < 2:
        return []
    places = [
        f"{words.names(own)} on {words.escaped(name)} ({machine[:6]}) in {words.code(precision)}"
        for (machine, name, precision), own in tasks.items()
    ]
    return [
        f"Seconds and memory compare within a task, not between tasks, which were measured on several "
        f"machines: {'; '.join(places)}. Means of seconds over them weigh the slower machine's more, and "
        "those of memory what computes in more bytes."
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
