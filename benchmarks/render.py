"""Stored figures as tables and charts: in the terminal after a run, and in benchmarks/README.md.

python -m benchmarks.render
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.chart import formula_bytes, scaling
from benchmarks.common import RESULTS, Figures
from harness.report.chart import save as save_chart
from harness.report.palette import order

README = Path(__file__).parent / "README.md"
MARKS = "<!-- figures:begin -->", "<!-- figures:end -->"

Table = tuple[str, list[str], list[list[str]]]


def main() -> None:
    """Draw the charts of all stored figures and put their tables between README's markers."""
    found = groups()
    page = between(README.read_text(encoding="utf-8"), MARKS, rendered(found))
    README.write_text(page, encoding="utf-8")
    for stored in found:
        if stored["benchmark"] == "scaling":
            save_chart(scaling(stored), RESULTS / chart_name(stored))


def show(benchmark: str) -> None:
    """Print one benchmark's tables and put all into README."""
    main()
    own = [stored for stored in groups() if stored["benchmark"] == benchmark]
    Console(highlight=False, soft_wrap=True).print(rendered(own), markup=False)


def between(page: str, marks: tuple[str, str], text: str) -> str:
    """The page with `text` in place of what stood between the two marks."""
    before, _, rest = page.partition(marks[0])
    return f"{before}{marks[0]}\n{text}\n{marks[1]}{rest.partition(marks[1])[2]}"


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are flush right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def groups() -> list[dict[str, Any]]:
    """Stored parts, those that agree in benchmark, options, machine and versions joined into one."""
    joined: dict[str, dict[str, Any]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        commit = stored["machine"].pop("commit")
        rows = stored.pop("rows")
        group = joined.setdefault(json.dumps(stored), {**stored, "rows": [], "commits": []})
        group["rows"] += rows
        group["commits"] += [commit] * (commit not in group["commits"])
    return sorted(joined.values(), key=lambda group: list(TABLES).index(group["benchmark"]))


def rendered(found: Sequence[Mapping[str, Any]]) -> str:
    """Tables in Markdown."""
    return "\n\n".join(map(_section, found))


def chart_name(stored: Mapping[str, Any]) -> str:
    """The file of one axis' chart, in the folder of results."""
    machine = stored["machine"]
    return f"scaling-{stored['options']['axis']}-{machine['device']}-{machine['machine'][:6]}.png"


def _section(stored: Mapping[str, Any]) -> str:
    machine = stored["machine"]
    title, header, rows = TABLES[stored["benchmark"]](stored)
    lines = [
        f"### {title}",
        "",
        f"{machine['device_name']}, {machine['cores']} cores, "
        f"{stored['options'].get('precision', machine['precision'])}, "
        f"torch {machine['versions']['torch']}, commit {', '.join(str(c)[:8] for c in stored['commits'])}.",
        "",
        grid(header, rows),
    ]
    if stored["benchmark"] == "scaling":
        lines += ["", f"![{title}](results/{chart_name(stored)})"]
    return "\n".join(lines)


def _train_speed(stored: Mapping[str, Any]) -> Table:
    options = stored["options"]
    rows: Mapping[str, Figures] = {row["method"]: row for row in stored["rows"]}
    sides = list(next(iter(rows.values()))["tokens_per_second"])
    others = [side for side in sides if side != "tuneoff"]
    header = ["method", "tokens/s", *(f"{side}, tokens/s" for side in others), *(f"over {s}" for s in others)]
    header += ["share of matmul peak", "peak GB", *(f"{s}, peak GB" for s in others)]
    header += ["loss first, last", *(f"{s}, loss" for s in others)]
    header += ["gradient norm", *(f"{s}, norm" for s in others)]
    table = []
    for method in order(rows):
        row = rows[method]
        cells = [f"`{method}`"]
        cells += [f"{row['tokens_per_second'][side]['median']:.0f}" for side in sides]
        cells += [_ratio(row["ratio"][side]) for side in others]
        cells += [f"{row['share_of_peak']['median']:.0%} of {row['matmul_peak']['median'] / 1e9:.0f} GFLOP/s"]
        cells += [f"{row['peak_bytes'][side] / 1e9:.2f}" for side in sides]
        cells += [f"{row['first_loss'][side]:.3f}, {row['final_loss'][side]:.3f}" for side in sides]
        cells += [f"{row['grad_norm'][side]:.2f}" for side in sides]
        table.append(cells)
    length = "sequences of their own length" if options["length"] is None else f"{options['length']} tokens"
    title = f"Training on `{options['task']}`, {options['rows']} x {length}, median of {options['repeats']}"
    return title, header, table


def _eval_speed(stored: Mapping[str, Any]) -> Table:
    header = ["what", "items/s", "theirs, items/s", "ratio", "equal answers"]
    table = [
        [
            f"{row['what']} against {row['against']}",
            f"{row['items_per_second']['tuneoff']['median']:.2f}",
            f"{row['items_per_second']['theirs']['median']:.2f}",
            _ratio(row["ratio"]),
            f"{row['equal']} of {row['items']}",
        ]
        for row in stored["rows"]
    ]
    options = stored["options"]
    return f"Evaluation in {options['precision']}, median of {options['repeats']}", header, table


def _profile(stored: Mapping[str, Any]) -> Table:
    options = stored["options"]
    kinds = list(stored["rows"][0]["shares"])
    table = [
        [
            row["what"],
            f"{row['seconds']:.1f}",
            *(f"{row['shares'][kind]:.0%}" for kind in kinds),
            f"{1 / row['shares']['products']:.2f}x",
        ]
        for row in stored["rows"]
    ]
    title = (
        f"Where the seconds are: training steps of {options['rows']} x {options['length']} tokens, "
        f"answers to {options['items']} items"
    )
    return title, ["what", "seconds", *kinds, "were all else free"], table


def _overhead(stored: Mapping[str, Any]) -> Table:
    table = [[row["what"], f"{row['value']:.2f}", row["unit"]] for row in stored["rows"]]
    grid = stored["options"]
    title = f"What is neither training nor evaluation (`{grid['tasks']}`, budget `{grid['budget']}`)"
    return title, ["what", "value", "unit"], table


def _scaling(stored: Mapping[str, Any]) -> Table:
    axis, base = stored["options"]["axis"], stored["options"]["base"]
    sizes = sorted({row["size"] for row in stored["rows"]})
    found = {(row["method"], row["size"]): row for row in stored["rows"]}
    methods = order({method for method, _ in found})
    cells = {
        at: f"{row['seconds']:.2f} s ({row['formula_seconds']:.2f}), "
        f"{row['peak_bytes'] / 1e9:.2f} GB ({formula_bytes(row) / 1e9:.2f})"
        for at, row in found.items()
    }
    table = [[f"`{method}`", *(cells.get((method, size), "") for size in sizes)] for method in methods]
    moved = {axis, "steps"} if axis == "examples" else {axis}
    others = [f"{name} {value}" for name, value in base.items() if name not in moved]
    title = f"Growth with {axis} ({', '.join(others)}): measured, and by formula in parentheses"
    return title, ["method", *map(str, sizes)], table


def _ratio(figures: Figures) -> str:
    return f"{figures['median']:.2f}x ({figures['min']:.2f} to {figures['max']:.2f})"


TABLES: dict[str, Callable[[Mapping[str, Any]], Table]] = {
    "train-speed": _train_speed,
    "eval-speed": _eval_speed,
    "profile": _profile,
    "overhead": _overhead,
    "scaling": _scaling,
}


if __name__ == "__main__":
    main()
