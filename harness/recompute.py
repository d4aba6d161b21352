"""Activations that the backward pass computes again instead of keeping: the same gradients, less memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from harness.anatomy import same_code

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Gated(torch.autograd.Function):
    """silu(gate) * up of two tensors of one shape, of which only those two are kept."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return torch.nn.functional.silu(gate) * up

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (gradient,), (gate, up) = gradients, ctx.saved_tensors
        return (
            torch.ops.aten.silu_backward(gradient * up, gate),
            gradient * torch.nn.functional.silu(gate),
        )


def recompute_gates(model: PreTrainedModel) -> int:
    """Have the model's gated MLPs keep one activation less; how many of them did not yet.

    Outputs and gradients stay the same to the last bit. An MLP that is not known to compute just that stays
    as it is.
    """
    found = [module for module in model.modules() if _is_gated(module)]
    for module in found:
        module.__class__ = _recomputing(type(module))  # type: ignore[arg-type]  # classes are hashable
    return len(found)


@cache
def _recomputing(kind: Any) -> type[torch.nn.Module]:
    # A class, for a compiler would take a forward pass of each module's own for so many different ones.
    return type(f"Recomputing{kind.__name__}", (kind,), {"forward": _forward})


def _forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    gate, up = self.gate_proj(x), self.up_proj(x)
    compiling = torch.compiler.is_compiling()  # a compiler decides by itself what to keep
    down: torch.Tensor = self.down_proj(
        torch.nn.functional.silu(gate) * up if compiling else _gated(gate, up)
    )
    return down


def _gated(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    gated: torch.Tensor = _Gated.apply(gate, up)  # type: ignore[no-untyped-call]
    return gated


def _is_gated(module: torch.nn.Module) -> bool:
    from transformers.activations import SiLUActivation
    from transformers.models.llama.modeling_llama import LlamaMLP

    silu = isinstance(getattr(module, "act_fn", None), (torch.nn.SiLU, SiLUActivation))
    return silu and same_code(type(module).forward, LlamaMLP.forward)
