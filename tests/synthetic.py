"""Made-up results with plausible figures, for tests of what reads results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.budget import Budget
from harness.extras import Checkpoint, Merged, Retention, Speed
from harness.result import Item, Metric, Phase, Point, Result, Training

# Not a preset: the snapshot must not move when a preset does.
BUDGET = Budget(
    name="quick", train_examples=256, epochs=1, batch_size=8, max_length=384, max_new_tokens=128,
    dev_examples=100, test_examples=200, seeds=1, trials=1, timeout_seconds=1800,
)  # fmt: skip

TASKS = {
    "legal_license": ("classification", "accuracy", {"zero-shot": 0.22, "full": 0.76}),
    "function_completion": ("code", "pass@1", {"zero-shot": 0.08, "full": 0.16}),
    "iso_dates": ("structured", "field_f1", {"zero-shot": 0.35, "full": 0.93}),
}
"""By task: family, metric, and the mean scores between which a method's `KEPT` places it."""

KEPT = {
    "zero-shot": 0.0, "full": 1.0, "lora-r8": 0.86, "lora-r16": 0.95, "lora-r32": 0.97, "lora-r256": 0.98,
    "qlora-r8": 0.84, "qlora-r16": 0.92, "adalora": 0.75, "prefix-tuning": 0.55, "prompt-tuning": 0.4,
    "few-shot": 0.3, "lora-r16-emb": 0.94, "dora-r16": 0.96, "rslora-r64": 0.99,
}  # fmt: skip
TRAINABLE = {"full": 134_515_008, "lora-r16": 4_884_480, "qlora-r16": 4_884_480, "prompt-tuning": 11_520}
METHODS = ("zero-shot", "full", "lora-r16", "qlora-r16", "adalora", "prompt-tuning")
REASON = "needs CUDA: bitsandbytes has no CPU kernel"
CRASH = "OSError: [Errno 28] No space left on device"


def cell(task: str, method: str, seed: int = 0, *, items: int = 200) -> Result:
    """One result that ended ok. Equal arguments give equal results."""
    place = list(TASKS).index(task) if task in TASKS else len(task)
    rng = np.random.default_rng((place, sorted(KEPT).index(method) if method in KEPT else 99, seed))
    family, metric, ends = TASKS.get(task, ("language", "rougeL", {"zero-shot": 0.1, "full": 0.5}))
    kept = KEPT.get(method, 0.5)
    goal = ends["zero-shot"] + kept * (ends["full"] - ends["zero-shot"]) + rng.normal(0, 0.005)
    # Hard items are hard for every method: without that, pairing would gain nothing.
    hardness = np.random.default_rng(place).random(items)
    scores = (0.6 * hardness + 0.4 * rng.random(items) < 0.2 + 0.6 * goal).astype(float)
    if metric == "field_f1":
        scores = np.round(np.clip(scores + rng.integers(-2, 3, items) / 4, 0, 1), 2)
    return Result(
        status="ok",
        reason=None,
        task=task,
        method=method,
        seed=seed,
        identity=_identity(task, method, seed),
        family=family,
        metric=Metric(name=metric, value=float(scores.mean()), ci_low=0.0, ci_high=1.0, n=items),
        items=tuple(
            Item(
                id=f"{task}-{at}",
                score=float(score),
                output="answer",
                truncated=at < 3 and place == 1,
                unfinished=at < 3 and place == 1,
                readable=place != 1 or at % 20 != 2 or bool(score),
            )
            for at, score in enumerate(scores)
        ),
        baselines={"most common target": 0.05, "naive rule": round(ends["zero-shot"] / 2, 3)},
        environment=_environment(),
        **({} if method in ("zero-shot", "few-shot") else _training(method, goal, place, rng)),
        **_phases(method, place),
    )


def grid(
    tasks: tuple[str, ...] = tuple(TASKS), methods: tuple[str, ...] = METHODS, seeds: int = 1
) -> list[Result]:
    """Every cell of the grid; QLoRA skipped on code, prompt tuning failed on dates where they are part."""
    results = [cell(task, method, seed) for task in tasks for method in methods for seed in range(seeds)]
    troubled = {
        ("function_completion", "qlora-r16"): ("skipped", REASON),
        ("iso_dates", "prompt-tuning"): ("failed", CRASH),
    }
    return [
        ended(result, *troubled[result.task, result.method])
        if (result.task, result.method) in troubled
        else result
        for result in results
    ]


def ended(result: Result, status: str, reason: str | None) -> Result:
    """The same cell as if it had ended otherwise, with nothing measured."""
    return replace(
        result, status=status, reason=reason, metric=None, items=(), curve=(), phases={}, train=None,
        generation=None, parameters=None, adapter_bytes=None, model_bytes=None, retention=None, flops=None,
        energy_joules=None, checkpoints=(), merged=None,
    )  # fmt: skip


