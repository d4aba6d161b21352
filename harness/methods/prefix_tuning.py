"""Prefix tuning (Li and Liang, 2021): trained keys and values before every layer's own, all else frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from harness.budget import Budget
from harness.method import Method
from harness.methods.prompt_tuning import INIT_TEXT

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PrefixTuning(Method):
    """Twenty virtual tokens a layer that start as what the base model computes for a plain instruction.

    Untrained it is the base model behind that instruction; from random values it hardly learns. The rates are
    about the one of peft's method comparison, 5e-3, where a prefix that starts from text does well.
    """

    name = "prefix-tuning"
    description = "prefix tuning, 20 virtual tokens in every layer, initialised from text"
    starts_as_base = False
    learning_rates = (1.5e-2, 5e-3, 5e-2, 1.5e-3)
    virtual_tokens: ClassVar[int] = 20
    init_text: ClassVar[str | None] = INIT_TEXT

    def config(self) -> Mapping[str, Any]:
        """Number of virtual tokens and the text they start from."""
        return {"num_virtual_tokens": self.virtual_tokens, "init_text": self.init_text}

    def adapt(self, model: PreTrainedModel, budget: Budget) -> PreTrainedModel:
        """Wrap the model; only the virtual tokens' keys and values are trainable."""
        from peft import PrefixTuningConfig, get_peft_model

        start = self._keys_and_values(model) if self.init_text else None
        config = PrefixTuningConfig(num_virtual_tokens=self.virtual_tokens, task_type="CAUSAL_LM")
        adapted: PreTrainedModel = get_peft_model(model, config, autocast_adapter_dtype=False)
        if start is not None:
            adapted.prompt_encoder["default"].load_prompt_embeddings(start)
        return adapted

    def _keys_and_values(self, model: PreTrainedModel) -> Any:
        """The base model's cache of the text's first tokens as peft stores a prefix, (tokens, features).

        A row holds layer after layer, keys before values, head after head.
        """
        import torch
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model.name_or_path)
        ids = tokenizer.encode(self.init_text, add_special_tokens=False)
        ids = (ids * self.virtual_tokens)[: self.virtual_tokens]  # repeated where it is shorter
        with torch.no_grad():
            cache = model(input_ids=torch.tensor([ids], device=model.device), use_cache=True).past_key_values
        pairs = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
        return torch.cat(pairs).permute(2, 0, 1, 3).flatten(start_dim=1)
