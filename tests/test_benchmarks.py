"""The benchmarks' formulas and pages; what they time is measured elsewhere, by `make bench`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import common, our_loop, render, scaling, techniques
from benchmarks.memory import training_bytes
from harness import registry
from harness.budget import preset
from harness.data import Batch
from harness.engine import PLAIN, engine
from harness.environment import probe
from harness.errors import UsageError
from harness.flops import added_tokens
from harness.model import ModelSource, resolve
from harness.train import target_loss
from tests.conftest import Pool
from tests.test_train import adapted, made

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


def kept_bytes(model: torch.nn.Module, batch: Batch) -> int:
    """Bytes that torch keeps of a forward pass for the backward one, parameters not counted."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = target_loss(model, batch)
        assert loss.requires_grad  # the graph is alive, so that no two tensors had one address
    return sum(kept.values())


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("method", scaling.METHODS.split(","))
def test_the_formula_of_activations_is_what_torch_keeps(
    toy_folder: Path, method: str, precision: str
) -> None:
    source = resolve(str(toy_folder), device="cpu", precision=precision)
    model = adapted(source, method)
    engine("fast").optimizer(model, precision)
    model.train()
    batch = made(source)[0]
    (rows, width), targets = batch.ids.shape, len(batch.targets)
    added, past = added_tokens(model, batch)
    formula = training_bytes(model, precision, rows=rows, width=width + added, targets=targets, past=past)
    head = targets * model.config.vocab_size * 4
    assert formula.activations == pytest.approx(kept_bytes(model, batch) - head, rel=0.1)


def test_every_batch_that_is_timed_is_full_so_that_the_other_side_makes_the_same(
    toy: ModelSource, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, splits = pool("legal_license")
    monkeypatch.setattr(type(task), "load", lambda self: splits)
    cell = common.Cell(task="legal_license", method="full", length=64, batch_size=8, steps=99)
    made, _ = cell.batches(toy)
    assert len(made) > 5
    assert {batch.ids.shape for batch in made} == {(8, 64)}


@pytest.fixture(scope="module")
def served(toy: ModelSource) -> dict[str, dict[str, bool | None]]:
    return {name: techniques.observed(toy, name) for name in registry.methods()}


def test_every_technique_serves_every_method(served: dict[str, dict[str, bool | None]]) -> None:
    for name, found in served.items():
        trains = bool(registry.method(name).learning_rates)
        assert found == {**dict.fromkeys(techniques.TRAINING, True if trains else None),
                         **dict.fromkeys(techniques.ANSWERING, True)}, name  # fmt: skip


def test_an_engine_without_the_techniques_is_seen_to_have_none(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(techniques, "FAST", PLAIN)
    assert not any(techniques.observed(toy, "lora-r16").values())


def test_the_page_shows_the_techniques_as_observed(served: dict[str, dict[str, bool | None]]) -> None:
    page = render.README.read_text(encoding="utf-8")
    assert render.between(page, techniques.MARKS, techniques.table(served)) == page


def test_the_page_and_its_charts_show_the_stored_figures() -> None:
    page = render.README.read_text(encoding="utf-8")
    found = render.groups()
    assert render.between(page, render.MARKS, render.rendered(found)) == page
    for stored in found:
        if stored["benchmark"] == "scaling":
            assert (render.RESULTS / render.chart_name(stored)).exists()


@pytest.mark.parametrize(("axis", "value", "steps"), [("examples", 8, 4), ("rows", 4, 4), ("length", 16, 4)])
def test_points_of_an_axis_train_as_many_steps_as_the_others(axis: str, value: int, steps: int) -> None:
    point = scaling.SMALL_BASE.at(axis, value)
    made = point.batches(vocabulary=100)
    assert (point.steps, len(made)) == (steps, steps)
    assert {tuple(batch.ids.shape) for batch in made} == {(point.rows, point.length)}


def test_a_point_has_its_method_in_its_rank(toy: ModelSource) -> None:
    point = replace(scaling.BASE, method="adalora", rank=8)
    assert scaling.chosen(point).config()["target_r"] == 8
    assert scaling.chosen(point).config()["init_r"] == 12
    assert registry.method("adalora").config()["target_r"] != 8
    with pytest.raises(UsageError, match="no rank"):
        scaling.chosen(replace(point, method="full"))


def test_our_side_of_a_benchmark_trains_and_tells_what_it_took(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(our_loop, "matmul_peak", lambda environment: 1e9)
    point = replace(scaling.SMALL_BASE, method="lora-r16")
    here = replace(probe("cpu"), precision="float32")
    limits = replace(preset("smoke"), train_examples=point.examples, batch_size=point.rows)
    run = our_loop.train_ours(registry.method("lora-r16"), toy, point.batches(100), limits, here)
    assert len(run["losses"]) == len(run["step_flops"]) == point.steps
    assert len(set(run["step_flops"])) == 1
    row = scaling._row("length", point, run)
    assert row["seconds"] == pytest.approx(run["seconds"] / (point.steps - 2))
    assert row["formula_seconds"] == pytest.approx(run["step_flops"][0] / 1e9)
    assert row["formula_bytes"]["optimizer"] == 2 * row["formula_bytes"]["gradients"]