def _identity(task: str, method: str, seed: int) -> dict[str, object]:
    rank = method.rpartition("-r")[2]
    return {
        "task": task,
        "task_version": 1,
        "task_hash": f"hash of {task}",
        "method": method,
        "method_config": {"r": int(rank), "lora_alpha": 2 * int(rank)} if rank.isdigit() else {},
        "learning_rates": [] if method == "zero-shot" else [2e-4 if "lora" in method else 5e-5],
        "seed": seed,
        "budget": {name: value for name, value in BUDGET.to_dict().items() if name != "seeds"},
        "model": {"source": "embedded", "sha256": "ab" * 32},
        "data": "embedded",
        "device": "cpu",
        "precision": "bfloat16",
        "machine": "0123456789abcdef",
        "versions": _environment()["versions"],
    }


def _environment() -> dict[str, object]:
    return {
        "device": "cpu",
        "device_name": "Example CPU @ 2.00GHz",
        "cores": 2,
        "memory_bytes": 8_000_000_000,
        "gpu_memory_bytes": None,
        "precision": "bfloat16",
        "versions": {"python": "3.11.9", "tuneoff": "0.1.0", "torch": "2.9.0", "transformers": "5.1.0",
                     "peft": "0.18.0", "bitsandbytes": "absent"},
        "machine": "0123456789abcdef",
        "commit": "0123456789012345678901234567890123456789",
        "platform": "Linux-6.1-x86_64",
        "sandbox": "namespaces",
    }  # fmt: skip


def _phases(method: str, place: int) -> dict[str, object]:
    seconds = {"load": 0.9, "encode": 0.4, "evaluate": 20.0 + 30 * place}
    if method not in ("zero-shot", "few-shot"):
        seconds |= {
            "retention": 2.4,
            "flops": 2.1,
            "train": (40 + 25 * place) * _slowness(method),
            "checkpoints": 8.0 + 12 * place,
        }
    peaks = {"train": (3.1 if method == "full" else 1.9 + 0.2 * len(method) % 0.7) * 1e9}
    return {
        "phases": {
            name: Phase(seconds=value, peak_bytes=int(peaks.get(name, 1.2e9)))
            for name, value in seconds.items()
        },
        "generation": {"do_sample": False, "max_new_tokens": 128} if place else None,
    }  # fmt: skip


def _slowness(method: str) -> float:
    known = {
        "full": 1.0,
        "lora-r16": 0.86,
        "lora-r8": 0.84,
        "qlora-r16": 1.3,
        "adalora": 1.1,
        "prompt-tuning": 0.75,
    }
    return known.get(method, 0.8 + len(method) / 50)


def _training(method: str, goal: float, place: int, rng: np.random.Generator) -> dict[str, object]:
    rate = 2e-4 if "lora" in method else 5e-5
    steps = 32
    losses = 0.4 + 2.5 * (1 - goal) * np.exp(-np.arange(steps) / (6 + place)) + rng.normal(0, 0.05, steps)
    trainable = TRAINABLE.get(method, 1_500_000)
    total = TRAINABLE["full"] + (0 if method == "full" else trainable)
    return {
        "curve": tuple(
            Point(step=at + 1, tokens=1500 * (at + 1), seconds=1.2 * (at + 1), loss=float(max(loss, 0.05)),
                  learning_rate=rate, grad_norm=1.0)
            for at, loss in enumerate(losses)
        ),
        "checkpoints": tuple(
            Checkpoint(step=at, examples=8 * at, tokens=1500 * at, seconds=1.2 * at * _slowness(method),
                       score=round(goal * (0.2 + 0.8 * at / (at + 2)), 3), n=24)
            for at in (0, 4, 8, 16, 32)
        ),
        "merged": Merged(
            difference=20.0 if method.startswith("q") else 1.5, tolerance=3.25, agreement=0.96, prompts=4,
            tokens=512, apart=Speed(forward=500.0, generation=20.0),
            merged=Speed(forward=550.0, generation=30.0),
        ) if "lora" in method else None,
        "train": Training(
            steps=steps, examples=256, tokens=48_000, tokens_per_second=1200.0, learning_rate=rate,
            truncated=5 if place == 0 else 0,
        ),
        "parameters": {"total": total, "trainable": trainable},
        "adapter_bytes": 2 * trainable + 40_000,
        "model_bytes": 2 * TRAINABLE["full"],
        "retention": {
            kind: Retention(
                loss_before=before, loss_after=before + forgotten * len(method) / 20, passages=24,
                tokens=2000, sha256=kind[0] * 64, python="3.11.9",
            )
            for kind, before, forgotten in (("prose", 2.75, 0.25), ("code", 1.5, -0.01))
        },
        "flops": {
            "train": 3.9e13 * (1 if method == "full" else 0.68), "train_formula": 3.8e13, "evaluate": 1e13,
        },
    }  # fmt: skip
