"""docs/gate.md shows the figures that the benchmark measured, and commands that exist."""

import json
import re
from pathlib import Path

from benchmarks import gate_page
from harness.budget import preset
from harness.regression.quality import WEIGHTS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")


def test_the_power_figures_are_those_that_were_measured():
    figures = json.loads((ROOT / "docs" / "gate_power.json").read_text(encoding="utf-8"))
    shown = PAGE.partition(gate_page.BEGIN)[2].partition(gate_page.END)[0].strip()
    assert shown == gate_page.table(figures)
    assert (ROOT / "docs" / "gate_power.png").exists()


def test_they_were_measured_at_the_budget_there_is():
    figures = json.loads((ROOT / "docs" / "gate_power.json").read_text(encoding="utf-8"))
    budget = preset("ci")
    assert (figures["items"], figures["seeds"]) == (budget.test_examples, budget.seeds)
    tasks = re.search(r"QUALITY_TASKS \?= (.*)", (ROOT / "Makefile").read_text()).group(1)
    assert figures["tasks"] == tasks.split(",")


def test_the_shares_of_the_error_are_as_told():
    for level, share in WEIGHTS.items():
        names = {"method": "methods", "suite": "the suite", "cell": "cells", "task": "tasks"}
        assert re.search(rf"{100 * share:.0f}% (of it )?for\s+{names[level]}", PAGE), level
