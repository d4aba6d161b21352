"""What holds of all built-in tasks together: families, sizes, prompt lengths, nothing seen twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from harness import registry
from harness.assets import embedded_model
from harness.prepare import baselines
from harness.store import Store
from harness.task import Splits, Task
from tests.conftest import Pool

SMALL = {"security_weakness": 900}  # CWE has no more texts
TOKENS = 128
REFERENCE = Path(__file__).parent.parent / "results" / "reference"


@pytest.fixture(scope="module", params=registry.tasks())
def loaded(request: pytest.FixtureRequest, pool: Pool) -> tuple[Task, Splits]:
    return pool(request.param)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(embedded_model())


def test_there_are_fifteen_and_two_or_more_of_each_family() -> None:
    families = Counter(task.family for task in registry.tasks().values())
    assert families.total() == 15
    assert set(families) == {"classification", "code", "structured", "reasoning", "language"}
    assert min(families.values()) >= 2
    executed = [task.name for task in registry.tasks().values() if task.metric == "pass@1"]
    assert {"function_completion", "humaneval"} <= set(executed)


def test_sizes(loaded: tuple[Task, Splits]) -> None:
    task, splits = loaded
    assert task.sizes == (len(splits.train), len(splits.dev), len(splits.test))
    assert len(splits.train) >= SMALL.get(task.name, 2000)
    assert len(splits.dev) >= 200
    assert len(splits.test) >= (164 if task.name == "humaneval" else 300)


def test_prompts_are_short(loaded: tuple[Task, Splits], tokenizer: Any) -> None:
    task, splits = loaded
    assert median(len(tokenizer.encode(task.prompt(example))) for example in splits.test) < TOKENS


def test_no_prompt_of_dev_or_test_repeats_or_is_seen_in_training(loaded: tuple[Task, Splits]) -> None:
    task, splits = loaded
    held_out = {task.prompt(example) for example in (*splits.dev, *splits.test)}
    assert len(held_out) == len(splits.dev) + len(splits.test)
    assert not held_out & {task.prompt(example) for example in splits.train}


@pytest.mark.usefixtures("unboxed")
def test_answers_without_a_model_score_what_the_reference_run_stored(loaded: tuple[Task, Splits]) -> None:
    task, splits = loaded
    store = Store(REFERENCE)
    stored = store.read(store.path(task.name, "zero-shot", 0))
    found = baselines(task, splits, splits.test[: len(stored.items)])
    assert stored.baselines is not None
    assert found == pytest.approx(dict(stored.baselines))
    assert max(found.values()) < 0.6
