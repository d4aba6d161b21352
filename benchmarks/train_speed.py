"""Training speed: our loop against transformers' Trainer (and trl's SFTTrainer), the same cell, in turns.

    python -m benchmarks.train_speed compare [--methods full,lora-r16] [--length 128 --rows 16] [--repeats 5]

Both sides get the same model, adapter, sequences, order, batch size, steps and schedule. Ours keeps
what is trained in float32 and computes in bfloat16; Trainer does the same by autocast, as its users
do, with frozen weights in bfloat16. Tokens are real ones, padding excluded. The clock holds the
steps alone: loading and compiling are left out. Peaks of memory are those of whole processes. The share of
the matmul peak is our operations by formula over what the machine multiplied right after the steps.

What is not covered: Trainer with a compiled model, multi-GPU, gradient accumulation.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
from dataclasses import asdict
from typing import Annotated

import typer

from benchmarks.common import (
    SKIPPED_STEPS,
    Cell,
    Figures,
    begin,
    embedded,
    ratio,
    report,
    save,
    spread,
    take_turns,
)
from benchmarks.render import show
from harness import registry
from harness.environment import Environment, probe

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def measure(side: str, cell: str) -> None:
    """One side, once, in this process; for `compare`."""
    environment, one = begin(), Cell(**json.loads(cell))
    if side == "tuneoff":
        figures = _ours(one, environment)
    else:
        from benchmarks import trainer

        figures = {"trainer": trainer.train_trainer, "sft": trainer.train_sft}[side](one, environment)
    report(figures)


def _ours(cell: Cell, environment: Environment) -> Figures:
    from benchmarks.our_loop import train_ours

    source = embedded(environment)
    batches, _ = cell.batches(source)
    return train_ours(registry.method(cell.method), source, batches, cell.limits(), environment)


@app.command()
def compare(
    methods: Annotated[
        str, typer.Option(help="Method names separated by commas.")
    ] = "full,lora-r16,qlora-r16,prompt-tuning",
    task: Annotated[str, typer.Option(help="The task whose examples are trained on.")] = "legal_license",
    length: Annotated[int | None, typer.Option(help="Cut the text to sequences of this length.")] = None,
    rows: Annotated[int | None, typer.Option(help="Sequences a step, instead of the budget's.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of one run; the first two are not counted.")] = 10,
    repeats: Annotated[int, typer.Option(help="Turns of each side.")] = 5,
) -> None:
    """Time every method on both sides, in turns; print the table and store the figures."""
    environment = probe("auto")
    sides = ["tuneoff", "trainer", *(["sft"] if importlib.util.find_spec("trl") else [])]
    for method in methods.split(","):
        cell = Cell(task=task, method=method, length=length, batch_size=rows, steps=steps)
        text = json.dumps(asdict(cell))
        turns = take_turns(
            "benchmarks.train_speed", {side: [side, text] for side in sides}, repeats=repeats, label=method
        )
        options = {
            "task": task, "rows": cell.rows(), "length": length, "steps": steps, "repeats": repeats,
        }  # fmt: skip
        part = f"{cell.rows()}x{length or 'own'}-{method}"
        save("train-speed", part, environment, [_row(cell, turns)], options)
    show("train-speed")


def _row(cell: Cell, turns: dict[str, list[Figures]]) -> Figures:
    speeds = {side: [run["tokens_per_second"] for run in runs] for side, runs in turns.items()}
    ours = turns["tuneoff"]
    return {
        "method": cell.method,
        "tokens_per_second": {side: spread(values) for side, values in speeds.items()},
        "ratio": {
            side: ratio(speeds["tuneoff"], values) for side, values in speeds.items() if side != "tuneoff"
        },
        "matmul_peak": spread([run["matmul_peak"] for run in ours]),
        "share_of_peak": spread(
            [sum(run["step_flops"][SKIPPED_STEPS:]) / run["seconds"] / run["matmul_peak"] for run in ours]
        ),
        "compile_seconds": spread([run["compile_seconds"] for run in ours]),
        "peak_bytes": {
            side: statistics.median(run["peak_bytes"] for run in runs) for side, runs in turns.items()
        },
        "engine": ours[0]["engine"],
        "first_loss": {side: runs[0]["losses"][0] for side, runs in turns.items()},
        "final_loss": {side: runs[0]["losses"][-1] for side, runs in turns.items()},
        "grad_norm": {side: statistics.median(runs[0]["grad_norms"]) for side, runs in turns.items()},
    }


if __name__ == "__main__":
    app()
