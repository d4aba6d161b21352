"""A method made of a peft configuration: `--methods path/to/adapter_config.json`.

Such a file may come from anybody. Only plain settings of an adapter are taken: whatever would make peft
import a module, read another file or ask a hub is refused, and where the base model and its tokenizer are
is this run's to say.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.budget import Budget
from harness.errors import PluginError, UsageError
from harness.method import Method
from harness.methods import adalora, lora, prefix_tuning, prompt_tuning
from harness.vetting import read_object

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

OURS = ("base_model_name_or_path", "revision", "tokenizer_name_or_path", "auto_mapping", "inference_mode",
        "megatron_core", "peft_version", "token_dim", "num_layers", "num_attention_heads",
        "num_transformer_submodules")  # fmt: skip
"""What says where, when, by which version and for which model an adapter was made; the run has its own
answers."""

ELSEWHERE = re.compile(r"adapters|shadow_model|\w+_(config|path|kwargs)")
"""Settings that hold paths, arguments of other libraries' loaders, or names of modules to import."""

SIZES = re.compile(r"r|(\w+_)?(r|rank|size|rank_pattern|virtual_tokens|layers|len|length|vectors)")
LARGEST_SIZE, LARGEST = 4096, 1e9
MAX_BYTES, LONGEST, DEEPEST = 1_000_000, 10_000, 3
"""Bytes of a file, characters or entries of one setting, and how deep settings nest."""

MORE_INPUTS = {
    "MULTITASK_PROMPT_TUNING": "task ids",
    "POLY": "task ids",
    "CPT": "the types of its tokens, and a loss of its own",
}
"""Types whose forward pass asks for what a language model is not given."""

LONGEST_NAME = 60
RATES = {
    "LORA": lora.Lora.learning_rates,
    "ADALORA": adalora.AdaLora.learning_rates,
    "PREFIX_TUNING": prefix_tuning.PrefixTuning.learning_rates,
    "PROMPT_TUNING": prompt_tuning.PromptTuning.learning_rates,
}
"""The family's own grid by peft type."""

HIGH_SCALE = 8
"""Of a LoRA's update, from which on its default rate is a step lower, as that of `rslora-r64` (16)."""

OTHER_RATES = (1e-3, 3e-3, 3e-4, 1e-2)
"""The grid of any other type: peft's examples train most of them at 1e-3 to 3e-3."""


