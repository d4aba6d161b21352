"""What the benchmarks share: the cell they time, processes that take turns, figures and where they go.

Every measurement runs in a process of its own, and the two sides take turns, so that a machine that
drifts drifts for both. Figures are medians with minimum and maximum; ratios are taken turn by turn.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness import registry
from harness.budget import Budget, preset
from harness.data import Encoded, Encoder, draw
from harness.environment import Environment, matmul_flops
from harness.model import ModelSource, resolve

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
MARK = "figures: "
"""What a measuring process puts before the one line that counts."""

PEAK_SHAPES = ((2048, 2048, 2048), (4096, 1024, 4096), (1024, 4096, 1024))
"""(rows, inner, columns) of the products whose speed counts as a CPU's peak; a GPU's are four times that."""

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell as both sides see it.

    Attributes:
        length: Tokens of every sequence, or None for the task's own.
        steps: Optimizer steps; the budget's own where it has fewer.
    """

    task: str
    method: str
    budget: str = "quick"
    length: int | None = None
    batch_size: int | None = None
    steps: int = 12

    def source(self, environment: Environment) -> ModelSource:
        """The embedded model on that machine's device."""
        return resolve("embedded", device=environment.device, precision=environment.precision)

    def limits(self) -> Budget:
        """The budget the cell is cut from."""
        return preset(self.budget)

    def rows(self) -> int:
        """Sequences in one step."""
        return self.batch_size or self.limits().batch_size

    def sequences(self, encoder: Encoder) -> list[Encoded]:
        """The training sequences, in the order that both sides see them."""
        task, budget = registry.task(self.task), self.limits()
        examples = draw(task.load().train, budget.train_examples, seed=0)
        encoded = [encoder.pair(task.prompt(x), task.target(x)) for x in examples]
        return encoded if self.length is None else _fixed(encoded, self.length)


def _fixed(encoded: Sequence[Encoded], length: int) -> list[Encoded]:
    """The same text cut into sequences of exactly `length` tokens; the last quarter of each is the target."""
    stream = [token for sequence in encoded for token in sequence.ids]
    starts = range(0, len(stream) - length + 1, length)
    return [
        Encoded(ids=tuple(stream[start : start + length]), target_start=length - length // 4, truncated=False)
        for start in starts
    ]


def take_turns(
    module: str, sides: Mapping[str, Sequence[str]], *, repeats: int, label: str
) -> dict[str, list[Figures]]:
    """Run `python -m <module> measure <arguments>` for each side in turn, `repeats` times.

    Raises:
        RuntimeError: A measurement failed; the message holds the end of what it printed.
    """
    found: dict[str, list[Figures]] = {name: [] for name in sides}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(label, total=repeats * len(sides))
        for _ in range(repeats):
            for name, arguments in sides.items():
                progress.update(bar, description=f"{label}: {name}")
                found[name].append(measured(module, arguments))
                progress.advance(bar)
    return found


def measured(module: str, arguments: Sequence[str]) -> Figures:
    """What `python -m <module> measure <arguments>` reports from a fresh process."""
    command = [sys.executable, "-m", module, "measure", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or len(lines) != 1:
        raise RuntimeError(f"{' '.join(command)} left with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: Figures = json.loads(lines[0].removeprefix(MARK))
    return figures


def report(figures: Figures) -> None:
    """Print a measuring process's figures for `measured`."""
    print(MARK + json.dumps(figures), flush=True)


def spread(values: Sequence[float]) -> Figures:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figures:
    """Ours over theirs, turn by turn."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def save(name: str, environment: Environment, rows: Sequence[Figures], **more: Any) -> Path:
    """Store a benchmark's figures with the machine they were measured on; a later run replaces them."""
    kind = environment.device if environment.device != "cpu" else environment.precision
    path = RESULTS / f"{name}-{kind}-{environment.machine[:6]}.json"
    machine = {
        field: getattr(environment, field)
        for field in ("device", "device_name", "cores", "precision", "versions", "machine", "commit")
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({"benchmark": name, **more, "machine": machine, "rows": list(rows)}, indent=1) + "\n"
    )
    return path


def matmul_peak(environment: Environment) -> float:
    """Operations a second of the fastest of a few large matrix products."""
    import torch

    torch.set_num_threads(environment.cores)
    scale = 4 if environment.device == "cuda" else 1
    shapes = [(scale * rows, scale * inner, scale * columns) for rows, inner, columns in PEAK_SHAPES]
    return matmul_flops(environment.device, environment.precision, shapes)
