"""Training speed: our loop against transformers' Trainer (and trl's SFTTrainer), the same cell, in turns.

    python -m benchmarks.train_speed compare [--methods full,lora-r16] [--length 128 --rows 16] [--repeats 5]

Both sides get the same model, adapter, sequences, order, batch size, steps and schedule. Ours keeps
what is trained in float32 and computes in bfloat16; Trainer does the same by autocast, as its users
do, with frozen weights in bfloat16. Tokens are real ones, padding excluded. The clock holds the
steps alone: loading and compiling are left out on both sides, and ours is printed apart.

What is not covered: Trainer with a compiled model, multi-GPU, gradient accumulation.
"""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
import time
from typing import Annotated, Any

import typer

from benchmarks.common import (
    Cell,
    Figures,
    matmul_peak,
    ratio,
    report,
    save,
    spread,
    take_turns,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

COMPILE = math.inf
"""As much work as it takes for the engine to compile wherever it would in a long run."""

SKIPPED_STEPS = 2
"""The first steps touch memory for the first time; neither side's count."""


@app.command()
def measure(side: str, cell: str) -> None:
    """One side, once, in this process; for `compare`."""
    import torch

    from harness.environment import probe
    from harness.model import quieten
    from harness.profiler import reset_peak

    quieten()
    environment = probe("auto")
    torch.set_num_threads(environment.cores)
    reset_peak(environment.device)
    report({"tuneoff": _ours, "trainer": _trainer, "sft": _sft}[side](Cell(**json.loads(cell)), environment))


def _batches(cell: Cell, source: Any) -> tuple[list[Any], Any]:
    from harness.data import Encoder, batches

    limits = cell.limits()
    encoder = Encoder(source.tokenizer(), limits.max_length)
    plan = batches(
        cell.sequences(encoder), batch_size=cell.rows(), epochs=limits.epochs, seed=0, pad=encoder.end
    )
    return plan[: cell.steps], encoder


def _figures(curve: list[tuple[float, float, float]], batches: list[Any], **more: Any) -> Figures:
    """Figures of one run from (seconds so far, loss, gradient norm) a step."""
    from harness.profiler import peak_bytes

    seconds = curve[-1][0] - curve[SKIPPED_STEPS - 1][0]
    tokens = sum(batch.tokens for batch in batches[SKIPPED_STEPS:])
    device = str(more.pop("device"))
    return {
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "losses": [loss for _, loss, _ in curve],
        "grad_norms": [norm for _, _, norm in curve],
        "peak_bytes": peak_bytes(device)[0],
        **more,
    }


def _ours(cell: Cell, environment: Any) -> Figures:
    import torch

    from harness import registry
    from harness.engine import engine
    from harness.flops import step_formula
    from harness.profiler import keep_freed_memory
    from harness.train import train

    keep_freed_memory()
    source, method = cell.source(environment), registry.method(cell.method)
    batches, _ = _batches(cell, source)
    torch.manual_seed(0)
    model = method.adapt(method.load(source), cell.limits())
    flops = sum(
        step_formula(model, rows=len(b.ids), width=b.ids.shape[1], targets=len(b.targets))
        for b in batches[SKIPPED_STEPS:]
    )
    fast = engine("fast")
    optimizer = fast.optimizer(model, source.precision)
    start = time.perf_counter()
    done = fast.compile(model, batches, COMPILE)
    compiled = time.perf_counter() - start
    trained = train(
        model, optimizer, batches, loss_of=fast.loss, learning_rate=method.learning_rates[0],
        device=environment.device, penalty=method.penalty, after_step=method.after_step,
        progress=lambda done, total: None,
    )  # fmt: skip
    curve = [(point.seconds, point.loss or 0.0, point.grad_norm or 0.0) for point in trained.curve]
    return _figures(
        curve,
        batches,
        device=environment.device,
        flops=flops,
        compile_seconds=compiled,
        engine=done.to_dict(),
    )


def _trainer(cell: Cell, environment: Any) -> Figures:
    from transformers import Trainer

    return _with_trainer(cell, environment, Trainer, {})


def _sft(cell: Cell, environment: Any) -> Figures:
    from trl import SFTConfig, SFTTrainer

    return _with_trainer(cell, environment, SFTTrainer, {"max_length": None}, SFTConfig)


def _with_trainer(
    cell: Cell, environment: Any, trainer_class: Any, options: dict[str, Any], arguments_class: Any = None
) -> Figures:
    import tempfile

    import torch
    from torch.utils.data import SequentialSampler
    from transformers import DataCollatorForTokenClassification, TrainerCallback, TrainingArguments

    from harness.train import rate_at

    source = cell.source(environment)
    batches, encoder = _batches(cell, source)
    rows = [
        {"input_ids": batch.ids[row][batch.mask[row].bool()].tolist(), "labels": labels}
        for batch in batches
        for row, labels in enumerate(_labels(batch))
    ]
    torch.manual_seed(0)
    model, peak_rate = _theirs(cell, environment, source)
    curve: list[tuple[float, float, float]] = []

    class Clock(TrainerCallback):
        """Notes when each step ended."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            self.start = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            if "grad_norm" in (logs or {}):
                curve.append((time.perf_counter() - self.start, logs["loss"], logs["grad_norm"]))

    class InOrder(trainer_class):  # type: ignore[misc]
        """The sequences in their given order, under the harness's own schedule."""

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            steps = len(batches)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, lambda step: rate_at(min(step + 1, steps), steps, 1.0)
            )
            return self.lr_scheduler

    with tempfile.TemporaryDirectory() as folder:
        arguments = (arguments_class or TrainingArguments)(
            output_dir=folder,
            per_device_train_batch_size=cell.rows(),
            max_steps=len(batches),
            learning_rate=peak_rate,
            weight_decay=0.0,
            max_grad_norm=1.0,
            bf16=environment.precision == "bfloat16",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            disable_tqdm=True,
            use_cpu=environment.device == "cpu",
            **options,
        )
        collator = DataCollatorForTokenClassification(encoder.tokenizer, pad_to_multiple_of=8)
        encoder.tokenizer.pad_token = encoder.tokenizer.eos_token
        trainer = InOrder(
            model=model,
            args=arguments,
            train_dataset=_dataset(rows, trl=bool(options)),
            data_collator=collator,
            callbacks=[Clock()],
        )
        trainer.train()
    return _figures(curve, batches, device=environment.device)


