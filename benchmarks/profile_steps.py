"""Where the seconds of training steps and of answers are, by kind of operation (torch.profiler).

    python -m benchmarks.profile_steps compare [--methods full,lora-r16] [--length 128 --rows 16]

Shares are of wall-clock while the profiler records, which slows small operations down. Matrix products are
what no other loop could leave out: their share bounds what is left to gain.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated

import typer
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import SKIPPED_STEPS, Cell, Figures, begin, embedded, measured, report, save, tracked
from benchmarks.eval_speed import SIDES
from benchmarks.our_loop import train_ours
from benchmarks.render import show
from harness import registry
from harness.environment import Environment, probe
from harness.profiler import keep_freed_memory

KINDS = {
    "products": ("mm", "addmm", "bmm", "baddbmm", "mkldnn_linear", "gemm_4bit"),
    "4-bit unpacking": ("dequantize_4bit", "dequantize_blockwise"),
    "attention kernel": ("_scaled_dot_product_flash_attention_for_cpu",),
    "copies, casts": ("copy_", "_foreach_copy_", "cat", "index", "index_select", "_index_put_impl_", "fill_"),
    "softmax, loss": (
        "_softmax", "_softmax_backward_data", "_log_softmax", "_log_softmax_backward_data",
        "nll_loss_forward", "nll_loss_backward", "argmax",
    ),
    "optimizer": ("_fused_adamw_", "_foreach_norm", "_foreach_mul_", "linalg_vector_norm"),
    "elementwise, sums": (
        "mul", "mul_", "add", "add_", "sub", "div", "neg", "silu", "silu_backward", "pow", "rsqrt", "mean",
        "sum", "embedding_dense_backward", "masked_fill_",
    ),
}  # fmt: skip
"""Operators by their name without its namespace."""

OTHER = "other, Python"
RECORDED_STEPS = 4

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def measure(what: str, length: int, rows: int, items: int) -> None:
    """Profile one method's training steps, or answers ("tuneoff labels"), in this process; for `compare`."""
    environment = begin()
    keep_freed_memory()
    side, _, kind = what.partition(" ")
    recorder = profile(activities=[ProfilerActivity.CPU])
    if kind:
        answer = SIDES[side, kind](embedded(environment), items)
        with recorder:
            start = time.perf_counter()
            answer()
            seconds = time.perf_counter() - start
    else:
        cell = Cell(
            task="legal_license", method=what, length=length, batch_size=rows, steps=SKIPPED_STEPS + 4
        )
        seconds = _steps(cell, environment, recorder)
    report({"what": what, "seconds": seconds, "shares": _shares(recorder, seconds)})


def _steps(cell: Cell, environment: Environment, recorder: profile) -> float:
    """Train the cell, recording all steps that count; their seconds."""

    def progress(done: int, total: int) -> None:
        if done == SKIPPED_STEPS:
            recorder.start()
        if done == total:
            recorder.stop()

    source = embedded(environment)
    batches, _ = cell.batches(source)
    method = registry.method(cell.method)
    return float(
        train_ours(method, source, batches, cell.limits(), environment, progress=progress)["seconds"]
    )


def _shares(recorder: profile, seconds: float) -> dict[str, float]:
    kinds = {name: kind for kind, names in KINDS.items() for name in names}
    found: Counter[str] = Counter()
    for event in recorder.key_averages():
        kind = kinds.get(event.key.rpartition("::")[2])
        if kind:
            found[kind] += event.self_cpu_time_total / 1e6 / seconds
    return {**{kind: found[kind] for kind in KINDS}, OTHER: 1 - sum(found.values())}


@app.command()
def compare(
    methods: Annotated[
        str, typer.Option(help="Methods whose steps to profile, separated by commas.")
    ] = "full,lora-r16,qlora-r16,prompt-tuning",
    length: Annotated[int, typer.Option(help="Tokens of a sequence.")] = 128,
    rows: Annotated[int, typer.Option(help="Sequences a step.")] = 16,
    items: Annotated[int, typer.Option(help="Test items to answer.")] = 64,
) -> None:
    """Profile our training steps and both sides' answers; print the table and store the figures."""
    names = [*methods.split(","), *map(" ".join, SIDES)]
    sizes = [str(length), str(rows), str(items)]
    found: list[Figures] = [
        measured("benchmarks.profile_steps", [name, *sizes]) for name in tracked(names, "profile")
    ]
    save("profile", "steps", probe("auto"), found, {"length": length, "rows": rows, "items": items})
    show("profile")


if __name__ == "__main__":
    app()
