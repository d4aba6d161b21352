"""What the regression gate sees, from real results: false alarms, smallest drops, and the best split.

    python -m benchmarks.gate_power results/power --write

reads a run of several seeds (three at least; with 2k seeds, real A/A pairs of k too), prints the figures at
the `ci` budget, and with --write puts them into docs/: the figures as JSON, a plot, and a table in gate.md.
With --again RESULTS, the same seeds run by code that only rounds otherwise (on one core instead of two, say),
also what a check sees where both sides have the same seeds, as `make quality` has.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, median, median_low
from typing import Any

from benchmarks.gate_page import BEGIN, END, LIMIT_SECONDS, SEEDS, plot, table
from harness.atomic import write_atomic
from harness.budget import preset
from harness.regression import Side, compare, read_results
from harness.regression import verdict as verdicts
from harness.regression.luck import Model, fit
from harness.regression.power import (
    Design,
    alarms,
    enlarge,
    expected_error,
    smallest_drop,
    split_samples,
)
from harness.regression.verdict import Quality
from harness.report.chart import save
from harness.result import Result
from harness.store import Store

DOCS = Path(__file__).parent.parent / "docs"
SUITE_TASKS, SUITE_METHODS = 5, 6
AIMS = {"method": 0.05, "suite": 0.015}
STARTUP_SECONDS = 1.2
"""Seconds of a cell outside its phases: its process, and storing the result."""
ITEMS = (100, 200, 300, 400)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--again", type=Path, help="results of the same seeds, rounded otherwise")
    parser.add_argument("--budget", default="ci")
    parser.add_argument("--tasks", default="inflection,language_id", help="those of `make quality`")
    parser.add_argument("--comparisons", type=int, default=1000, help="A/A pairs")
    parser.add_argument("--trials", type=int, default=200, help="comparisons a drop")
    parser.add_argument("--write", action="store_true", help="update docs/")
    arguments = parser.parse_args()
    figures = measure(
        arguments.results,
        arguments.again,
        arguments.budget,
        arguments.tasks.split(","),
        arguments.comparisons,
        arguments.trials,
    )
    print(table(figures))
    if arguments.write:
        write_atomic(DOCS / "gate_power.json", json.dumps(figures, indent=1) + "\n")
        save(plot(figures), DOCS / "gate_power.png")
        page = DOCS / "gate.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        write_atomic(page, f"{before}{BEGIN}\n{table(figures)}\n{END}{rest.partition(END)[2]}")


def measure(
    folder: Path, again: Path | None, budget: str, tasks: list[str], comparisons: int, trials: int
) -> dict[str, Any]:
    """All figures; scores as shares of 1."""
    side, chosen = read_side(folder, tasks), preset(budget)
    model = fit(side, None if again is None else read_side(again, tasks))
    design = Design(items=chosen.test_examples, seeds=chosen.seeds)
    results = [result for result in Store(folder).load() if result.task in tasks and result.status == "ok"]
    cost = seconds(results, model, chosen.train_examples)
    other = power(model, design, comparisons, trials)
    return {
        "results": folder.as_posix(),
        "tasks": tasks,
        "budget": budget,
        "items": design.items,
        "seeds": design.seeds,
        "seed_deviation": (fmean(cell.deviation**2 for cell in model.cells if cell.deviation)) ** 0.5,
        "seed_degrees": model.degrees,
        "agreement": fmean(cell.agreement for cell in model.cells if cell.deviation),
        "share": model.share,
        "other_seeds": other,
        "same_seeds": None if again is None else same_seeds(model, design, comparisons, trials),
        "real": real_alarms(side),
        "seconds": cost,
        "splits": splits(model, cost, other["method"]["drop"] / expected_error(model, design)),
    }


def read_side(folder: Path, tasks: list[str]) -> Side:
    """The results of those tasks."""
    whole = read_results(folder)
    return Side(name=whole.name, outcomes=tuple(one for one in whole.outcomes if one.task in tasks))


def power(model: Model, design: Design, comparisons: int, trials: int) -> dict[str, Any]:
    """False alarms, and the smallest drops that are called: of a method alone, and of a suite."""
    suite = enlarge(trained(model), SUITE_TASKS, SUITE_METHODS)
    found = {
        method: smallest_drop(model, design, trials, [method], partial(is_method, method))
        for method in sorted({cell.method for cell in model.cells if cell.deviation})
    }
    middle = median_low([drop for drop, _ in found.values()])
    suite_drop, suite_curve = smallest_drop(
        suite, design, trials, [cell.method for cell in suite.cells], is_suite, largest=0.1
    )
    return {
        "comparisons": comparisons,
        "alarms": alarms(model, design, comparisons) * comparisons,
        "method": {
            "drop": middle,
            "curve": next(curve for drop, curve in found.values() if drop == middle),
            "drops": {method: drop for method, (drop, _) in found.items()},
        },
        "suite": {"cells": len(suite.cells), "drop": suite_drop, "curve": suite_curve},
    }


def same_seeds(model: Model, design: Design, comparisons: int, trials: int) -> dict[str, Any]:
    """The same where both sides ran the same seeds, for the cells that were run again."""
    repeated = Model(
        cells=tuple(cell for cell in trained(model).cells if cell.again),
        share=model.share,
        degrees=model.degrees,
    )
    flips: dict[str, list[float]] = {}
    for cell in repeated.cells:
        if cell.again:
            flips.setdefault(cell.method, []).append(cell.again.flips)
    return {
        **power(repeated, replace(design, same=True), comparisons, trials),
        "flips": {method: fmean(shares) for method, shares in flips.items()},
    }


def trained(model: Model) -> Model:
    """The cells that seeds move: in a suite of thirty, all are such."""
    return Model(
        cells=tuple(cell for cell in model.cells if cell.deviation), share=model.share, degrees=model.degrees
    )


def is_method(method: str, found: Quality) -> bool:
    """Whether the verdict is that method's total."""
    return found.level == "method" and found.method == method


