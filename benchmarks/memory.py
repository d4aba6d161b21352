"""How much memory a training step takes, by formula, for decoders of Llama's build in eager attention.

What is kept from the forward pass for the backward one, a layer and token, with d the hidden size, m the
MLP's inner size, h the heads' sizes together, a the heads, e the bytes of an element, and `keys` the
positions that a token attends to:

    4d for each of two norms (its input in float32), e d more if the norm's weight is trained
    3 e h (queries, and keys and values repeated for every head) + (4 + e) a keys (attention before and
        after the cast from float32; 4 a keys if e is 4)
    2 e m (the gate and the up projection; see harness/recompute.py)
    e times the width of every input of linear layers of which one is trained, or has an adapter
    e times the rank of every low-rank product, and twice e times the outputs of a layer under DoRA

The form is that of Korthikanti et al., Reducing Activation Recomputation in Large Transformer Models (2022),
section 4.1; a test holds the sum to what torch keeps. The head adds its logits in e bytes and twice in
float32 (cast, log-probabilities). Gradients fill the room that activations leave: the larger of both counts.

What is not covered: buffers of single operations, 4-bit weights while they are unpacked, the interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.anatomy import blocks, weight_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHARED_INPUTS = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))
"""Linear layers of a block that have the same input."""

FLOAT32 = 4
MOMENTS = 2 * FLOAT32


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingBytes:
    """A training step's memory, in bytes.

    Attributes:
        weights: All parameters as the model computes with them.
        optimizer: AdamW's two moments, and the float32 master where the model computes in less.
        gradients: Those of all trained parameters, in the model's precision.
        activations: What the blocks keep for the backward pass.
        head: Logits at target positions, as they are and in float32, and their logarithms.
    """

    weights: int
    optimizer: int
    gradients: int
    activations: int
    head: int

    @property
    def peak(self) -> int:
        """The most that is held at once."""
        return self.weights + self.optimizer + max(self.gradients, self.activations + self.head)


def training_bytes(
    model: PreTrainedModel, precision: str, *, rows: int, width: int, targets: int, past: int = 0
) -> TrainingBytes:
    """Memory of a step on `rows` sequences of `width` tokens with `targets` logits; see `step_formula`.

    The model's trained parameters are in `precision` already, as an optimizer leaves them.
    """
    size = getattr(torch, precision).itemsize
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    kept = sum(block_bytes(block, model.config, size, width + past) for block in blocks(model))
    return TrainingBytes(
        weights=weight_bytes(model),
        optimizer=trained * (MOMENTS + (FLOAT32 if size < FLOAT32 else 0)),
        gradients=weight_bytes(model, trained=True),
        activations=rows * width * kept,
        head=targets * model.config.vocab_size * (2 * FLOAT32 + size),
    )


def block_bytes(block: torch.nn.Module, config: Any, size: int, keys: int) -> int:
    """What one block keeps of one token for the backward pass."""
    cast = size if size < FLOAT32 else 0
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = 2 * FLOAT32 * config.hidden_size + 3 * size * heads * head_size
    kept += (FLOAT32 + cast) * heads * keys + 2 * size * config.intermediate_size
    norms = [name for name, p in block.named_parameters() if "norm" in name and p.requires_grad]
    kept += size * config.hidden_size * len(norms)
    for names in SHARED_INPUTS:
        layers = [module for name, module in block.named_modules() if name.rpartition(".")[2] in names]
        if any(p.requires_grad for layer in layers for p in layer.parameters()):
            kept += size * layers[0].in_features
    return kept + size * sum(_adapter_elements(module) for module in block.modules())


def _adapter_elements(layer: torch.nn.Module) -> int:
    """Elements that the adapter of one linear layer keeps of a token beside the layer's input."""
    ranks: dict[str, int] = getattr(layer, "r", {})
    dora = bool(getattr(layer, "lora_magnitude_vector", None))
    return sum(ranks.values()) + (2 * layer.out_features if dora else 0)
