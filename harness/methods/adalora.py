"""AdaLoRA (Zhang et al., 2023): LoRA in the form of an SVD, whose ranks move to the layers that need them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from harness.budget import Budget
from harness.method import Method

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

INITIAL_SHARE, FINAL_SHARE, INTERVALS = 0.1, 0.5, 700
"""Shares of the steps before ranks fall and after they have, and how often ranks are reallocated in a run.

About those of the paper's own runs (tables 7 to 9): CoLA warms up for 800 of 6,680 steps, ends with 3,500,
and reallocates every 10.
"""


class AdaLora(Method):
    """From rank 24 to a mean of 16 over all linear layers but the head; scale 2, as in the LoRA family.

    The rates are above the paper's (5e-4 to 1e-3 over thousands of steps): its matrices start 50 times
    smaller than LoRA's, and in a short run at 1e-3 the loss hardly falls.
    """

    name = "adalora"
    description = "AdaLoRA, rank 24 reallocated to a mean of 16, all linear layers but the head"
    learning_rates = (1e-2, 3e-3, 3e-2, 1e-3)
    initial_rank: ClassVar[int] = 24
    target_rank: ClassVar[int] = 16

    def config(self) -> Mapping[str, Any]:
        """The adapter's arguments but its schedule, and the shares that the schedule follows from."""
        return {**self.adapter(), "initial_share": INITIAL_SHARE, "final_share": FINAL_SHARE}

    def adapter(self) -> dict[str, Any]:
        """Arguments of peft's `AdaLoraConfig` that do not depend on the budget."""
        return {
            "init_r": self.initial_rank,
            "target_r": self.target_rank,
            "lora_alpha": 2 * self.initial_rank,
            "lora_dropout": 0.0,
            "orth_reg_weight": 0.5,
            "target_modules": "all-linear",
            "task_type": "CAUSAL_LM",
        }

    def adapt(self, model: PreTrainedModel, budget: Budget) -> PreTrainedModel:
        """Wrap the model, with the schedule scaled to the budget's steps."""
        from peft import AdaLoraConfig, get_peft_model

        config = AdaLoraConfig(**self.adapter(), **schedule(budget.steps))
        adapted: PreTrainedModel = get_peft_model(model, config, autocast_adapter_dtype=False)
        settle(adapted)
        return adapted

    def penalty(self, model: PreTrainedModel) -> torch.Tensor | None:
        """What keeps the two outer matrices orthogonal, as an SVD has them."""
        return orthogonality(model)

    def after_step(self, model: PreTrainedModel, step: int) -> None:
        """Score every singular value by its gradients, and mask those beyond the step's rank budget."""
        model.base_model.update_and_allocate(step)


def schedule(
    steps: int, initial: float = INITIAL_SHARE, final: float = FINAL_SHARE, every: float = 1 / INTERVALS
) -> dict[str, int]:
    """When ranks fall, under peft's names: from `tinit` until `tfinal` steps before the end.

    Args:
        steps: Optimizer steps of the run.
        initial: Share of them before ranks fall.
        final: Share of them after ranks have fallen.
        every: Share of them from one reallocation of ranks to the next.
    """
    total = max(2, steps)  # the first step only scores: ranks can be reallocated from the second on
    begin = min(round(initial * total), total - 2)
    return {
        "total_step": total,
        "tinit": begin,
        "tfinal": min(round(final * total), total - 2, total - 1 - begin),
        "deltaT": max(1, round(every * total)),
    }


def settle(model: PreTrainedModel) -> None:
    """Make a wrapped model the same in every precision.

    peft's cast to bfloat16 makes the constant that it divides by trainable. Importances are averaged in
    float32: in bfloat16 many tie, and peft masks all that tie at the threshold.
    """
    import torch

    allocator = model.base_model.rankallocator
    for name, parameter in model.base_model.model.named_parameters():
        if ".ranknum." in name:
            parameter.requires_grad_(False)
        elif parameter.requires_grad:
            for averages in (allocator.ipt, allocator.exp_avg_ipt, allocator.exp_avg_unc):
                averages[name] = torch.zeros_like(parameter, dtype=torch.float32)


def orthogonality(model: PreTrainedModel) -> torch.Tensor:
    """`orth_reg_weight` times the mean over outer matrices of ||P P' - I|| (Frobenius), as peft has it.

    peft adds it to a loss that the model computes itself; here the training loop computes the loss.
    """
    import torch

    shapes: dict[torch.Size, list[torch.Tensor]] = {}
    for name, parameter in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            rows = parameter if "lora_A" in name else parameter.T
            shapes.setdefault(rows.shape, []).append(rows)
    total, count = torch.zeros((), device=model.device), 0
    for same in shapes.values():
        rows = torch.stack(same).float()
        gram = rows @ rows.mT
        total = total + torch.linalg.matrix_norm(gram - torch.eye(gram.shape[-1], device=gram.device)).sum()
        count += len(same)
    weight: float = model.active_peft_config.orth_reg_weight
    return weight * total / count