def is_suite(found: Quality) -> bool:
    """Whether the verdict is the suite's."""
    return found.level == "suite"


def real_alarms(side: Side) -> dict[str, int]:
    """How often disjoint sets of real seeds were called a regression; pairs share seeds with each other."""
    seeds = len({one.seed for one in side.outcomes}) // 2
    pairs = split_samples(side, seeds) if seeds else []
    called = sum(
        any(one.verdict == verdicts.REGRESSION for one in compare(*pair).qualities) for pair in pairs
    )
    return {"seeds": seeds, "comparisons": len(pairs), "alarms": called}


def seconds(results: list[Result], model: Model, examples: int) -> dict[str, float]:
    """Median seconds of one seed of the grid: without evaluation, and a test item of every cell.

    Training is scaled to the budget's `examples` where the results have another number.
    """
    cells = {(cell.task, cell.method) for cell in model.cells}
    fixed, item = [], []
    for cell in cells:
        own = [result for result in results if (result.task, result.method) == cell]
        phases = [{name: phase.seconds for name, phase in result.phases.items()} for result in own]
        for one, result in zip(phases, own, strict=True):
            one["train"] = one.get("train", 0.0) * examples / result.identity["budget"]["train_examples"]
        fixed.append(median(sum(one.values()) - one["evaluate"] for one in phases) + STARTUP_SECONDS)
        item.append(
            median(one["evaluate"] / len(result.items) for one, result in zip(phases, own, strict=True))
        )
    return {"seed": sum(fixed), "item": sum(item)}


def splits(model: Model, cost: dict[str, float], factor: float) -> list[dict[str, float]]:
    """For each number of items, the seeds that fit the limit, and those that reach the aim.

    `factor` is how many standard errors the smallest drop was; it grows a little with fewer seeds.
    """
    found = []
    for items in ITEMS:
        a_seed = cost["seed"] + items * cost["item"]
        fits = max(1, int(LIMIT_SECONDS // a_seed))
        reach = next(
            (
                k
                for k in SEEDS
                if factor * expected_error(model, Design(items=items, seeds=k)) <= AIMS["method"]
            ),
            None,
        )
        drop = factor * expected_error(model, Design(items=items, seeds=fits))
        found.append({"items": items, "seeds": fits, "minutes": fits * a_seed / 60, "drop": drop})
        if reach is not None:
            found[-1] |= {"aim_seeds": reach, "aim_minutes": reach * a_seed / 60}
    return found


if __name__ == "__main__":
    main()
