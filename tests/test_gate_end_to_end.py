"""The gate on real runs of a toy model: what is really broken is caught, a pure refactor passes.

The toy model starts from chance, and four passes over 128 examples teach it the task: what a break costs
is far beyond luck.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import baseline
from harness.budget import PRESETS, preset
from harness.cli import app
from harness.executor import Executor
from harness.grid import Listener, Settings, build
from harness.regression import cost
from harness.run import execute

pytestmark = pytest.mark.usefixtures("undrawn")

ROOT = Path(__file__).parent.parent

TASK = '''
from harness import Example, Splits, Task


class Letters(Task):
    """A letter that stands for another."""

    name, version, family, metric = "letters", 1, "reasoning", "accuracy"
    labels = tuple("psrqutwv")
    description, source, license = "the letter that a text stands for", "made here", "Apache-2.0"

    def load(self):
        rows = [
            Example(
                id=f"n{n}", group=f"n{n}",
                data={"text": 4 * "abcdefgh"[n % 8] + str(n), "answer": self.labels[n % 8]},
            )
            for n in range(400)
        ]
        return Splits(train=tuple(rows[:200]), dev=tuple(rows[200:240]), test=tuple(rows[240:]))

    def prompt(self, example):
        return example.data["text"] + ":"

    def target(self, example):
        return example.data["answer"]

    def score(self, example, output):
        return float(output == example.data["answer"])
'''

METHOD = '''
from harness.methods.full import Full


class Subject(Full):
    """Full fine-tuning, as the project under test has it."""

    name, description = "subject", "what the gate watches"
    learning_rates = (3e-3,)
'''

REFACTORED = '''
from harness import Method

RATE = 0.003


class Renamed(Method):
    """The same method, written differently."""

    name, description = "subject", "what the gate watches, tidied"
    learning_rates = (RATE,)

    def adapt(self, model, budget):
        for parameter in model.parameters():
            parameter.requires_grad = True
        return model
'''

FROZEN = (
    METHOD
    + """
    def adapt(self, model, budget):
        import torch

        model.requires_grad_(False)
        model.adapter = torch.nn.Parameter(torch.zeros(64))

        def add(module, inputs, output):  # as if by an output matrix that is zero and stays so
            hidden = output.last_hidden_state
            output.last_hidden_state = hidden + 0 * model.adapter.to(hidden.dtype)
            return output

        model.model.register_forward_hook(add)
        return model
"""
)

SHIFTED = (
    METHOD
    + """
    def adapt(self, model, budget):
        def shift(module, inputs, output):
            if module.training:  # each position learns from the one before it
                output.last_hidden_state = output.last_hidden_state.roll(1, dims=1)
            return output

        model.model.register_forward_hook(shift)
        return super().adapt(model, budget)
"""
)


@pytest.fixture(scope="module", autouse=True)
def small_budget() -> Iterator[None]:
    small = replace(preset("smoke"), name="ci", train_examples=128, epochs=4, test_examples=160, seeds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "ci", small)
        # Seconds of so short a run are the machine's mood: they are for test_regression_cost.
        patch.setattr(cost, "SHORTEST", math.inf)
        yield


def results(folder: Path, method: str, toy: Path, executor: Executor) -> Path:
    """Run the grid with the method file as it stands."""
    folder.mkdir()
    (folder / "letters.py").write_text(TASK)
    (folder / "subject.py").write_text(method)
    settings = Settings(
        tasks=str(folder / "letters.py"),
        methods=f"zero-shot,{folder / 'subject.py'}",
        model=str(toy),
        budget="ci",
        seeds=None,
        results=folder / "results",
        reports=folder / "report",
        device="cpu",
        hub=False,
        chat=False,
    )
    execute(build(settings, executor, Listener()), executor, Listener(), force=False)
    return folder / "results"


@pytest.fixture(scope="module")
def accepted(
    small_budget: None, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory, executor: Executor
) -> Path:
    """A baseline of the method as it should be."""
    folder = tmp_path_factory.mktemp("gate")
    baseline.accept(results(folder / "good", METHOD, toy_folder, executor), folder / "baseline", "it works")
    return folder / "baseline"


@pytest.mark.parametrize(
    ("name", "method", "code"),
    [
        ("refactored", REFACTORED, 0),
        ("ten times too slow", METHOD.replace("3e-3", "3e-4"), 1),
        ("shifted labels", SHIFTED, 1),
        ("frozen", FROZEN, 3),
    ],
)
def test_what_is_broken_is_caught_and_a_refactor_passes(
    accepted: Path, toy_folder: Path, tmp_path: Path, executor: Executor, name: str, method: str, code: int
) -> None:
    candidate = results(tmp_path / "candidate", method, toy_folder, executor)
    done = CliRunner().invoke(
        app, ["check", "--baseline", str(accepted), "--candidate", str(candidate), "--strict"]
    )
    assert done.exit_code == code, done.output
    if name == "refactored":
        assert done.output.count("identical") == 3  # both cells and the suite
    if name == "frozen":
        assert "degenerate" in done.output


def test_two_checkouts_are_run_alternately_and_their_seconds_gated(toy_folder: Path, tmp_path: Path) -> None:
    for side in ("old", "new"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "letters.py").write_text(TASK)
    done = subprocess.run(
        [
            sys.executable, "-m", "harness", "check", "--interleave", str(tmp_path / "old"),
            "--tasks", "letters.py", "--methods", "zero-shot", "--budget", "smoke",
            "--model", str(toy_folder), "--device", "cpu", "--json", "check.json",
        ],
        cwd=tmp_path / "new", env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 of 2: baseline, letters.py under zero-shot" in done.stderr
    body = json.loads((tmp_path / "new" / "check.json").read_text())
    assert body["interleaved"]
    assert body["verdict"] == "pass"
    assert {"baseline", "candidate"} <= {
        path.name for path in (tmp_path / "new/results/interleaved").iterdir()
    }


def test_make_quality_runs_the_grid_and_checks_it() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--assume-old=.venv/.installed", "quality", "QUALITY_TASKS=inflection"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--tasks inflection --methods core --budget ci" in done.stdout
    assert "check --baseline results/baseline --candidate results/quality" in done.stdout
