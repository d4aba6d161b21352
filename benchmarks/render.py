"""Stored figures as tables: in the terminal after a run, and in benchmarks/README.md.

python -m benchmarks.render
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.common import RESULTS, Figures

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"

Table = tuple[str, list[str], list[list[str]]]


def main() -> None:
    """Put the tables of all stored figures between README's markers."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    tables = "\n".join(markdown(json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json")))
    README.write_text(f"{before}{BEGIN}\n{tables}{END}{after}", encoding="utf-8")


def show(path: Path) -> None:
    """Print one stored file's tables and put all into README."""
    main()
    Console(highlight=False, soft_wrap=True).print(markdown(json.loads(path.read_text())), markup=False)


def markdown(stored: Mapping[str, Any]) -> str:
    """One benchmark's table, with the machine it was measured on."""
    machine = stored["machine"]
    title, header, rows = TABLES[stored["benchmark"].split("-at-")[0]](stored)
    lines = [
        f"### {title}",
        "",
        f"{machine['device_name']}, {machine['cores']} cores, {machine['precision']}, "
        f"torch {machine['versions']['torch']}, commit {str(machine['commit'])[:8]}.",
        "",
        f"| {' | '.join(header)} |",
        f"| --- |{' ---: |' * (len(header) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    return "\n".join(lines) + "\n"


def _train_speed(stored: Mapping[str, Any]) -> Table:
    rows: Sequence[Figures] = stored["rows"]
    others = [side for side in rows[0]["tokens_per_second"] if side != "tuneoff"]
    header = ["method", "tokens/s", *(f"{side}, tokens/s" for side in others), *(f"over {s}" for s in others)]
    header += ["share of matmul peak", "peak GB", *(f"{s}, peak GB" for s in others)]
    header += [
        "loss first, last",
        *(f"{s}, loss" for s in others),
        "gradient norm",
        *(f"{s}, norm" for s in others),
    ]
    table = []
    for row in rows:
        sides = ["tuneoff", *others]
        cells = [f"`{row['method']}`"]
        cells += [f"{row['tokens_per_second'][side]['median']:.0f}" for side in sides]
        cells += [_ratio(row["ratio"][side]) for side in others]
        cells += [f"{row['share_of_peak']['median']:.0%}"]
        cells += [f"{row['peak_bytes'][side] / 1e9:.2f}" for side in sides]
        cells += [f"{row['first_loss'][side]:.3f}, {row['final_loss'][side]:.3f}" for side in sides]
        cells += [f"{row['grad_norm'][side]:.2f}" for side in sides]
        table.append(cells)
    shape = stored["shape"]
    peak = stored["matmul_peak"] / 1e9
    return (
        f"Training, {shape}, median of {stored['repeats']} (matmul peak {peak:,.0f} GFLOP/s)",
        header,
        table,
    )


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
    return f"Evaluation, median of {stored['repeats']}", header, table


def _overhead(stored: Mapping[str, Any]) -> Table:
    table = [[row["what"], f"{row['value']:.2f}", row["unit"]] for row in stored["rows"]]
    return "What is neither training nor evaluation", ["what", "value", "unit"], table


def _ratio(figures: Figures) -> str:
    return f"{figures['median']:.2f}x ({figures['min']:.2f} to {figures['max']:.2f})"


TABLES: dict[str, Callable[[Mapping[str, Any]], Table]] = {
    "train-speed": _train_speed,
    "eval-speed": _eval_speed,
    "overhead": _overhead,
}


if __name__ == "__main__":
    main()
