"""QLoRA (Dettmers et al., 2023): LoRA over base weights in 4-bit NormalFloat with double quantisation."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.environment import Environment
from harness.methods.lora import Lora
from harness.model import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Qlora(Lora):
    """Base of the family; the adapter is LoRA's own. Rates of rank 16 come from its sweep, others are its."""

    learning_rates = (3e-3, 1e-3, 3e-4, 1e-4)

    def config(self) -> Mapping[str, Any]:
        """LoRA's arguments and how the frozen weights are stored."""
        return {**super().config(), "quantisation": "nf4", "double_quantisation": True}

    def skip(self, environment: Environment) -> str | None:
        """Needs bitsandbytes, on a CPU or a CUDA device."""
        if environment.device not in {"cpu", "cuda"}:
            return f"bitsandbytes quantises on cpu and cuda, not on {environment.device}"
        if importlib.util.find_spec("bitsandbytes") is None:
            return "bitsandbytes is not installed"
        return None

    def load(self, source: ModelSource) -> PreTrainedModel:
        """The base model with its linear layers quantised as they are read."""
        import bitsandbytes
        import torch
        from transformers import BitsAndBytesConfig

        model = source.load(
            quantization_config=BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
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
