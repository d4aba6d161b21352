"""The figures of `gate_power` as they stand in docs/gate.md: a table and a plot."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from harness.report import words

BEGIN, END = "<!-- power:begin -->", "<!-- power:end -->"
LIMIT_SECONDS = 15 * 60
SEEDS = range(1, 21)
"""Numbers of seeds that are tried for the aim."""


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    real, other, same = figures["real"], figures["other_seeds"], figures["same_seeds"]
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
        *power_rows(other, "other seeds on both sides"),
        *(
            [(f"false alarms, real pairs of {real['seeds']} other seeds", rate(real))]
            if real["comparisons"]
            else []
        ),
    ]
    if same:
        rows += [
            ("a seed run again, rounded otherwise: items that change", by_method(same["flips"], "%")),
            *power_rows(same, "the same seeds on both sides"),
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


def power_rows(found: dict[str, Any], which: str) -> list[tuple[str, str]]:
    """What `power` found, as rows of the table."""
    return [
        (f"false alarms, simulated, {which}", rate(found)),
        (
            f"smallest drop of one method called in 90%, {which}",
            by_method(found["method"]["drops"], " points"),
        ),
        (
            f"smallest drop of a suite of {found['suite']['cells']} cells called in 90%, {which}",
            points(found["suite"]["drop"]),
        ),
    ]


def by_method(values: dict[str, float], unit: str) -> str:
    """Shares of 1 in hundredths, least first."""
    shown = [f"`{name}` {100 * value:.1f}" for name, value in sorted(values.items(), key=lambda one: one[1])]
    return f"{', '.join(shown)}{unit}"


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
    for which, line in (("other_seeds", "-"), ("same_seeds", "--")):
        if figures[which] is None:
            continue
        seeds, alone = which.replace("_", " "), figures[which]["method"]
        middle = next(method for method, drop in alone["drops"].items() if drop == alone["drop"])
        for name, label, colour in (
            ("method", f"one method, {seeds} (the median one: {middle})", "#0072B2"),
            ("suite", f"all methods of a suite, {seeds}", "#D55E00"),
        ):
            curve = figures[which][name]["curve"]
            axes.plot([100 * drop for drop, _ in curve], [100 * share for _, share in curve], marker="o",
                      color=colour, linestyle=line, label=label)  # fmt: skip
    axes.axhline(90, color="#7F7F7F", linestyle=":")
    axes.set_xlabel("true drop, points of score")
    axes.set_ylabel("checks that call a regression, %")
    axes.set_title(
        f"Budget {figures['budget']}: {figures['seeds']} seeds, {figures['items']} items", loc="left"
    )
    axes.grid(color="#DDDDDD")
    axes.legend()
    return figure
