"""Scores on dev items while a model trains, and that training does not notice."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import registry
from harness.budget import CHECKPOINT_ITEMS
from harness.checkpoints import Checkpoints, due
from harness.data import Encoder
from harness.engine import engine
from harness.examine import Examiner
from harness.methods.lora import LoraR16
from harness.model import ModelSource, resolve
from harness.task import Example, Task
from harness.train import Stand, TimeLimit
from tests.test_train import METHODS, adapted, fit, made

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

PARITY = str(Path(__file__).parent / "toy_task.py")


class Chance:
    """A task whose scoring takes random numbers, as nothing forbids it to."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def score(self, example: Example, output: str) -> float:
        torch.rand(1)
        return self._task.score(example, output)


def watching(
    model: Any, source: ModelSource, count: int, *, task: Task | None = None, name: str = "fast"
) -> tuple[Checkpoints, list[str]]:
    """Checkpoints of a model about to be trained, and the phases that they will enter."""
    entered: list[str] = []

    @contextlib.contextmanager
    def clock(phase: str) -> Iterator[None]:
        entered.append(phase)
        yield

    chosen = task or registry.task(PARITY)
    examiner = Examiner(
        task=chosen,
        encoder=Encoder(source.tokenizer(), 64),
        engine=engine(name),
        shots=(),
        max_new_tokens=4,
        device="cpu",
        send=lambda message: None,
    )
    dev = [*chosen.load().dev] * 3
    return Checkpoints(
        model=model, examiner=examiner, examples=dev, batches=made(source), count=count, clock=clock
    ), entered


def test_checkpoints_double_up_to_the_last_step() -> None:
    assert sorted(due(28, 4)) == [0, 4, 7, 14, 28]
    assert sorted(due(250, 8)) == [0, 2, 4, 8, 16, 31, 62, 125, 250]
    assert sorted(due(2, 4)) == [0, 1, 2]
    assert sorted(due(28, 1)) == [0, 28]
    assert due(28, 0) == frozenset()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_is_the_same_to_the_bit(toy_folder: Path, name: str, precision: str) -> None:
    source = resolve(str(toy_folder), device="cpu", precision=precision)
    plain, watched = adapted(source, name), adapted(source, name)
    curve = fit(plain, made(source), 1e-2, method=name, precision=precision).curve
    checkpoints, entered = watching(watched, source, 3)
    other = fit(watched, made(source), 1e-2, method=name, precision=precision, pause=checkpoints).curve
    assert [(p.loss, p.grad_norm) for p in other] == [(p.loss, p.grad_norm) for p in curve]
    for first, second in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(first, second)
    assert [one.step for one in checkpoints.found] == [0, 2, 3, 6]
    assert entered == ["checkpoints"] * 4


def test_neither_dropout_nor_scoring_moves_the_random_state(toy: ModelSource) -> None:
    class Dropping(LoraR16):
        def adapter(self) -> dict[str, Any]:
            return {**super().adapter(), "lora_dropout": 0.5}

    def losses(*, watch: bool) -> list[float | None]:
        torch.manual_seed(0)
        model = Dropping().adapt(toy.load(), None)  # type: ignore[arg-type]
        task = Chance(registry.task(PARITY))
        pause = watching(model, toy, 3, task=task)[0] if watch else None  # type: ignore[arg-type]
        torch.manual_seed(1)
        return [point.loss for point in fit(model, made(toy), 1e-2, pause=pause).curve]

    assert losses(watch=True) == losses(watch=False)


def test_a_checkpoint_says_what_training_it_took(toy: ModelSource) -> None:
    model = adapted(toy, "full")
    checkpoints, _ = watching(model, toy, 2)
    curve = fit(model, made(toy), 1e-2, pause=checkpoints).curve
    first, half, last = checkpoints.found
    assert (first.step, first.examples, first.tokens, first.seconds) == (0, 0, 0, 0.0)
    assert (half.step, half.examples, half.tokens) == (3, 24, curve[2].tokens)
    assert (last.step, last.examples, last.tokens) == (6, 48, curve[5].tokens)
    assert [half.seconds, last.seconds] == [curve[2].seconds, curve[5].seconds]
    assert {one.n for one in checkpoints.found} == {CHECKPOINT_ITEMS}
    assert all(0 <= one.score <= 1 for one in checkpoints.found)


@pytest.mark.parametrize("estimate", [2, 5, 40])
def test_where_the_clock_ends_training_its_end_is_scored_once(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch, estimate: int
) -> None:
    model, batches = adapted(toy, "full"), made(toy)
    supply = itertools.islice(itertools.cycle(batches), estimate)
    checkpoints, _ = watching(model, toy, 2)
    checkpoints = replace(checkpoints, batches=list(supply))
    ticks = itertools.count()
    monkeypatch.setattr("harness.train.time.perf_counter", lambda: float(next(ticks)))
    limit = TimeLimit(seconds=40.0, more=itertools.cycle(batches))
    trained = fit(model, checkpoints.batches, 1e-3, pause=checkpoints, limit=limit)
    steps = [one.step for one in checkpoints.found]
    assert steps == sorted(set(steps))
    assert steps[0] == 0
    assert steps[-1] == len(trained.curve)
    assert checkpoints.found[-1].examples == trained.examples
    assert len(steps) == (3 if estimate // 2 < len(trained.curve) else 2)


def test_the_last_score_is_that_of_the_trained_model(toy: ModelSource) -> None:
    model = adapted(toy, "full")
    checkpoints, _ = watching(model, toy, 1)
    fit(model, made(toy), 1e-2, pause=checkpoints)
    assert not model.training
    again = checkpoints.examiner.examine(model, checkpoints.examples[:CHECKPOINT_ITEMS], "again")
    assert checkpoints.found[-1].score == again.mean


def test_the_model_is_asked_in_eval_mode_and_trained_in_train_mode(
    toy: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapted(toy, "full")
    asked: list[bool] = []
    after: list[bool] = []
    examine = Examiner.examine

    def noting(self: Examiner, *arguments: Any) -> Any:
        asked.append(model.training)
        return examine(self, *arguments)

    monkeypatch.setattr(Examiner, "examine", noting)
    checkpoints, _ = watching(model, toy, 3)

    def pause(stand: Stand) -> None:
        checkpoints(stand)
        after.append(model.training)

    fit(model, made(toy), 1e-2, pause=pause)
    assert asked == [False] * 4
    assert after == [False, *[True] * 7]  # before the first step it is not in train mode yet


def test_without_checkpoints_nothing_is_asked(toy: ModelSource) -> None:
    model = adapted(toy, "full")
    checkpoints, entered = watching(model, toy, 0)
    fit(model, made(toy), 1e-2, pause=checkpoints)
    assert entered == []
    assert checkpoints.found == []
