"""LoRA over base weights in few bits: QLoRA (Dettmers et al., 2023), and 8-bit integers.

QLoRA's are 4-bit NormalFloat with double quantisation. The others are what it is compared with.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from harness.budget import Budget
from harness.environment import Environment
from harness.methods.lora import Lora
from harness.model import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Quantised(Lora):
    """Base of the family; the adapter is LoRA's own."""

    def skip(self, environment: Environment) -> str | None:
        """Needs bitsandbytes, on a CPU or a CUDA device."""
        if environment.device not in {"cpu", "cuda"}:
            return f"bitsandbytes quantises on cpu and cuda, not on {environment.device}"
        if importlib.util.find_spec("bitsandbytes") is None:
            return "bitsandbytes is not installed"
        return None


class Qlora(Quantised):
    """Over 4-bit weights. The default rate is the best of rank 16's sweep, and was the highest there."""

    learning_rates = (3e-3, 1e-3, 1e-2, 3e-4)
    quantisation: ClassVar[str] = "nf4"

    def config(self) -> Mapping[str, Any]:
        """LoRA's arguments and how the frozen weights are stored."""
        return {**super().config(), "quantisation": self.quantisation, "double_quantisation": True}

    def load(self, source: ModelSource) -> PreTrainedModel:
        """The base model with its linear layers quantised as they are read."""
        import bitsandbytes
        import torch
        from transformers import BitsAndBytesConfig

        model = source.load(
            quantization_config=BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type=self.quantisation,
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=getattr(torch, source.precision),
            )
        )
        for module in model.modules():
            if isinstance(module, bitsandbytes.nn.Linear4bit):
                # Else the CPU repacks the frozen weights at the first evaluation, for a kernel made for
                # few rows, with which batches of prompts are scored several times slower.
                module.support_avx512bf16_for_cpu = False
        return model


class QloraR8(Qlora):
    """Rank 8 over NF4 weights."""

    name = "qlora-r8"
    description = "QLoRA, rank 8, NF4 with double quantisation"
    rank = 8


class QloraR16(Qlora):
    """Rank 16 over NF4 weights."""

    name = "qlora-r16"
    description = "QLoRA, rank 16, NF4 with double quantisation"
    core = True
    rank = 16


class QloraR16Fp4(Qlora):
    """Rank 16 over 4-bit floating point, all else as QLoRA's: the comparison of its paper's table 4."""

    name = "qlora-r16-fp4"
    description = "QLoRA, rank 16, FP4 instead of NF4"
    rank = 16
    quantisation = "fp4"


class LoraR16Int8(Quantised):
    """Rank 16 over LLM.int8 weights (Dettmers et al., 2022), which quantise their inputs too.

    The rates are LoRA's: eight bits lose little.
    """

    name = "lora-r16-int8"
    description = "LoRA, rank 16, over 8-bit integer weights (LLM.int8)"
    rank = 16

    def config(self) -> Mapping[str, Any]:
        """LoRA's arguments and how the frozen weights are stored."""
        return {**super().config(), "quantisation": "int8"}

    def load(self, source: ModelSource) -> PreTrainedModel:
        """The base model with its linear layers quantised as they are read."""
        from transformers import BitsAndBytesConfig

        return source.load(quantization_config=BitsAndBytesConfig(load_in_8bit=True))

    def adapt(self, model: PreTrainedModel, budget: Budget) -> PreTrainedModel:
        """Wrap the model, its adapter in the precision that the rest is computed in.

        peft takes that of the weight beside it, which here is no floating point.
        """
        adapted = super().adapt(model, budget)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(model.dtype)
        return adapted
