"""An adapter merged into the weights, held against the same model with the adapter beside them.

Merged, a model runs without what an adapter costs at every step. In exact arithmetic its outputs would be the
same; in fact the merged weights are rounded once more: to 8 bits in bfloat16, and to 4 in a 4-bit base, whose
steps may be wider than all that was learnt.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil
import torch

from harness.anatomy import weight_bytes
from harness.executor import first_line, is_out_of_memory
from harness.extras import Merged, Speed
from harness.result import finite
from harness.train import logits_at

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NO_ROOM = "there was too little memory for a second model"
READ, WRITTEN = 64, 4
"""Tokens of each prompt that are read (its last), and tokens written after them."""


class UnmergedError(Exception):
    """An adapter that has to stay beside the weights, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distance:
    """How far the outputs of two models are apart; see `Merged`."""

    difference: float
    tolerance: float
    agreement: float


def mergeable(model: PreTrainedModel) -> bool:
    """Whether peft put an adapter into the model's layers, most kinds of which it can merge."""
    from peft.tuners.tuners_utils import BaseTuner

    return isinstance(getattr(model, "base_model", None), BaseTuner)


def is_quantised(model: torch.nn.Module) -> bool:
    """Whether some weights are held as whole numbers, to which merging rounds again."""
    return any(not parameter.is_floating_point() for parameter in model.parameters())


def merged_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A second model, the adapter of a `mergeable` one in its weights.

    Raises:
        UnmergedError: It has no such form, or a second model does not fit into memory.
    """
    with warnings.catch_warnings():
        # That 4-bit weights round, which is measured here, and that a tied head changes, which it does not.
        warnings.simplefilter("ignore", UserWarning)
        try:
            double: Any = copy.deepcopy(model)
            _untie(double.get_base_model())
            merged: PreTrainedModel = double.merge_and_unload()
        except (RuntimeError, ValueError) as error:
            # What peft cannot merge it refuses with either, torch has no better word for want of memory, and
            # a trained cell is not lost to it. Whatever it was, the result says so.
            raise UnmergedError(NO_ROOM if is_out_of_memory(error) else first_line(error)) from error
    return merged


def measure(model: PreTrainedModel, prompts: Sequence[list[int]]) -> Merged:
    """Merge a copy of the model and compare the two on the last tokens of some prompts.

    Speeds are medians of as many rounds as there are prompts; in each, both models take all of them, by turns
    the one and the other first.

    Raises:
        UnmergedError: It cannot be merged, or the copy would take more than half of the free memory.
    """
    device = str(model.device)
    if 2 * weight_bytes(model) > _free_bytes(device):
        raise UnmergedError(NO_ROOM)
    merged = merged_copy(model)
    width = min(READ, *map(len, prompts))
    ids = torch.tensor([prompt[-width:] for prompt in prompts], device=device)
    found = distance(model, merged, ids)
    apart: list[tuple[float, float]] = []
    together: list[tuple[float, float]] = []
    sides = [(model, apart), (merged, together)]
    for turn in range(-1, len(prompts)):
        # Who goes second finds the caches as the first left them.
        for one, times in sides[:: 1 if turn % 2 else -1]:
            spent = _seconds(one, ids)
            if turn >= 0:  # the first pass of each warms up
                times.append(spent)
    return Merged(
        difference=finite(found.difference),
        tolerance=finite(found.tolerance),
        agreement=found.agreement,
        prompts=len(prompts),
        tokens=ids.numel(),
        apart=_speed(apart, ids),
        merged=_speed(together, ids),
    )


@torch.inference_mode()
def distance(apart: PreTrainedModel, merged: PreTrainedModel, ids: torch.Tensor) -> Distance:
    """Compare the models' logits after each of `ids`, (prompts, width).

    The tolerance is what rounding explains. A layer's roundings, of merged weights, of products and of their
    sum, together change its output by about the precision's eps; float32 sums of n terms add eps sqrt(n).
    Such errors of all adapted layers are independent and grow with the root of their number, and the greatest
    of N normal errors is about sqrt(2 ln N) of their standard deviations.
    """
    difference, squares, same = 0.0, 0.0, 0
    for row in ids:  # one at a time: logits of all at once may take more than the model
        first, second = (model(input_ids=row[None]).logits[0] for model in (apart, merged))
        same += int((first.argmax(dim=-1) == second.argmax(dim=-1)).sum())
        gaps = (first.float() - second.float()).abs()
        difference = gaps.max().item() if gaps.isnan().any() else max(difference, gaps.max().item())
        squares += first.float().square().mean().item()
    terms = apart.get_output_embeddings().weight.shape[-1]
    step = torch.finfo(first.dtype).eps + math.sqrt(terms) * torch.finfo(torch.float32).eps
    deviation = math.sqrt(squares / len(ids) * _adapted_layers(apart)) * step
    return Distance(
        difference=difference,
        tolerance=math.sqrt(2 * math.log(ids.numel() * first.shape[-1])) * deviation,
        agreement=same / ids.numel(),
    )


def _untie(model: PreTrainedModel) -> None:
    """Give a head that is tied to the embeddings its own weights where only those have an adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    if isinstance(embeddings, BaseTunerLayer) and head.weight is embeddings.weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)


def _adapted_layers(model: torch.nn.Module) -> int:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return sum(isinstance(module, BaseTunerLayer) for module in model.modules())


def _free_bytes(device: str) -> int:
    return torch.cuda.mem_get_info()[0] if device.startswith("cuda") else psutil.virtual_memory().available


@torch.inference_mode()
def _seconds(model: PreTrainedModel, ids: torch.Tensor) -> tuple[float, float]:
    """How long it takes to read `ids` at once, and then to write `WRITTEN` tokens one after another."""
    rows, width = torch.arange(len(ids), device=ids.device), ids.shape[1]
    start = time.perf_counter()
    with logits_at(model, rows, torch.full_like(rows, width - 1), width):
        output: Any = model(input_ids=ids, use_cache=True)
    best = output.logits.argmax(dim=-1)
    best.tolist()  # waits for the device
    read = time.perf_counter()
    for _ in range(WRITTEN):
        output = model(input_ids=best[:, None], past_key_values=output.past_key_values, use_cache=True)
        best = output.logits[:, -1].argmax(dim=-1)
    best.tolist()
    return read - start, time.perf_counter() - read


def _speed(times: Sequence[tuple[float, float]], ids: torch.Tensor) -> Speed:
    reading, writing = (median(column) for column in zip(*times, strict=True))
    return Speed(forward=ids.numel() / reading, generation=len(ids) * WRITTEN / writing)
