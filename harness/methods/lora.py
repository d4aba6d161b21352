"""LoRA (Hu et al., 2021): a trained low-rank product beside every frozen linear layer, and its variants."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from harness.budget import Budget
from harness.method import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Lora(Method):
    """Base of the family. Scale alpha / rank is 2, the usual choice; no dropout.

    Rates of ranks and variants without a sweep of their own are those of rank 16, which has one.
    """

    rank: ClassVar[int]
    learning_rates = (1e-3, 3e-3, 3e-4, 1e-4)

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
        return self._wrapped(model)

    def _wrapped(self, model: PreTrainedModel, **targets: Any) -> PreTrainedModel:
        from peft import LoraConfig, get_peft_model

        # The training loop keeps float32 copies itself, so peft need not cast adapters up.
        adapted: PreTrainedModel = get_peft_model(
            model, LoraConfig(**{**self.adapter(), **targets}), autocast_adapter_dtype=False
        )
        return adapted


class LoraR8(Lora):
    """Rank 8 on all linear layers but the head."""

    name = "lora-r8"
    description = "LoRA, rank 8, all linear layers but the head"
    rank = 8


class LoraR16(Lora):
    """Rank 16 on all linear layers but the head."""

    name = "lora-r16"
    description = "LoRA, rank 16, all linear layers but the head"
    core = True
    rank = 16


class LoraR32(Lora):
    """Rank 32 on all linear layers but the head."""

    name = "lora-r32"
    description = "LoRA, rank 32, all linear layers but the head"
    rank = 32


class LoraR64(Lora):
    """Rank 64 on all linear layers but the head."""

    name = "lora-r64"
    description = "LoRA, rank 64, all linear layers but the head"
    rank = 64


class LoraR256(Lora):
    """Rank 256. At a fixed alpha / rank an update grows with the rank: its default rate is a step lower."""

    name = "lora-r256"
    description = "LoRA, rank 256, all linear layers but the head"
    rank = 256
    learning_rates = (3e-4, 1e-3, 1e-4, 3e-3)


class LoraR16Dropout(Lora):
    """Rank 16 whose input loses a tenth of its values at random in every step, as QLoRA's paper has it."""

    name = "lora-r16-dropout"
    description = "LoRA, rank 16, dropout 0.1, all linear layers but the head"
    rank = 16

    def adapter(self) -> dict[str, Any]:
        """LoRA's arguments, with dropout."""
        return {**super().adapter(), "lora_dropout": 0.1}


class LoraR16Embeddings(Lora):
    """Rank 16 on all linear layers and on the input embeddings; a head that is tied to them stays."""

    name = "lora-r16-emb"
    description = "LoRA, rank 16, all linear layers but the head, and the input embeddings"
    rank = 16

    def config(self) -> Mapping[str, Any]:
        """LoRA's arguments; what the targets come to depends on the model's names."""
        return {**super().config(), "target_modules": "all-linear, input embeddings"}

    def adapt(self, model: PreTrainedModel, budget: Budget) -> PreTrainedModel:
        """Wrap the model; only the adapter's matrices stay trainable."""
        import torch
        from transformers.pytorch_utils import Conv1D

        head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
        targets = [
            name
            for name, module in model.named_modules()
            if module is embeddings or (isinstance(module, torch.nn.Linear | Conv1D) and module is not head)
        ]
        with warnings.catch_warnings():
            # That merging unties a tied head. To tie the adapters as well (`ensure_weight_tying`) gives the
            # head tensors of its own, which share the embeddings' memory in float32 and not in bfloat16.
            warnings.filterwarnings("ignore", message=".*tie_word_embeddings.*")
            return self._wrapped(model, target_modules=targets)


class DoraR16(Lora):
    """DoRA (Liu et al., 2024): the low-rank product turns each weight column, a trained factor scales it."""

    name = "dora-r16"
    description = "DoRA, rank 16, all linear layers but the head"
    rank = 16

    def adapter(self) -> dict[str, Any]:
        """LoRA's arguments, with trained magnitudes."""
        return {**super().adapter(), "use_dora": True}


class RsloraR64(Lora):
    """Rank-stabilised LoRA (Kalajdzievski, 2023): scale alpha / sqrt(rank).

    alpha equals the rank, as in peft's method comparison. The scale is then 8, four times the family's,
    so the default rate is a step lower.
    """

    name = "rslora-r64"
    description = "rank-stabilised LoRA, rank 64, all linear layers but the head"
    rank = 64
    learning_rates = (3e-4, 1e-3, 1e-4, 3e-3)

    def adapter(self) -> dict[str, Any]:
        """LoRA's arguments, with the other scale."""
        return {**super().adapter(), "use_rslora": True, "lora_alpha": self.rank}
