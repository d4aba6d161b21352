"""AdamW for weights that are computed in bfloat16 and kept in float32.

Each trained parameter has a float32 master. A step reads the gradients as they are, updates the
masters and writes them back, a block at a time: a block's gradient in float32, its moments and its
master pass through the cache once, and no second copy of all gradients is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.optim.adamw import adamw

from harness.budget import RECIPE

BLOCK_ELEMENTS = {"cpu": 2**20, "cuda": 2**26, "mps": 2**26}
"""Elements updated together: on a CPU what its caches hold, elsewhere enough to keep the device busy."""

CLIP_EPS = 1e-6
"""As in torch.nn.utils.clip_grad_norm_."""


@dataclass(slots=True)
class _Piece:
    """A run of one parameter's elements, flat, with what AdamW keeps of it."""

    parameter: int
    start: int
    weight: torch.Tensor
    master: torch.Tensor
    steps: torch.Tensor
    mean: torch.Tensor
    square: torch.Tensor


class Float32AdamW:
    """AdamW under the recipe, over float32 masters of a model's trained parameters.

    Parameters that come in float32 give their masters all their digits, and are then rounded to
    `precision`, in which the model computes; others start from their rounded value.

    Attributes:
        parameters: What is trained, in the model's order.
        masters: Their float32 values; in float32 runs the parameters themselves.
    """

    def __init__(self, model: torch.nn.Module, precision: str) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.masters = [_lowered(p, getattr(torch, precision)) for p in self.parameters]
        self._written = [p._version for p in self.parameters]
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        limit = BLOCK_ELEMENTS[device.type]
        self._blocks = list(_packed(self._pieces(limit), limit))
        largest = max((sum(len(piece.master) for piece in block) for block in self._blocks), default=0)
        self._buffer = torch.empty(largest, device=device)

    def _pieces(self, limit: int) -> Iterator[_Piece]:
        for index, (parameter, master) in enumerate(zip(self.parameters, self.masters, strict=True)):
            weight, flat = parameter.detach().view(-1), master.view(-1)
            for start in range(0, len(flat), limit):
                own = slice(start, start + limit)
                steps, values = torch.zeros((), device=master.device), flat[own]
                # Made before any activation: between those of a first step they would keep holes in memory.
                moments = torch.zeros_like(values), torch.zeros_like(values)
                yield _Piece(index, start, weight[own], values, steps, *moments)

    @torch.no_grad()
    def step(self, learning_rate: float) -> float:
        """One clipped update from the parameters' gradients; returns their L2 norm before clipping.

        Nothing is updated where that norm is zero or not finite. Gradients stay until `finish_step`.
        """
        gradients = [parameter.grad for parameter in self.parameters]
        norms = torch._foreach_norm([g for g in gradients if g is not None], 2, dtype=torch.float32)
        norm = float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0
        if math.isfinite(norm) and norm > 0:
            scale = min(1.0, RECIPE.clip_norm / (norm + CLIP_EPS))
            flat = [None if gradient is None else gradient.reshape(-1) for gradient in gradients]
            for block in self._blocks:
                self._update(
                    [piece for piece in block if flat[piece.parameter] is not None],
                    flat,
                    scale,
                    learning_rate,
                )
        self._written = [parameter._version for parameter in self.parameters]
        return norm

    def _update(
        self,
        block: Sequence[_Piece],
        gradients: Sequence[torch.Tensor | None],
        scale: float,
        learning_rate: float,
    ) -> None:
        if not block:
            return
        sizes = [len(piece.master) for piece in block]
        exact = list(torch.split(self._buffer[: sum(sizes)], sizes))
        rounded = [
            gradients[piece.parameter][piece.start : piece.start + size]  # type: ignore[index]
            for piece, size in zip(block, sizes, strict=True)
        ]
        torch._foreach_copy_(exact, rounded)
        if scale < 1:
            torch._foreach_mul_(exact, scale)
        adamw(
            [piece.master for piece in block],
            exact,
            [piece.mean for piece in block],
            [piece.square for piece in block],
            [],
            [piece.steps for piece in block],
            fused=True,
            amsgrad=False,
            beta1=RECIPE.betas[0],
            beta2=RECIPE.betas[1],
            lr=learning_rate,
            weight_decay=RECIPE.weight_decay,
            eps=RECIPE.eps,
            maximize=False,
        )
        if block[0].weight.dtype != torch.float32:
            torch._foreach_copy_([piece.weight for piece in block], [piece.master for piece in block])

    @torch.no_grad()
    def finish_step(self) -> None:
        """Take over what was written into parameters since `step`, and free the gradients.

        Elements that still are their master rounded keep the master's further digits.
        """
        for parameter, master, version in zip(self.parameters, self.masters, self._written, strict=True):
            if parameter.dtype != torch.float32 and parameter._version != version:
                kept = parameter == master.to(parameter.dtype)
                master.copy_(torch.where(kept, master, parameter.float()))
            parameter.grad = None


def _lowered(parameter: torch.nn.Parameter, dtype: torch.dtype) -> torch.Tensor:
    """The parameter's float32 master; the parameter itself is rounded to `dtype`."""
    data = parameter.detach().contiguous()
    parameter.data = data.to(dtype)
    return parameter.detach() if dtype == torch.float32 else data.float()


def _packed(pieces: Iterator[_Piece], limit: int) -> Iterator[list[_Piece]]:
    """Pieces of one type in a row, up to `limit` elements together."""
    block: list[_Piece] = []
    for piece in pieces:
        if block and sum(len(one.master) for one in block) + len(piece.master) > limit:
            yield block
            block = []
        block.append(piece)
    if block:
        yield block
