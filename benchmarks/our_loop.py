"""Our training loop as the benchmarks run it: once, in this process, with its seconds, losses and memory."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict

import psutil
import torch

from benchmarks.common import SKIPPED_STEPS, Figures, matmul_peak
from benchmarks.memory import training_bytes
from harness.answers import Progress
from harness.budget import Budget
from harness.data import Batch
from harness.engine import engine
from harness.environment import Environment
from harness.flops import added_tokens, step_formula
from harness.method import Method
from harness.model import ModelSource
from harness.profiler import keep_freed_memory, peak_bytes, release_freed_memory, reset_peak
from harness.train import train

COMPILE = math.inf
"""As much work as it takes for the engine to compile wherever it would in a long run."""

Step = tuple[float, float, float]
"""Seconds since training began, loss, and gradient norm before clipping."""


def curve_figures(curve: Sequence[Step], batches: Sequence[Batch]) -> Figures:
    """What either side's run comes to; the first `SKIPPED_STEPS` do not count towards `seconds`."""
    seconds = curve[-1][0] - curve[SKIPPED_STEPS - 1][0]
    return {
        "seconds": seconds,
        "all_seconds": curve[-1][0],
        "tokens_per_second": sum(batch.tokens for batch in batches[SKIPPED_STEPS:]) / seconds,
        "losses": [loss for _, loss, _ in curve],
        "grad_norms": [norm for _, _, norm in curve],
    }


def train_ours(
    method: Method,
    source: ModelSource,
    batches: Sequence[Batch],
    limits: Budget,
    environment: Environment,
    *,
    progress: Progress = lambda done, total: None,
) -> Figures:
    """Load, adapt, compile where the engine does, and train on all batches.

    `peak_bytes` is that of the whole process, `train_peak_bytes` that of the training loop alone, and
    `bare_bytes` what the process held before it had a model. `formula_bytes` has no share of the latter.
    """
    keep_freed_memory()
    bare = psutil.Process().memory_info().rss if environment.device == "cpu" else 0
    torch.manual_seed(0)
    model = method.adapt(method.load(source), limits)
    fast = engine("fast")
    optimizer = fast.optimizer(model, source.precision)
    added, past = added_tokens(model, batches[0].to(environment.device))
    shapes = [
        {"rows": len(b.ids), "width": b.ids.shape[1] + added, "targets": len(b.targets), "past": past}
        for b in batches
    ]
    start = time.perf_counter()
    compiled = fast.compile(model, batches, COMPILE)
    compile_seconds = time.perf_counter() - start
    load_peak = peak_bytes(environment.device)[0] or 0
    release_freed_memory(environment.device)
    reset_peak(environment.device)
    trained = train(
        model, optimizer, batches, loss_of=fast.loss, learning_rate=method.learning_rates[0],
        device=environment.device, penalty=method.penalty, after_step=method.after_step,
        progress=progress,
    )  # fmt: skip
    train_peak = peak_bytes(environment.device)[0] or 0
    largest = max(shapes, key=lambda shape: shape["rows"] * shape["width"])
    curve = [(point.seconds, point.loss or 0.0, point.grad_norm or 0.0) for point in trained.curve]
    return {
        **curve_figures(curve, batches),
        "step_flops": [step_formula(model, **shape) for shape in shapes],
        "matmul_peak": matmul_peak(environment),
        "peak_bytes": max(load_peak, train_peak),
        "train_peak_bytes": train_peak,
        "bare_bytes": bare,
        "formula_bytes": asdict(training_bytes(model, source.precision, **largest)),
        "compile_seconds": compile_seconds,
        "engine": compiled.to_dict(),
    }
