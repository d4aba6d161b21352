"""Attention while answers are generated: keys and values stay in place, and heads that share them read them.

Eager attention copies them for every head that attends to them, and transformers' cache copies itself to
grow: both at each new token all that went before.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import DynamicLayer

from harness.anatomy import same_code

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

ROOM = 64
"""Positions by which a cache grows."""

NAME = "tuneoff_grouped"
"""What transformers calls it."""


@contextlib.contextmanager
def grouped_attention(model: PreTrainedModel) -> Iterator[bool]:
    """Within the block, a model in eager attention has its heads grouped; yields whether it has.

    A model whose eager attention is not known to compute just that stays as it is.
    """
    if not _is_known(model):
        yield False
        return
    _register()
    model.set_attn_implementation(NAME)
    try:
        yield True
    finally:
        model.set_attn_implementation("eager")


def with_room(cache: DynamicCache) -> None:
    """From now on the layers of a cache that keep every token grow by `ROOM` positions at once."""
    for layer in cache.layers:
        if type(layer) is DynamicLayer and layer.is_initialized:
            layer.__class__ = _Roomy


class _Roomy(DynamicLayer):  # type: ignore[misc]
    """Keys and values are the filled parts of longer tensors, unless rows were taken out of them."""

    keys: torch.Tensor
    values: torch.Tensor
    _whole: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in the states of new positions, (rows, heads, new, size); those of all positions so far."""
        filled = self.keys.shape[2]
        end = filled + key_states.shape[2]
        whole = self._whole
        if whole is None or whole[0].shape[2] < end or whole[0].data_ptr() != self.keys.data_ptr():
            whole = self._whole = _longer(self.keys, end + ROOM), _longer(self.values, end + ROOM)
        whole[0][:, :, filled:end] = key_states
        whole[1][:, :, filled:end] = value_states
        self.keys, self.values = whole[0][:, :, :end], whole[1][:, :, :end]
        return self.keys, self.values


def _longer(states: torch.Tensor, positions: int) -> torch.Tensor:
    rows, heads, filled, size = states.shape
    whole = states.new_empty(rows, heads, positions, size)
    whole[:, :, :filled] = states
    return whole


def _is_known(model: PreTrainedModel) -> bool:
    from transformers.models.llama import modeling_llama

    config = model.config
    if config._attn_implementation != "eager" or not model._supports_attention_backend:
        return False
    own = getattr(sys.modules[type(model).__module__], "eager_attention_forward", None)
    return own is not None and same_code(own, modeling_llama.eager_attention_forward)


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(NAME, _grouped)
    AttentionMaskInterface.register(NAME, eager_mask)


def _grouped(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Softmax attention of queries (rows, heads, width, size) to keys and values of fewer heads."""
    rows, heads, width, size = query.shape
    shared = key.shape[1]
    scores = torch.matmul(query.reshape(rows, shared, -1, size), key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        each = scores.view(rows, shared, heads // shared, width, -1)
        scores = (each + attention_mask[:, :, None]).view_as(scores)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    attended = torch.matmul(weights, value).view(rows, heads, width, value.shape[-1])
    return attended.transpose(1, 2).contiguous(), None