class PeftFile(Method):
    """An adapter as a file configures it. `method_from_file` makes it."""

    def __init__(self, values: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        # The contract has one class a method, and its attributes there; here one class serves all files.
        vars(self).update(attributes)
        self.values = values

    def config(self) -> Mapping[str, Any]:
        """The file's settings but those that are the run's."""
        return self.values

    def check(self) -> None:
        """Refuse what the installed peft does not know; imports it.

        Raises:
            PluginError: The type is unknown, or a setting is of the wrong kind.
        """
        import peft
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

        kinds = [str(kind.value) for kind in PEFT_TYPE_TO_CONFIG_MAPPING]
        if self.values["peft_type"] not in kinds:
            raise PluginError(
                f"method {self.name!r}: peft {peft.__version__} has no peft_type "
                f"{self.values['peft_type']!r:.80}; allowed: {', '.join(sorted(kinds))}"
            )
        if self.values["peft_type"] in MORE_INPUTS:
            raise PluginError(
                f"method {self.name!r}: {self.values['peft_type']} needs more than a text from every example "
                f"({MORE_INPUTS[self.values['peft_type']]}), which no task gives"
            )
        built = self._built(steps=100, tokenizer="the model's")
        if self.values["peft_type"] == "ADALORA":
            initial, target = built.init_r, built.target_r
            if not (isinstance(initial, int) and isinstance(target, int) and 0 < target < initial):
                raise PluginError(
                    f"method {self.name!r}: AdaLoRA takes ranks away, from init_r {initial!r:.40} to "
                    f"target_r {target!r:.40}; target_r has to be below init_r, and above 0"
                )

    def adapt(self, model: PreTrainedModel, budget: Budget) -> PreTrainedModel:
        """Wrap the model; what peft leaves trainable is trained."""
        from peft import get_peft_model

        config = self._built(steps=budget.steps, tokenizer=model.name_or_path)
        adapted: PreTrainedModel = get_peft_model(model, config, autocast_adapter_dtype=False)
        if self.values["peft_type"] == "ADALORA":
            adalora.settle(adapted)
        return adapted

    def penalty(self, model: PreTrainedModel) -> torch.Tensor | None:
        """AdaLoRA's, where it is that."""
        return adalora.orthogonality(model) if self.values["peft_type"] == "ADALORA" else None

    def after_step(self, model: PreTrainedModel, step: int) -> None:
        """Let the types that reallocate while they train do so."""
        reallocate = getattr(model.base_model, "update_and_allocate", None)
        if reallocate is not None:
            reallocate(step)

    def _built(self, *, steps: int, tokenizer: str) -> Any:
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

        values = {**self.values, "task_type": "CAUSAL_LM"}
        kind = values.pop("peft_type")
        if kind == "ADALORA":
            values |= adalora.schedule(steps, **self._shares())
            values.pop("rank_pattern", None)  # what an earlier training run came to
        if values.get("prompt_tuning_init") == "TEXT":
            values["tokenizer_name_or_path"] = tokenizer
        try:
            return PEFT_TYPE_TO_CONFIG_MAPPING[kind](**values)
        except (TypeError, ValueError, AttributeError, ImportError) as error:
            said = str(error).strip().partition("\n")[0]
            raise PluginError(f"method {self.name!r}: peft refuses its configuration: {said:.300}") from error

    def _shares(self) -> dict[str, float]:
        """The file's own schedule of ranks, as shares of its run; none where it names no run's length."""
        named = [self.values.get(name, 0) for name in ("total_step", "tinit", "tfinal", "deltaT")]
        if not all(isinstance(value, int) and value >= 0 for value in named):
            raise PluginError(
                f"method {self.name!r}: total_step, tinit, tfinal and deltaT have to be whole numbers"
            )
        total, begin, end, every = named
        if not total:
            return {}
        if begin + end >= total:
            raise PluginError(
                f"method {self.name!r}: ranks cannot fall between tinit {begin} and tfinal {end} of "
                f"{total} steps; tinit and tfinal together have to be fewer than total_step"
            )
        return {"initial": begin / total, "final": end / total, "every": every / total}


def method_from_file(path: str, taken: Mapping[str, object]) -> Method:
    """The method that a peft configuration makes, without importing peft.

    It is called after its folder where the file has peft's own name, `adapter_config.json`, and after the
    file otherwise. An AdaLoRA schedule is scaled to the run's steps, the file's own if it has one.

    Args:
        path: A JSON file.
        taken: Names of registered methods.

    Raises:
        UsageError: It cannot be read, is no adapter for language models, or holds what is refused here.
    """
    file = Path(path).expanduser()
    found = read_object(file, longest=MAX_BYTES)
    kind = found.get("peft_type")
    if not isinstance(kind, str):
        raise UsageError(f"{path} is not a peft configuration: it has no peft_type")
    if found.get("task_type") not in (None, "CAUSAL_LM"):
        raise UsageError(f"{path}: task_type is {found['task_type']!r:.40}; only CAUSAL_LM can be run here")
    values = {}
    for name, value in found.items():
        if name in OURS or name == "task_type" or value is None or value == {}:
            continue
        if ELSEWHERE.fullmatch(name):
            raise UsageError(
                f"{path}: {name} would have peft read or import what is not in this file; remove it, or "
                "write a method of your own (README)"
            )
        _check(f"{path}: {name}", name, value, 0)
        values[name] = value
    stem = file.resolve().parent.name if file.name == "adapter_config.json" else file.stem
    name = _identifier(stem)
    if name in taken:
        raise UsageError(f"{path} would make another method {name!r}; rename its folder or the file")
    rates = _rates(kind, values)
    family = f"{kind}'s" if kind in RATES else "the usual"
    attributes = {
        "name": name,
        "description": f"peft {kind:.40} as in {path}; {family} learning rates",
        "learning_rates": rates,
        # Of other types, and other beginnings, only the configuration knows.
        "starts_as_base": kind in ("LORA", "ADALORA")
        and values.get("init_lora_weights", True) is True
        and "layer_replication" not in values,
    }
    return PeftFile(values, attributes)


def _rates(kind: str, values: Mapping[str, Any]) -> tuple[float, ...]:
    """The type's own grid; of LoRA with a rank of 256 or a scale of 8 and more, that of those."""
    rank, alpha = (values.get(name, 8) for name in ("r", "lora_alpha"))  # as peft has them by default
    if kind == "LORA" and all(isinstance(value, int | float) and value > 0 for value in (rank, alpha)):
        scale = alpha / (math.sqrt(rank) if values.get("use_rslora") is True else rank)
        if rank >= lora.LoraR256.rank or scale >= HIGH_SCALE:
            return lora.LoraR256.learning_rates
    return RATES.get(kind, OTHER_RATES)


def _check(where: str, name: str, value: object, depth: int) -> None:
    """Refuse what no setting of an adapter is."""
    if depth > DEEPEST:
        raise UsageError(f"{where:.120} is nested too deeply")
    if isinstance(value, str | list | dict) and len(value) > LONGEST:
        raise UsageError(f"{where:.120} is longer than {LONGEST}")
    if isinstance(value, dict):
        for inner in value.values():
            _check(where, name, inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(where, name, inner, depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        largest = LARGEST_SIZE if SIZES.fullmatch(name) else LARGEST
        if not math.isfinite(value) or abs(value) > largest:
            raise UsageError(f"{where:.120} is {value!r:.40}; allowed: -{largest:g} to {largest:g}")


def _identifier(stem: str) -> str:
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9.]+", "-", plain).strip("-.")
    return (name or "adapter")[:LONGEST_NAME].rstrip("-.")
