"""The training loop against the plainest loop there is, its golden losses, and degenerate runs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import registry
from harness.budget import RECIPE, preset
from harness.data import Batch, Encoder, batches
from harness.model import ModelSource, resolve
from harness.train import Float32AdamW, Trained, rate_at, target_loss, train

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
METHODS = ("full", "lora-r16", "qlora-r16", "prompt-tuning")


def made(toy: ModelSource) -> list[Batch]:
    encoder = Encoder(toy.tokenizer(), 64)
    pairs = [encoder.pair(f"{n} plus {n % 5} is", str(n + n % 5)) for n in range(48)]
    return batches(pairs, batch_size=8, epochs=1, seed=0, pad=encoder.end)


def adapted(toy: ModelSource, name: str) -> Any:
    torch.manual_seed(0)
    method = registry.method(name)
    return method.adapt(method.load(toy), preset("smoke"))


def fit(model: Any, made: list[Batch], rate: float) -> Trained:
    return train(
        model,
        made,
        learning_rate=rate,
        device="cpu",
        after_step=lambda model, step: None,
        progress=lambda done, total: None,
    )


def plain_losses(model: Any, made: list[Batch], rate: float) -> list[float]:
    """Full logits, labels of -100 elsewhere, an unfused optimizer: nothing shared with the engine."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    losses = []
    model.train()
    for step, batch in enumerate(made, 1):
        labels = torch.full_like(batch.ids, -100)
        for row, column, target in zip(batch.rows, batch.columns, batch.targets, strict=True):
            labels[row, column + 1] = target
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[:, -batch.ids.shape[1] :]
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, len(made), rate)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", METHODS)
def test_losses_equal_the_plain_loop(toy: ModelSource, name: str) -> None:
    curve = fit(adapted(toy, name), made(toy), 1e-2).curve
    plain = plain_losses(adapted(toy, name), made(toy), 1e-2)
    assert [point.loss for point in curve] == pytest.approx(plain, abs=2e-4)


@pytest.mark.parametrize("name", METHODS)
def test_losses_equal_the_golden_curve(toy: ModelSource, name: str) -> None:
    curve = [point.loss for point in fit(adapted(toy, name), made(toy), 1e-2).curve]
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("TUNEOFF_UPDATE_GOLDEN"):
        golden[name] = [round(value or 0.0, 5) for value in curve]
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    assert curve == pytest.approx(golden[name], abs=1e-3)


def test_bfloat16_with_float32_masters_follows_float32(toy: ModelSource, toy_folder: Path) -> None:
    half = resolve(str(toy_folder), device="cpu", precision="bfloat16")
    exact = [point.loss for point in fit(adapted(toy, "full"), made(toy), 1e-2).curve]
    mixed = [point.loss for point in fit(adapted(half, "full"), made(toy), 1e-2).curve]
    assert mixed == pytest.approx(exact, abs=0.05)


def test_masters_keep_updates_that_bfloat16_would_lose() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = Float32AdamW([weight])
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        optimizer.step(1e-4)  # a hundredth of bfloat16's spacing at 1.0 is lost if rounded each step
    assert optimizer.masters[0][0].item() == pytest.approx(1 - 100 * 1e-4, abs=1e-4)
    assert weight[0].item() == pytest.approx(0.99, abs=0.004)


def test_loss_counts_target_tokens_alone(toy: ModelSource) -> None:
    batch = made(toy)[0]
    model = adapted(toy, "full")
    before = target_loss(model, batch).item()
    changed = batch.ids.clone()
    changed[:, -1] = torch.where(batch.mask[:, -1] == 0, 7, changed[:, -1])  # padding
    other = Batch(**{**{f: getattr(batch, f) for f in batch.__slots__}, "ids": changed})
    assert target_loss(model, other).item() == pytest.approx(before, abs=1e-6)


def test_rate_warms_up_then_falls_to_nearly_zero() -> None:
    rates = [rate_at(step, 40, 1.0) for step in range(1, 41)]
    warmup = round(RECIPE.warmup_share * 40)
    assert rates[warmup - 1] == max(rates) == 1.0
    assert rates == sorted(rates[:warmup]) + sorted(rates[warmup:], reverse=True)
    assert 0 < rates[-1] < 0.05
    assert rate_at(1, 1, 1.0) == 1.0


def test_a_loss_that_is_not_finite_stops_the_run(toy: ModelSource) -> None:
    model = adapted(toy, "full")
    with torch.no_grad():
        model.get_output_embeddings().weight[0, 0] = float("nan")
    trained = fit(model, made(toy), 1e-3)
    assert len(trained.curve) == 1
    assert trained.curve[0].loss is None
    assert trained.degenerate is not None
    assert "step 1" in trained.degenerate


def test_a_run_without_gradients_is_degenerate(toy: ModelSource) -> None:
    model = adapted(toy, "lora-r16")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.zero_()  # A = B = 0 is a fixed point of the product
    assert fit(model, made(toy), 1e-3).degenerate == "every gradient was zero"


def test_the_same_seed_gives_the_same_losses(toy: ModelSource) -> None:
    first = fit(adapted(toy, "lora-r16"), made(toy), 1e-2)
    second = fit(adapted(toy, "lora-r16"), made(toy), 1e-2)
    assert [p.loss for p in first.curve] == [p.loss for p in second.curve]
    assert first.tokens == sum(batch.tokens for batch in made(toy))
