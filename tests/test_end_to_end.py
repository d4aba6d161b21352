"""One real cell: the embedded model, real data in short steps, LoRA, from download to report."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.executor import Executor
from harness.grid import Listener, Settings, build
from harness.run import execute


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("undrawn")
def test_lora_learns_inflection_with_the_embedded_model(tmp_path: Path) -> None:
    executor = Executor()
    settings = Settings(
        tasks="inflection",
        methods="lora-r16",
        model="embedded",
        budget="smoke",
        seeds=None,
        results=tmp_path / "results",
        reports=tmp_path / "reports",
        device="cpu",
        hub=False,
        chat=False,
    )
    grid = build(settings, executor, Listener())
    grid = replace(grid, budget=replace(grid.budget, test_examples=8, checkpoints=0, merge_prompts=0))
    (result,) = execute(grid, executor, Listener(), force=False)
    assert result.status == "ok", result.reason
    assert result.metric is not None
    assert result.metric.n == 8
    assert result.parameters is not None
    assert result.parameters["trainable"] == 4_884_480
    assert result.parameters["total"] - result.parameters["trainable"] == 134_515_008
    losses = [point.loss or 0.0 for point in result.curve]
    assert losses[-1] < losses[0]
    assert result.flops is not None
    assert result.flops["train"] == pytest.approx(result.flops["train_formula"], rel=0.02)
    assert result.phases["train"].peak_bytes is not None
    assert (tmp_path / "reports" / "report.md").stat().st_size > 1000
