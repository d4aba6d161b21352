"""Recomputed activations: the same outputs and gradients, to the last bit, from less memory."""

import copy

import pytest
import torch

from harness.anatomy import blocks
from harness.engine import engine
from harness.model import ModelSource
from harness.recompute import recompute_gates
from tests.test_train import adapted, made

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.mark.parametrize("method", ["full", "lora-r16", "prompt-tuning"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_are_the_same_to_the_last_bit(toy: ModelSource, method: str, precision: str) -> None:
    usual = adapted(toy, method).to(getattr(torch, precision))
    lean = copy.deepcopy(usual)
    assert recompute_gates(lean) == len(blocks(lean))
    losses = []
    for model in (usual, lean):
        loss = engine("plain").loss(model, made(toy)[0])
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[1]
    for (name, one), other in zip(usual.named_parameters(), lean.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        assert one.grad is None or torch.equal(one.grad, other.grad), name


def test_outputs_without_gradients_are_the_same(toy: ModelSource) -> None:
    model, ids = adapted(toy, "full"), torch.arange(12)[None]
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        recompute_gates(model)
        assert torch.equal(model(input_ids=ids).logits, before)


def test_an_mlp_that_computes_something_else_is_left_alone(toy: ModelSource) -> None:
    model = adapted(toy, "full")
    first, second = (block.mlp for block in blocks(model)[:2])

    class Other(type(first)):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.down_proj(self.act_fn(self.gate_proj(x)) + self.up_proj(x))

    first.__class__ = Other
    second.act_fn = torch.nn.GELU()
    assert recompute_gates(model) == len(blocks(model)) - 2
    assert type(first) is Other
    assert recompute_gates(model) == 0  # they all do by now
