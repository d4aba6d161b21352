"""What the regression gate sees, from real results: false alarms, smallest drops, and the best split.

    python benchmarks/gate_power.py results/power --write

reads a run of several seeds (three at least; with 2k seeds, real A/A pairs of k too), prints the figures at
the `ci` budget, and with --write puts them into docs/: the figures as JSON, a plot, and a table in gate.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

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
from harness.report import words
from harness.report.chart import save
from harness.result import Result, Store

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- power:begin -->", "<!-- power:end -->"
SUITE_TASKS, SUITE_METHODS = 5, 6
AIMS = {"method": 0.05, "suite": 0.015}
LIMIT_SECONDS = 15 * 60
STARTUP_SECONDS = 3.0
"""Seconds of a cell outside its phases: its process, and storing the result."""
ITEMS = (100, 200, 300, 400)
SEEDS = range(1, 21)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--budget", default="ci")
    parser.add_argument("--tasks", default="inflection,language_id", help="those of `make quality`")
    parser.add_argument("--comparisons", type=int, default=1000, help="A/A pairs")
    parser.add_argument("--trials", type=int, default=200, help="comparisons a drop")
    parser.add_argument("--write", action="store_true", help="update docs/")
    arguments = parser.parse_args()
    figures = measure(
        arguments.results,
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


def measure(folder: Path, budget: str, tasks: list[str], comparisons: int, trials: int) -> dict[str, Any]:
    """All figures; scores as shares of 1."""
    whole = read_results(folder)
    side = Side(name=whole.name, outcomes=tuple(one for one in whole.outcomes if one.task in tasks))
    model, chosen = fit(side), preset(budget)
    design = Design(items=chosen.test_examples, seeds=chosen.seeds)
    results = [result for result in Store(folder).load() if result.task in tasks and result.status == "ok"]
    methods = [cell.method for cell in model.cells if cell.deviation]
    one = max(set(methods), key=methods.count)
    suite = enlarge(trained(model), SUITE_TASKS, SUITE_METHODS)
    cost = seconds(results, model, chosen.train_examples)
    method_drop, method_curve = smallest_drop(
        model, design, trials, [one], lambda found: found.level == "method" and found.method == one
    )
    suite_drop, suite_curve = smallest_drop(
        suite, design, trials, [cell.method for cell in suite.cells], is_suite, largest=0.1
    )
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
        "simulated": {"comparisons": comparisons, "alarms": alarms(model, design, comparisons) * comparisons},
        "real": real_alarms(side),
        "method": {"drop": method_drop, "curve": method_curve},
        "suite": {"cells": len(suite.cells), "drop": suite_drop, "curve": suite_curve},
        "seconds": cost,
        "splits": splits(model, cost, method_drop / expected_error(model, design)),
    }


def trained(model: Model) -> Model:
    """The cells that seeds move: in a suite of thirty, all are such."""
    return Model(
        cells=tuple(cell for cell in model.cells if cell.deviation), share=model.share, degrees=model.degrees
    )


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
    """Measured seconds of one seed of the grid: without evaluation, and a test item of every cell.

    Training is scaled to the budget's `examples` where the results have another number.
    """
    cells = {(cell.task, cell.method) for cell in model.cells}
    fixed, item = [], []
    for cell in cells:
        own = [result for result in results if (result.task, result.method) == cell]
        phases = [{name: phase.seconds for name, phase in result.phases.items()} for result in own]
        for one, result in zip(phases, own, strict=True):
            one["train"] = one.get("train", 0.0) * examples / result.identity["budget"]["train_examples"]
        fixed.append(fmean(sum(one.values()) - one["evaluate"] for one in phases) + STARTUP_SECONDS)
        item.append(
            fmean(one["evaluate"] / len(result.items) for one, result in zip(phases, own, strict=True))
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


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    simulated, real, suite = figures["simulated"], figures["real"], figures["suite"]
    minutes = (
        figures["seeds"] * (figures["seconds"]["seed"] + figures["items"] * figures["seconds"]["item"]) / 60
    )
    measured = (
        f"{points(figures['seed_deviation'])}, measured with {figures['seed_degrees']} degrees of freedom"
        if figures["seed_degrees"]
        else f"{points(figures['seed_deviation'])}, assumed: the results have one seed"
    )
    rows = [
        ("budget", f"`{figures['budget']}`: {figures['seeds']} seeds, {figures['items']} items a cell"),
        ("tasks", ", ".join(f"`{task}`" for task in figures["tasks"])),
        ("time for it on the machine of the results", f"{minutes:.0f} minutes"),
        ("spread of a cell between seeds", measured),
        ("agreement of two seeds on an item (correlation)", f"{figures['agreement']:.2f}"),
        ("false alarms, simulated pairs of other seeds", rate(simulated)),
        *(
            [(f"false alarms, real pairs of {real['seeds']} seeds", rate(real))]
            if real["comparisons"]
            else []
        ),
        ("smallest drop of one method called in 90%", points(figures["method"]["drop"])),
        (f"smallest drop of a suite of {suite['cells']} cells called in 90%", points(suite["drop"])),
    ]
    lines = ["| what | figure |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
    lines += ["", f"One method's smallest drop by split, {LIMIT_SECONDS // 60} minutes each:", ""]
    lines += ["| items a cell | seeds that fit | drop | seeds for a drop of 5 points | minutes |"]
    lines += ["| ---: | ---: | ---: | ---: | ---: |"]
    for one in figures["splits"]:
        aim = (
            f"{one['aim_seeds']} | {one['aim_minutes']:.0f}"
            if "aim_seeds" in one
            else f"more than {SEEDS[-1]} | -"
        )
        lines.append(f"| {one['items']} | {one['seeds']} | {points(one['drop'])} | {aim} |")
    return "\n".join([*lines, "", f"From `{words.escaped(figures['results'])}`; ![Power](gate_power.png)"])


def points(value: float) -> str:
    """A share of 1 in points of score."""
    return f"{100 * value:.1f} points"


def rate(counts: dict[str, Any]) -> str:
    """Alarms in so many comparisons."""
    number, pairs = counts["alarms"], counts["comparisons"]
    return f"{number:.0f} in {pairs} ({100 * number / pairs:.1f}%)"


def plot(figures: dict[str, Any]) -> Figure:
    """The share of checks that call a drop, against the drop."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, label, colour in (
        ("method", "one method, its total", "#0072B2"),
        ("suite", f"all methods, the suite of {figures['suite']['cells']} cells", "#D55E00"),
    ):
        curve = figures[name]["curve"]
        axes.plot([100 * drop for drop, _ in curve], [100 * share for _, share in curve], marker="o",
                  color=colour, label=label)  # fmt: skip
    axes.axhline(90, color="#7F7F7F", linestyle=":")
    axes.set_xlabel("true drop, points of score")
    axes.set_ylabel("checks that call a regression, %")
    axes.set_title(
        f"Budget {figures['budget']}: {figures['seeds']} seeds, {figures['items']} items", loc="left"
    )
    axes.grid(color="#DDDDDD")
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
