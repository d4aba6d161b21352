"""LoRA (Hu et al., 2021): a trained low-rank product beside every frozen linear layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from harness.budget import Budget
from harness.method import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Lora(Method):
    """Base of the family. Scale alpha / rank is 2, the usual choice; no dropout."""

    rank: ClassVar[int]

    def config(self) -> Mapping[str, Any]:
        """The adapter's configuration."""
        return self.adapter()

    def adapter(self) -> dict[str, Any]:
        """Arguments of peft's `LoraConfig`."""
        return {
            "r": self.rank,
            "lora_alpha": 2 * self.rank,
            "lora_dropout": 0.0,
            "target_modules": "all-linear",  # peft leaves the output head out
            "task_type": "CAUSAL_LM",
        }

    def adapt(self, model: PreTrainedModel, budget: Budget) -> PreTrainedModel:
        """Wrap the model; only the adapter's matrices stay trainable."""
        from peft import LoraConfig, get_peft_model

        # The training loop keeps float32 copies itself, so peft need not cast adapters up.
        adapted: PreTrainedModel = get_peft_model(
            model, LoraConfig(**self.adapter()), autocast_adapter_dtype=False
        )
        return adapted


class LoraR16(Lora):
    """Rank 16 on all linear layers but the head."""

    name = "lora-r16"
    description = "LoRA, rank 16, all linear layers but the head"
    core = True
    rank = 16
    learning_rates = (1e-3, 3e-3, 3e-4, 1e-4)
