"""The training loop: both engines against each other, golden losses, and degenerate runs."""

import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness import registry
from harness.budget import RECIPE, preset
from harness.data import Batch, Encoder, batches
from harness.engine import engine
from harness.model import ModelSource, resolve
from harness.train import Stand, TimeLimit, Trained, rate_at, target_loss, train

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
METHODS = (
    "full", "lora-r16", "qlora-r16", "prompt-tuning", "adalora", "prefix-tuning", "dora-r16", "lora-r16-emb",
)  # fmt: skip


def made(toy: ModelSource) -> list[Batch]:
    encoder = Encoder(toy.tokenizer(), 64)
    pairs = [encoder.pair(f"{n} plus {n % 5} is", str(n + n % 5)) for n in range(48)]
    return batches(pairs, batch_size=8, epochs=1, seed=0, pad=encoder.end)


def adapted(toy: ModelSource, name: str) -> Any:
    torch.manual_seed(0)
    method = registry.method(name)
    return method.adapt(method.load(toy), replace(preset("smoke"), train_examples=48))


def fit(
    model: Any,
    made: list[Batch],
    rate: float,
    *,
    name: str = "fast",
    precision: str = "float32",
    method: str = "full",
    limit: TimeLimit | None = None,
    pause: Callable[[Stand], None] | None = None,
) -> Trained:
    chosen, owner = engine(name), registry.method(method)
    return train(
        model,
        chosen.optimizer(model, precision),
        made,
        loss_of=chosen.loss,
        learning_rate=rate,
        device="cpu",
        penalty=owner.penalty,
        after_step=owner.after_step,
        progress=lambda done, total: None,
        limit=limit,
        pause=pause,
    )


@pytest.mark.parametrize("name", METHODS)
def test_both_engines_give_the_same_losses_and_gradients(toy: ModelSource, name: str) -> None:
    fast = fit(adapted(toy, name), made(toy), 1e-2, method=name).curve
    plain = fit(adapted(toy, name), made(toy), 1e-2, method=name, name="plain").curve
    assert [point.loss for point in fast] == pytest.approx([point.loss for point in plain], abs=2e-4)
    assert [point.grad_norm for point in fast] == pytest.approx([p.grad_norm for p in plain], rel=2e-3)


@pytest.mark.parametrize("name", METHODS)
def test_both_engines_agree_in_bfloat16(toy_folder: Path, name: str) -> None:
    half = resolve(str(toy_folder), device="cpu", precision="bfloat16")
    fast = fit(adapted(half, name), made(half), 1e-2, method=name, precision="bfloat16").curve
    plain = fit(adapted(half, name), made(half), 1e-2, method=name, name="plain", precision="bfloat16").curve
    assert [point.loss for point in fast] == pytest.approx([point.loss for point in plain], abs=0.03)


@pytest.mark.parametrize("name", METHODS)
def test_losses_equal_the_golden_curve(toy: ModelSource, name: str) -> None:
    curve = [point.loss for point in fit(adapted(toy, name), made(toy), 1e-2, method=name).curve]
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("TUNEOFF_UPDATE_GOLDEN"):
        golden[name] = [round(value or 0.0, 5) for value in curve]
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    assert curve == pytest.approx(golden[name], abs=1e-3)


def test_bfloat16_with_float32_masters_follows_float32(toy: ModelSource, toy_folder: Path) -> None:
    half = resolve(str(toy_folder), device="cpu", precision="bfloat16")
    exact = [point.loss for point in fit(adapted(toy, "full"), made(toy), 1e-2).curve]
    mixed = [p.loss for p in fit(adapted(half, "full"), made(toy), 1e-2, precision="bfloat16").curve]
    assert mixed == pytest.approx(exact, abs=0.05)


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


@pytest.mark.parametrize("seconds", [2.0, 6.0, 9.5])
def test_the_clock_ends_a_run_and_sets_its_rate(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    ticks = itertools.count()
    # The clock is read as a run starts, before each step and after it: half a second between two readings.
    monkeypatch.setattr("harness.train.time", SimpleNamespace(perf_counter=lambda: next(ticks) / 2))
    model, planned = adapted(toy, "full"), made(toy)
    limit = TimeLimit(seconds=seconds, more=itertools.cycle(planned))
    curve = fit(model, planned, 1.0, limit=limit).curve
    assert curve[-1].seconds - 1 < seconds <= curve[-1].seconds + 0.5
    shares = [(point.seconds - 0.5) / seconds for point in curve]
    places = [min(len(planned), 1 + len(planned) * share) for share in shares]
    rates = [rate_at(place, len(planned), 1.0) for place in places]
    assert [point.learning_rate for point in curve] == pytest.approx(rates)


def test_time_for_just_the_planned_steps_gives_the_usual_rates() -> None:
    limit = TimeLimit(seconds=20.0, more=())
    places = [limit.place(2.0 * done, 10) for done in range(11)]
    assert places == [*range(1, 11), None]


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


def test_the_clock_stands_still_in_a_pause(toy: ModelSource) -> None:
    paused: list[Stand] = []

    def pause(stand: Stand) -> None:
        paused.append(stand)
        time.sleep(0.1)

    start = time.perf_counter()
    curve = fit(adapted(toy, "full"), made(toy), 1e-3, pause=pause).curve
    whole = time.perf_counter() - start
    assert [(one.step, one.tokens, one.seconds) for one in paused] == [
        (0, 0, 0.0), *((point.step, point.tokens, point.seconds) for point in (*curve, curve[-1])),
    ]  # fmt: skip
    assert [one.last for one in paused] == [False] * (len(curve) + 1) + [True]
    assert 0 < curve[-1].seconds <= whole - 0.1 * len(paused)


def test_a_run_that_stops_pauses_no_more(toy: ModelSource) -> None:
    model = adapted(toy, "full")
    with torch.no_grad():
        model.get_output_embeddings().weight[0, 0] = float("nan")
    steps: list[int] = []
    fit(model, made(toy), 1e-3, pause=lambda stand: steps.append(stand.step))
    assert steps == [0]


def test_the_same_seed_gives_the_same_losses(toy: ModelSource) -> None:
    first = fit(adapted(toy, "lora-r16"), made(toy), 1e-2)
    second = fit(adapted(toy, "lora-r16"), made(toy), 1e-2)
    assert [p.loss for p in first.curve] == [p.loss for p in second.curve]
    assert first.tokens == sum(batch.tokens for batch in made(toy))
