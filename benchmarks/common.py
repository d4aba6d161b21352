"""What the benchmarks share: the cell they time, processes that take turns, figures and where they go.

Every measurement runs in a process of its own, and the two sides take turns, so that a machine that
drifts drifts for both. Figures are medians with minimum and maximum; ratios are taken turn by turn.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness import registry
from harness.budget import Budget, preset
from harness.data import Batch, Encoded, Encoder, batches, draw
from harness.environment import Environment, matmul_flops, probe
from harness.errors import UsageError
from harness.model import ModelSource, quieten, resolve
from harness.profiler import reset_peak

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
MARK = "figures: "
"""What a measuring process puts before the one line that counts."""

SKIPPED_STEPS = 2
"""The first steps touch memory for the first time and are not counted."""

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

    def __post_init__(self) -> None:
        if self.steps <= SKIPPED_STEPS:
            raise UsageError(
                f"the first {SKIPPED_STEPS} steps are not counted: ask for more than {self.steps}"
            )

    def limits(self) -> Budget:
        """The budget the cell is cut from."""
        return preset(self.budget)

    def rows(self) -> int:
        """Sequences in one step."""
        return self.batch_size or self.limits().batch_size

    def batches(self, source: ModelSource) -> tuple[list[Batch], Encoder]:
        """One full batch a step, in the order that both sides see them, and what encoded them."""
        task, limits = registry.task(self.task), self.limits()
        encoder = Encoder(source.tokenizer(), limits.max_length)
        examples = draw(task.load().train, limits.train_examples, seed=0)
        encoded = [encoder.pair(task.prompt(x), task.target(x)) for x in examples]
        if self.length is not None:
            encoded = _fixed(encoded, self.length)
        made = batches(encoded, batch_size=self.rows(), epochs=limits.epochs, seed=0, pad=encoder.end)
        # The other side makes batches of all sequences again: after one of fewer rows they would be others.
        return [batch for batch in made if len(batch.ids) == self.rows()][: self.steps], encoder


def _fixed(encoded: Sequence[Encoded], length: int) -> list[Encoded]:
    """The same text cut into sequences of exactly `length` tokens."""
    stream = [token for sequence in encoded for token in sequence.ids]
    starts = range(0, len(stream) - length + 1, length)
    return [sequence_of(stream[start : start + length]) for start in starts]


def sequence_of(ids: Sequence[int]) -> Encoded:
    """A training sequence of these ids; the last quarter of them is the target."""
    return Encoded(ids=tuple(ids), target_start=len(ids) - len(ids) // 4, truncated=False)


def begin() -> Environment:
    """Set a measuring process up, and start its peak of memory."""
    quieten()
    environment = probe("auto")
    torch.set_num_threads(environment.cores)
    reset_peak(environment.device)
    return environment


def embedded(environment: Environment) -> ModelSource:
    """The embedded model on that machine's device."""
    return resolve("embedded", device=environment.device, precision=environment.precision)


def take_turns(
    module: str, sides: Mapping[str, Sequence[str]], *, repeats: int, label: str
) -> dict[str, list[Figures]]:
    """Run `python -m <module> measure <arguments>` for each side in turn, `repeats` times.

    Raises:
        RuntimeError: A measurement failed; the message holds the end of what it printed.
    """
    found: dict[str, list[Figures]] = {name: [] for name in sides}
    for name in tracked(list(sides) * repeats, label):
        found[name].append(measured(module, sides[name]))
    return found


def tracked(names: Sequence[str], label: str) -> Iterable[str]:
    """The names one by one, while a bar on standard error shows which is under way."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(label, total=len(names))
        for name in names:
            progress.update(bar, description=f"{label}: {name}")
            yield name
            progress.advance(bar)


def measured(module: str, arguments: Sequence[str]) -> Figures:
    """What `python -m <module> measure <arguments>` reports from a fresh process.

    Raises:
        RuntimeError: It failed; the message holds the end of what it printed.
    """
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


def save(
    benchmark: str,
    part: str,
    environment: Environment,
    rows: Sequence[Figures],
    options: Mapping[str, Any],
) -> None:
    """Store one part of a benchmark's figures with the machine they were measured on.

    A later run of the same part on that machine replaces them. Parts of a benchmark that agree in `options`
    are shown as one table.
    """
    path = RESULTS / f"{benchmark}-{part}-{environment.device}-{environment.machine[:6]}.json"
    machine = {
        field: getattr(environment, field)
        for field in ("device", "device_name", "cores", "precision", "versions", "machine", "commit")
    }
    path.parent.mkdir(exist_ok=True)
    stored = {"benchmark": benchmark, "options": dict(options), "machine": machine, "rows": list(rows)}
    path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def matmul_peak(environment: Environment) -> float:
    """Operations a second of the fastest of a few large matrix products."""
    scale = 4 if environment.device == "cuda" else 1
    shapes = [(scale * rows, scale * inner, scale * columns) for rows, inner, columns in PEAK_SHAPES]
    return matmul_flops(environment.device, environment.precision, shapes)
