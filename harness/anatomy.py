"""What a loaded model is made of: parameters, their bytes, its blocks, and code that can replace its own."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def count_parameters(model: PreTrainedModel) -> dict[str, int]:
    """Counts of all and of trainable parameters; 4-bit weights count by their true shape."""
    total = trainable = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        count = math.prod(state.shape) if state is not None else parameter.numel()
        total += count
        trainable += count * parameter.requires_grad
    return {"total": total, "trainable": trainable}


def weight_bytes(model: PreTrainedModel, *, trained: bool = False) -> int:
    """Bytes of all or of the trained parameters as they are held: a file of them is longer by its header."""
    return sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad or not trained)


def blocks(model: PreTrainedModel) -> torch.nn.ModuleList:
    """The repeated blocks of a model: its first list of as many modules as its configuration has layers.

    Raises:
        TypeError: There is none; it is no decoder as transformers builds them.
    """
    import torch

    layers = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            return module
    raise TypeError(f"{type(model).__name__} has no list of its {layers} blocks")


def same_code(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions read the same, so that what stands in for one can stand in for the other."""
    source = _source(one)
    return source is not None and source == _source(other)


@cache
def _source(function: Callable[..., Any]) -> str | None:
    """A function's source with single spaces; None where there is none to read."""
    try:
        return " ".join(inspect.getsource(function).split())
    except (OSError, TypeError):
        return None
