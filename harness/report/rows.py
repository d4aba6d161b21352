"""Results grouped as the report shows them: a row for each task and method, over its seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from harness import stats
from harness.aligned import Seeded
from harness.regression.outcome import outcome
from harness.report.palette import order
from harness.result import Phase, Result
from harness.stats import Interval, Runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one method did on one task. Costs are means over the seeds that ended ok, None where unknown.

    Seconds and energy are the best seed's instead: whatever else a machine does can only add to them, and
    what it adds to one seed would stay in a mean over few.

    Attributes:
        cells: Its results, by seed, whatever their status.
        ok: Those that ended ok; all figures come from them.
        timed: Those of them that ran on the task's one machine (`timed_on`); seconds, memory, energy and
            sizes on disk, which depend on the precision, come from these alone.
        by_seed: Their item scores.
        seeded: Whether a seed can change them.
        quality: Mean score with its interval.
        items: Test items that every seed scored.
        seconds: Duration of the train phase.
        slowest: That of the seed that took longest.
        peak_bytes: Peak memory of the train phase.
        steps: Optimizer steps.
        examples: Examples seen in training, repetitions included.
        joules: Energy of the train phase.
        flops: Counted training FLOPs.
        trainable: Parameters trained.
        total: All parameters.
        adapter_bytes: Size on disk of what training leaves.
        model_bytes: Size of the base model.
    """

    task: str
    method: str
    cells: tuple[Result, ...]
    ok: tuple[Result, ...]
    timed: tuple[Result, ...]
    by_seed: Seeded
    seeded: bool
    quality: Interval | None
    items: int
    seconds: float | None
    slowest: float | None
    peak_bytes: float | None
    steps: float | None
    examples: float | None
    joules: float | None
    flops: float | None
    trainable: float | None
    total: float | None
    adapter_bytes: float | None
    model_bytes: float | None

    @property
    def runs(self) -> Runs:
        """The item scores of every seed, in the seeds' order."""
        return list(self.by_seed.values())

    @property
    def seed_means(self) -> list[float]:
        """The mean score of every seed."""
        return [fmean(run.values()) for run in self.by_seed.values()]

    @property
    def seed_deviation(self) -> float | None:
        """Standard deviation of the seeds' means, None of fewer than two."""
        return stdev(self.seed_means) if len(self.by_seed) > 1 else None

    @property
    def rates(self) -> list[float]:
        """The learning rates that it was trained with."""
        return [cell.train.learning_rate for cell in self.ok if cell.train]

    @property
    def disk_share(self) -> float | None:
        """Size on disk of what training leaves, as a share of the base model's size."""
        return _ratio(self.adapter_bytes, self.model_bytes)

    @property
    def metric(self) -> str | None:
        """What the mean score is called."""
        return next((cell.metric.name for cell in self.cells if cell.metric), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """A row's costs relative to full fine-tuning on the same task, None where either is unknown."""

    parameters: float | None
    flops: float | None
    seconds: float | None
    joules: float | None


Board = Mapping[str, Mapping[str, Row]]
"""Rows by task, then by method, both in the order they are shown."""


def board(results: Sequence[Result]) -> Board:
    """All rows: tasks by family and name, methods in the palette's order."""
    tasks = {result.task: result.family for result in results}
    found = {}
    for task in sorted(tasks, key=lambda name: (tasks[name], name)):
        own = [result for result in results if result.task == task]
        cells = {
            method: [result for result in own if result.method == method]
            for method in order({result.method for result in own})
        }
        machine = timed_on(cells.values())
        found[task] = {method: _row(task, method, ran, machine) for method, ran in cells.items()}
    return found


def timed_on(rows: Iterable[Iterable[Result]]) -> Any:
    """The machine whose seconds stand for all, as seeds may have run on several; None if nothing ended ok.

    It is in most of the rows, and of those such the one with most results, or else of the lowest seed.
    """
    ran = [
        (result.seed, place, result.identity.get("machine"))
        for place, row in enumerate(rows)
        for result in row
        if result.status == "ok"
    ]
    found: dict[Any, list[int]] = {}
    for _, place, machine in sorted(ran, key=lambda one: one[0]):
        found.setdefault(machine, []).append(place)
    return max(found, key=lambda machine: (len(set(found[machine])), len(found[machine])), default=None)


def ran_on(results: Iterable[Result], machine: Any) -> tuple[Result, ...]:
    """Those results that are of a machine."""
    return tuple(result for result in results if result.identity.get("machine") == machine)


def without_model(rows: Mapping[str, Row]) -> tuple[str, float] | None:
    """The best rule that needs no model on one task, and its mean score on the same test items."""
    known = [cell.baselines for row in rows.values() for cell in row.cells if cell.baselines]
    return max(known[0].items(), key=lambda pair: pair[1]) if known else None


def shares(row: Row, full: Row | None) -> Shares:
    """The costs of `row` relative to those of `full`; without one, parameters to the method's own total."""
    if full is None or not full.ok:
        return Shares(parameters=_ratio(row.trainable, row.total), flops=None, seconds=None, joules=None)
    return Shares(
        parameters=_ratio(row.trainable, full.trainable),
        flops=_ratio(row.flops, full.flops),
        seconds=_ratio(row.seconds, full.seconds),
        joules=_ratio(row.joules, full.joules),
    )


def gain(tasks: Sequence[Mapping[str, Row]], method: str) -> Interval | None:
    """Share of full fine-tuning's gain over zero-shot that `method` keeps, on one task or over several.

    Returns:
        None where that means nothing, or something did not run on one of them.
    """
    found = [runs for rows in tasks if (runs := _runs(rows, method, "zero-shot", "full")) is not None]
    return stats.gain_retained(found) if found and len(found) == len(tasks) else None


def compared(rows: Board) -> Board:
    """The largest part of the grid without gaps: tasks on which all of the kept methods have a quality.

    Methods are given up one by one, the one with the fewest tasks first; of all the stages the one
    with the most cells is kept, so that one failed method neither hides the others nor a live grid.
    """
    scored = {task: {method: row for method, row in own.items() if row.quality} for task, own in rows.items()}
    methods = order({method for own in scored.values() for method in own})
    best: Board = {}
    while methods:
        stage = {
            task: {method: own[method] for method in methods}
            for task, own in scored.items()
            if own.keys() >= set(methods) and same_items([own[method] for method in methods])
        }
        if len(stage) * len(methods) > sum(map(len, best.values())):
            best = stage
        methods.remove(min(reversed(methods), key=lambda name: sum(name in own for own in scored.values())))
    return best


def same_items(rows: Sequence[Row]) -> bool:
    """Whether the runs of all rows, each of which has some, share an item."""
    runs = [run for row in rows for run in row.runs]
    return bool(set[str](runs[0]).intersection(*runs[1:]))


def methods_of(rows: Board) -> list[str]:
    """Every method on the board, in the palette's order."""
    return order({method for own in rows.values() for method in own})


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what is known, None if nothing is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def mean_spread(rows: Sequence[Row]) -> tuple[float | None, int, int]:
    """Root mean square of a method's deviations between seeds, the fewest seeds, and on how many tasks.

    Tasks that ran with one seed show none and are left out.
    """
    known = [(row.seed_deviation, len(row.runs)) for row in rows if row.seed_deviation is not None]
    if not known:
        return None, 0, 0
    deviation = fmean(deviation**2 for deviation, _ in known) ** 0.5
    return deviation, min(seeds for _, seeds in known), len(known)


def _row(task: str, method: str, cells: list[Result], machine: Any) -> Row:
    cells.sort(key=lambda cell: cell.seed)
    ok = [cell for cell in cells if cell.status == "ok"]
    timed = ran_on(ok, machine)
    outcomes = [outcome(cell) for cell in ok if cell.items]
    runs = [one.scores for one in outcomes]
    items = len(set[str](runs[0]).intersection(*runs)) if runs else 0
    return Row(
        task=task,
        method=method,
        cells=tuple(cells),
        ok=tuple(ok),
        timed=timed,
        by_seed={one.seed: one.scores for one in outcomes},
        seeded=any(one.seeded for one in outcomes),
        quality=stats.runs_interval(runs) if items else None,
        items=items,
        seconds=min(_train(timed, lambda phase: phase.seconds), default=None),
        slowest=max(_train(timed, lambda phase: phase.seconds), default=None),
        peak_bytes=mean(_train(timed, lambda phase: phase.peak_bytes)),
        steps=mean([cell.train.steps for cell in ok if cell.train]),
        examples=mean([cell.train.examples for cell in ok if cell.train]),
        joules=min(_train(timed, lambda phase: phase.energy_joules), default=None),
        flops=mean([(cell.flops or {}).get("train") for cell in ok]),
        trainable=mean([(cell.parameters or {}).get("trainable") if cell.train else 0 for cell in ok]),
        total=mean([(cell.parameters or {}).get("total") for cell in ok]),
        adapter_bytes=mean([cell.adapter_bytes for cell in timed]),
        model_bytes=mean([cell.model_bytes for cell in timed]),
    )


def _train(cells: Sequence[Result], figure: Callable[[Phase], float | None]) -> list[float]:
    """What is known of the train phases."""
    found = [figure(cell.phases["train"]) for cell in cells if "train" in cell.phases]
    return [value for value in found if value is not None]


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _runs(rows: Mapping[str, Row], *methods: str) -> tuple[Runs, ...] | None:
    """The runs of those methods on the seeds that all have, None unless all have some and share an item.

    What no seed changes ran once and stands for every seed; without a seed in common, all runs count.
    """
    chosen = [rows[method] for method in methods if method in rows and rows[method].quality]
    if len(chosen) < len(methods) or not same_items(chosen):
        return None
    seeds = [set(row.by_seed) for row in chosen if row.seeded]
    shared = sorted(set.intersection(*seeds)) if seeds else []
    return tuple(
        [row.by_seed[seed] for seed in shared] if row.seeded and shared else row.runs for row in chosen
    )