def _labels(batch: Any) -> list[list[int]]:
    """The labels of each row as Trainer wants them: -100 where there is no target."""
    found = [[-100] * int(mask.sum()) for mask in batch.mask]
    for row, column, target in zip(batch.rows, batch.columns, batch.targets, strict=True):
        found[row][column + 1] = int(target)
    return found


def _dataset(rows: list[dict[str, Any]], *, trl: bool) -> Any:
    if not trl:
        return rows
    from datasets import Dataset

    return Dataset.from_list(rows)


def _theirs(cell: Cell, environment: Any, source: Any) -> tuple[Any, float]:
    """The model as users of Trainer prepare it, and the peak learning rate."""
    import torch
    from transformers import AutoModelForCausalLM

    from harness import registry

    method = registry.method(cell.method)
    if cell.method == "full":
        model = AutoModelForCausalLM.from_pretrained(source.path, dtype=torch.float32)
        return model.to(environment.device), method.learning_rates[0]
    from peft import prepare_model_for_kbit_training

    adapted = method.adapt(method.load(source), cell.limits())
    if cell.method.startswith("qlora"):
        adapted = prepare_model_for_kbit_training(adapted, use_gradient_checkpointing=False)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # peft's default: adapters in float32
    return adapted, method.learning_rates[0]


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
    from dataclasses import asdict

    from benchmarks.render import show
    from harness.environment import probe

    environment = probe("auto")
    peak = matmul_peak(environment)
    sides = ["tuneoff", "trainer", *(["sft"] if importlib.util.find_spec("trl") else [])]
    found = []
    for method in methods.split(","):
        cell = Cell(task=task, method=method, length=length, batch_size=rows, steps=steps)
        text = json.dumps(asdict(cell))
        turns = take_turns(
            "benchmarks.train_speed", {side: [side, text] for side in sides}, repeats=repeats, label=method
        )
        found.append(_row(cell, turns, peak))
    shape = f"`{task}`" if length is None else f"{cell.rows()} x {length} tokens"
    name = "train-speed" if length is None else f"train-speed-at-{length}"
    path = save(name, environment, found, matmul_peak=peak, repeats=repeats, shape=shape)
    show(path)


def _row(cell: Cell, turns: dict[str, list[Figures]], peak: float) -> Figures:
    speeds = {side: [run["tokens_per_second"] for run in runs] for side, runs in turns.items()}
    ours = turns["tuneoff"]
    return {
        "method": cell.method,
        "tokens_per_second": {side: spread(values) for side, values in speeds.items()},
        "ratio": {
            side: ratio(speeds["tuneoff"], values) for side, values in speeds.items() if side != "tuneoff"
        },
        "share_of_peak": spread([run["flops"] / run["seconds"] / peak for run in ours]),
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
