"""Transformers' Trainer, and trl's SFTTrainer, on a benchmark's cell as their users would set them up.

The model is the method's own, adapter included, with the library's default attention. What is trained is
kept in float32 under bfloat16 autocast. Our side's batches are taken apart and collated again by theirs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import SequentialSampler
from transformers import DataCollatorForTokenClassification, Trainer, TrainerCallback, TrainingArguments

from benchmarks.common import Cell, Figures, embedded
from benchmarks.our_loop import Step, curve_figures
from harness import registry
from harness.budget import Budget
from harness.data import WIDTH_MULTIPLE, Batch
from harness.environment import Environment
from harness.method import Method
from harness.model import ModelSource
from harness.profiler import peak_bytes
from harness.train import rate_at

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IGNORED = -100
"""The label that transformers' losses leave out."""


def train_trainer(cell: Cell, environment: Environment) -> Figures:
    """The cell by `Trainer`."""
    return _train(cell, environment, Trainer, TrainingArguments, {})


def train_sft(cell: Cell, environment: Environment) -> Figures:
    """The cell by `SFTTrainer`."""
    from trl import SFTConfig, SFTTrainer

    return _train(cell, environment, SFTTrainer, SFTConfig, {"max_length": None})


def _train(
    cell: Cell, environment: Environment, trainer_class: Any, arguments_class: Any, options: dict[str, Any]
) -> Figures:
    source = embedded(environment)
    batches, encoder = cell.batches(source)
    torch.manual_seed(0)
    method = registry.method(cell.method)
    model = _adapted(method, source, cell.limits())
    encoder.tokenizer.pad_token = encoder.tokenizer.eos_token
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = arguments_class(
            output_dir=folder,
            per_device_train_batch_size=cell.rows(),
            max_steps=len(batches),
            learning_rate=method.learning_rates[0],
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
        in_order(trainer_class, len(batches))(
            model=model,
            args=arguments,
            train_dataset=_dataset(batches),
            data_collator=DataCollatorForTokenClassification(
                encoder.tokenizer, pad_to_multiple_of=WIDTH_MULTIPLE
            ),
            callbacks=[clock],
        ).train()
    return {**curve_figures(clock.curve, batches), "peak_bytes": peak_bytes(environment.device)[0]}


def _adapted(method: Method, source: ModelSource, limits: Budget) -> PreTrainedModel:
    """The model as users of Trainer hand it over: quantised ones by peft's recipe, adapters in float32."""
    from peft import prepare_model_for_kbit_training

    model = method.load(source)
    model.set_attn_implementation("sdpa")
    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    model = method.adapt(model, limits)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


class Clock(TrainerCallback):
    """Notes when each step ended, with its loss and gradient norm."""

    def __init__(self) -> None:
        self.curve: list[Step] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        """Take a step's figures; the summary at the end has no gradient norm."""
        if "grad_norm" in (logs or {}):
            self.curve.append((time.perf_counter() - self._start, logs["loss"], logs["grad_norm"]))


def in_order(trainer_class: Any, steps: int) -> Any:
    """A kind of trainer that takes sequences in their given order, under the harness's own schedule."""

    class InOrder(trainer_class):  # type: ignore[misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, lambda step: rate_at(min(step + 1, steps), steps, 1.0)
            )
            return self.lr_scheduler

    return InOrder


def _dataset(batches: Sequence[Batch]) -> Any:
    """The sequences of all batches, without padding, with labels as the library wants them."""
    from datasets import Dataset

    rows = []
    for batch in batches:
        labels = torch.full_like(batch.ids, IGNORED)
        labels[batch.rows, batch.columns + 1] = batch.targets
        for ids, own, mask in zip(batch.ids, labels, batch.mask.bool(), strict=True):
            rows.append({"input_ids": ids[mask].tolist(), "labels": own[mask].tolist()})
    return Dataset.from_list(rows)
