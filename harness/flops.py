"""What training and evaluation cost in floating point operations: counted on one step, and by formula.

Formula (LoRA Without Regret, 2025, in multiply-adds; two operations each here): a weight matrix
costs 2 operations an element and token forwards, 2 for the gradient of its input, and 2 more for
its own gradient where it is trained. Full fine-tuning is then 6N a token and LoRA 4N + 6A, with A
the adapter's parameters. Attention adds 4 T^2 width a layer and sequence forwards, twice that back.
What a method computes once a step from its weights alone, such as DoRA's norms, is counted only, and so are
the experts of a sparse model, which see some of the tokens each.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers.pytorch_utils import Conv1D

from harness.anatomy import blocks
from harness.data import Batch, head_of
from harness.train import target_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel


MATRICES = (torch.nn.Linear, Conv1D)
"""Layers that multiply by a weight; GPT-2's hold it transposed."""

ROUGHLY = 1.001
"""What operations may exceed the formula by where none are once a step: it holds all the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Operations of training: some `once` a step, others for each `position`, padding included."""

    once: float
    position: float

    def of(self, steps: int, positions: int) -> float:
        """Operations of so many steps over so many positions."""
        return steps * self.once + positions * self.position


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFlops:
    """One training step on one batch: operations as counted, and by the formula."""

    counted: float
    formula: float


def train_step_flops(model: PreTrainedModel, batch: Batch) -> StepFlops:
    """Run one step without an update and count it; gradients and random state are left as they were."""
    random_state = torch.get_rng_state()
    try:
        with (
            _block_inputs(model) as seen,
            FlopCounterMode(display=False, custom_mapping=_custom_operators()) as counter,
        ):
            target_loss(model, batch).backward()  # type: ignore[no-untyped-call]
    finally:
        torch.set_rng_state(random_state)
        model.zero_grad(set_to_none=True)
    (width, past), *_ = seen
    formula = step_formula(model, rows=batch.ids.shape[0], width=width, targets=len(batch.targets), past=past)
    return StepFlops(counted=float(counter.get_total_flops()), formula=formula)


def training_cost(model: PreTrainedModel, twice: Batch, one: StepFlops) -> Cost:
    """What steps cost, from counting one sequence, and where that is not all, the same one twice.

    Args:
        model: What was counted.
        twice: A batch that holds the sequence two times.
        one: The count of its first row alone.
    """
    width = twice.ids.shape[1]
    if one.counted <= ROUGHLY * one.formula:
        return Cost(once=0.0, position=one.counted / width)
    row = train_step_flops(model, twice).counted - one.counted
    return Cost(once=one.counted - row, position=row / width)


def added_tokens(model: PreTrainedModel, batch: Batch) -> tuple[int, int]:
    """What an adapter adds to every sequence: virtual tokens before it, and keys and values in its cache."""
    sample = head_of(batch, 1)
    with torch.no_grad(), _block_inputs(model) as seen:
        target_loss(model, sample)
    (width, past), *_ = seen
    return width - sample.ids.shape[1], past


@contextlib.contextmanager
def _block_inputs(model: PreTrainedModel) -> Iterator[list[tuple[int, int]]]:
    """Within the block, each forward pass notes its first block's input width and cached positions.

    That width is the batch's plus the virtual tokens that an adapter puts before it.
    """
    seen: list[tuple[int, int]] = []

    def look(module: torch.nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        cache = options.get("past_key_values")
        seen.append((args[0].shape[1], 0 if cache is None else cache.get_seq_length()))

    handle = blocks(model)[0].register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def _custom_operators() -> dict[Any, Callable[..., int]]:
    """Operators torch has no formula for: of experts, and of bitsandbytes' 4-bit and 8-bit weights."""
    found: dict[Any, Callable[..., int]] = {}
    if hasattr(torch.ops.aten, "_grouped_mm"):
        found[torch.ops.aten._grouped_mm] = _grouped_mm
    if "transformers.integrations.moe" in sys.modules:
        found[torch.ops.transformers.grouped_mm_fallback] = _grouped_mm
        if hasattr(torch.ops.transformers, "grouped_mm_fallback_backward"):  # 5.17 has none
            found[torch.ops.transformers.grouped_mm_fallback_backward] = _grouped_mm_backward
    if "bitsandbytes" in sys.modules:
        found[torch.ops.bitsandbytes.gemm_4bit] = _gemm_4bit
        found[torch.ops.bitsandbytes.int8_mixed_scaled_mm] = _int8_mixed_scaled_mm
    return found


def _grouped_mm(left: torch.Size, right: torch.Size, *rest: Any, **options: Any) -> int:
    # Rows of a matrix are shared out to several, or columns: all but those are multiplied once.
    shared_out = len(left) == 3 and len(right) == 2
    return 2 * math.prod(left[1:] if shared_out else left) * right[-1]


def _grouped_mm_backward(left: torch.Size, right: torch.Size, *rest: Any, **options: Any) -> int:
    return 2 * _grouped_mm(left, right)  # gradients of both factors


def _gemm_4bit(left: torch.Size, packed: torch.Size, shape: Any, *rest: Any, **options: Any) -> int:
    return 2 * left.numel() * int(shape[0])  # shape is (outputs, inputs)


def _int8_mixed_scaled_mm(
    left: torch.Size, quantised: torch.Size, weight: torch.Size, *rest: Any, **options: Any
) -> int:
    return 2 * left.numel() * weight[0]  # weight is (outputs, inputs)


def step_formula(model: PreTrainedModel, *, rows: int, width: int, targets: int, past: int = 0) -> float:
    """Operations of one training step on `rows` sequences of `width` tokens, with `targets` logits.

    `past` are keys and values that every sequence finds in the cache.
    """
    head = model.get_output_embeddings()
    total = 0.0
    for module in model.modules():
        if isinstance(module, MATRICES):
            trained = any(parameter.requires_grad for parameter in module.parameters())
            positions = targets if module is head else rows * width
            total += _elements(module) * positions * (6 if trained else 4)
        elif isinstance(module, torch.nn.ParameterDict):
            factors = [_multiplied(factor, model.config.vocab_size) for factor in module.values()]
            total += 6 * rows * width * sum(factors)
    return total + 3 * _attention(model.config, rows, width, width + past)


def forward_formula(model: PreTrainedModel, tokens: int) -> float:
    """Operations of running `tokens` tokens forwards: 2 an element of every linear layer and adapter matrix.

    Attention scores and the head, which sees few positions, are left out.
    """
    head = model.get_output_embeddings()
    elements = 0
    for module in model.modules():
        if isinstance(module, MATRICES) and module is not head:
            elements += _elements(module)
        elif isinstance(module, torch.nn.ParameterDict):
            elements += sum(_multiplied(factor, model.config.vocab_size) for factor in module.values())
    return 2.0 * tokens * elements


def _multiplied(factor: Any, vocabulary: int) -> int:
    """Elements of a matrix that an adapter holds as a bare tensor; none if it is frozen or looked up."""
    used = factor.requires_grad and factor.ndim == 2 and factor.shape[1] != vocabulary
    return factor.numel() if used else 0


def _elements(layer: torch.nn.Linear | Conv1D) -> int:
    """Elements of the weight matrix, however it is packed."""
    return layer.weight.numel() if isinstance(layer, Conv1D) else layer.in_features * layer.out_features


def _attention(config: Any, rows: int, width: int, keys: int) -> float:
    config = config.get_text_config()
    head = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    heads, layers = int(config.num_attention_heads), int(config.num_hidden_layers)
    return 4.0 * rows * width * keys * heads * head * layers
