"""AdamW over float32 masters, against torch's own."""

import pytest
import torch

from harness import optimizer
from harness.optimizer import Float32AdamW
from harness.plain import PlainAdamW

RATES = [1e-3, 3e-3, 1e-3, 1e-4]


def model(dtype: torch.dtype = torch.float32) -> torch.nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Linear(7, 30), torch.nn.Linear(30, 5), torch.nn.Linear(5, 1))
    layers[1].bias.requires_grad_(False)
    return layers.to(dtype)


def gradients(layers: torch.nn.Module, size: float) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in layers.parameters():
        if parameter.requires_grad:
            drawn = size * torch.randn(parameter.shape, generator=generator)
            parameter.grad = drawn.to(parameter.dtype)


@pytest.mark.parametrize("limit", [16, 50, 2**20])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [1e-2, 10.0])  # below and above the clipping norm
def test_it_updates_as_torch_does(
    monkeypatch: pytest.MonkeyPatch, precision: str, size: float, limit: int
) -> None:
    monkeypatch.setitem(optimizer.BLOCK_ELEMENTS, "cpu", limit)
    ours, theirs = model(), model()
    fast, plain = Float32AdamW(ours, precision), PlainAdamW(theirs, precision)
    for rate in RATES:
        norms = []
        for layers, chosen in ((ours, fast), (theirs, plain)):
            gradients(layers, size)
            norms.append(chosen.step(rate))
            chosen.finish_step()
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    for one, other in zip(fast.masters, plain.masters, strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=0, atol=2e-7)
    for one, master in zip(fast.parameters, fast.masters, strict=True):
        assert torch.equal(one.detach(), master.to(getattr(torch, precision)))
        assert one.grad is None


@pytest.mark.parametrize("chosen", [Float32AdamW, PlainAdamW])
def test_masters_keep_updates_that_bfloat16_would_lose(chosen: type[Float32AdamW]) -> None:
    layer = torch.nn.Linear(4, 1, bias=False, dtype=torch.bfloat16)
    torch.nn.init.ones_(layer.weight)
    made = chosen(layer, "bfloat16")
    for _ in range(100):
        layer.weight.grad = torch.ones_like(layer.weight)
        made.step(1e-4)  # a hundredth of bfloat16's spacing at 1.0 is lost if rounded each step
        made.finish_step()
    assert made.masters[0].view(-1)[0].item() == pytest.approx(1 - 100 * 1e-4, abs=1e-4)
    assert layer.weight[0, 0].item() == pytest.approx(0.99, abs=0.004)


@pytest.mark.parametrize("chosen", [Float32AdamW, PlainAdamW])
def test_masters_start_from_all_the_digits_there_are(chosen: type[Float32AdamW]) -> None:
    layers = model()
    exact = layers[0].weight.detach().clone()
    made = chosen(layers, "bfloat16")
    assert torch.equal(made.masters[0].view_as(exact), exact)
    assert layers[0].weight.dtype == torch.bfloat16
    assert layers[1].bias.dtype == torch.float32  # not trained, not touched


@pytest.mark.parametrize("chosen", [Float32AdamW, PlainAdamW])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_written_into_a_parameter_stays(chosen: type[Float32AdamW], precision: str) -> None:
    layers = model()
    made = chosen(layers, precision)
    gradients(layers, 0.1)
    made.step(1e-3)
    with torch.no_grad():
        layers[0].weight[0, 0] = 0.0
    untouched = made.masters[0].view(30, 7)[1:].clone()
    made.finish_step()
    assert made.masters[0].view(30, 7)[0, 0] == 0
    assert torch.equal(made.masters[0].view(30, 7)[1:], untouched)
    gradients(layers, 0.1)
    made.step(0.0)
    assert layers[0].weight[0, 0] == 0


@pytest.mark.parametrize("gradient", [0.0, float("nan"), float("inf")])
def test_nothing_moves_without_a_finite_gradient(gradient: float) -> None:
    layers = model()
    before = layers[0].weight.detach().clone()
    made = Float32AdamW(layers, "float32")
    layers[0].weight.grad = torch.full_like(before, gradient)
    norm = made.step(1e-3)
    assert norm == 0 or norm != norm or norm == float("inf")
    assert torch.equal(layers[0].weight.detach(), before)
