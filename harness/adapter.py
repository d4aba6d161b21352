"""A method's model: made anew, written to disk as its users would keep it, and read back."""

from __future__ import annotations

import gc
import shutil
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from harness.anatomy import weight_bytes
from harness.budget import Budget
from harness.errors import PluginError
from harness.method import Method
from harness.model import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def make(method: Method, source: ModelSource, budget: Budget, seed: int) -> PreTrainedModel:
    """A newly loaded model, adapted for the budget's steps; the same for the same seed.

    Raises:
        PluginError: The method makes something else.
    """

    def checked(model: PreTrainedModel, call: str) -> PreTrainedModel:
        if isinstance(model, torch.nn.Module):
            return model
        raise PluginError(f"method {method.name!r}: {call}() returned {type(model).__name__}, not a model")

    gc.collect()
    torch.manual_seed(seed)
    return checked(method.adapt(checked(method.load(source), "load"), budget), "adapt")


def save(model: PreTrainedModel, folder: Path) -> int:
    """Write the model as its users would keep it, in safetensors; the bytes of those.

    Of a model that peft wraps that is the adapter alone: without a copy of the embeddings, which peft adds
    where they have an adapter, as if they had been trained themselves.
    """
    import peft

    options = {"save_embedding_layers": False} if isinstance(model, peft.PeftModel) else {}
    model.save_pretrained(folder, **options)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def size_on_disk(model: PreTrainedModel) -> int | None:
    """Bytes of what `save` writes, tried out in a temporary folder; None where it could not be written.

    Nothing is written where that would take more than half of what the disk has left.
    """
    from safetensors import SafetensorError

    with tempfile.TemporaryDirectory() as folder:
        if 2 * weight_bytes(model, trained=True) > shutil.disk_usage(folder).free:
            return None
        try:
            return save(model, Path(folder))
        # A RuntimeError is of tensors that share memory in ways that safetensors cannot write.
        except (OSError, SafetensorError, RuntimeError):
            return None


def restore(method: Method, source: ModelSource, folder: Path) -> PreTrainedModel:
    """The model that `save` wrote into `folder`, over a base loaded as the method has it."""
    if not (folder / "adapter_config.json").exists():
        return replace(source, path=str(folder)).load()
    import peft

    with warnings.catch_warnings():
        # AdaLoRA's pattern of ranks goes by other keys than LoRA's, which peft looks for first.
        warnings.filterwarnings(
            "ignore", message=".*rank_pattern keys did not match", category=RuntimeWarning
        )
        # That merging unties a tied head.
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings", category=UserWarning)
        restored: PreTrainedModel = peft.PeftModel.from_pretrained(
            method.load(source), str(folder), autocast_adapter_dtype=False
        )
    return restored.eval()
