"""The contract as checks, the same for built-in plugins and anybody's: `python -m harness validate`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import registry
from harness.budget import preset
from harness.errors import PluginError
from harness.method import Method
from harness.task import METRICS, Example, Splits, Task, task_hash

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from harness.data import Encoded, Encoder
    from harness.model import ModelSource

SAMPLE = 50
"""Examples of each split that the per-item checks look at."""

EASY = 0.9
"""A naive rule that scores this much leaves nothing to compare methods by."""

PROMPT_CHARACTERS = 1200
"""Median prompt length that still fits the `quick` budget's 384 tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One rule and how the plugin breaks it, None if it does not."""

    name: str
    problem: str | None


def checks(reference: str) -> Iterator[Check]:
    """Check the plugin that a name or a file refers to, rule by rule.

    Raises:
        UsageError: There is no such plugin.
        PluginError: It cannot be imported.
    """
    plugin: Task | Method
    if reference.endswith(".py"):
        plugin = registry.plugin_from_file(reference)
    elif reference in registry.methods():
        plugin = registry.method(reference)
    else:
        plugin = registry.task(reference)
    yield from task_checks(plugin) if isinstance(plugin, Task) else method_checks(plugin)


def task_checks(task: Task) -> Iterator[Check]:
    """The rules of the Task contract."""
    yield _check("licence and source of the data are stated", lambda: _stated(task))
    yield _check(f"metric is one of {', '.join(METRICS)}", lambda: _metric(task))
    try:
        splits = task.load()
    except PluginError as error:
        yield Check(name="splits are disjoint, without repeated ids", problem=str(error))
        return
    yield Check(name="splits are disjoint, without repeated ids", problem=None)
    yield _check("the stated sizes are those of the splits", lambda: _sizes(task, splits))
    yield _check("loading twice gives the same data", lambda: _same(task, splits))
    yield _check(
        "ids, prompts and targets are text; prompts and targets are not empty", lambda: _text(task, splits)
    )
    yield _check("no prompt ends in white space, which would split a token", lambda: _ending(task, splits))
    yield _check("the gold target scores 1.0", lambda: _gold(task, splits))
    yield _check("an empty output scores less than 1.0", lambda: _empty(task, splits))
    yield _check("no fixed rule solves the task", lambda: _naive(task, splits))
    yield _check("prompts are short enough for the quick budget", lambda: _short(task, splits))
    yield _check("targets are labels, and no label begins another", lambda: _labels(task, splits))
    yield _check("a prompt does not hold its target", lambda: _leak(task, splits))


def _check(name: str, find: Callable[[], str | None]) -> Check:
    return Check(name=name, problem=find())


def _sample(splits: Splits) -> Iterator[Example]:
    for _, examples in splits.items():
        yield from examples[:SAMPLE]


def _stated(task: Task) -> str | None:
    empty = [name for name in ("description", "source", "license") if not getattr(task, name).strip()]
    return f"empty: {', '.join(empty)}" if empty else None


def _metric(task: Task) -> str | None:
    return None if task.metric in METRICS else f"it is {task.metric!r}"


def _same(task: Task, splits: Splits) -> str | None:
    again = task.load()
    return (
        None
        if task_hash(task, again) == task_hash(task, splits)
        else "the second load() differs from the first"
    )


def _sizes(task: Task, splits: Splits) -> str | None:
    found = (len(splits.train), len(splits.dev), len(splits.test))
    return None if task.sizes in (None, found) else f"they are {found}, not {task.sizes}"


def _text(task: Task, splits: Splits) -> str | None:
    for example in _sample(splits):
        for what, value in (("prompt", task.prompt(example)), ("target", task.target(example))):
            if not isinstance(value, str) or not value.strip():
                return f"{what} of {example.id!r} is {value!r}"
    return None


def _ending(task: Task, splits: Splits) -> str | None:
    for example in _sample(splits):
        if task.prompt(example)[-1:].isspace():
            return f"the prompt of {example.id!r} does; begin its target with that white space instead"
    return None


def _gold(task: Task, splits: Splits) -> str | None:
    for example in _sample(splits):
        score = task.score(example, task.target(example))
        if score != 1.0:
            return f"the target of {example.id!r} scores {score!r}"
    return None


def _empty(task: Task, splits: Splits) -> str | None:
    for example in _sample(splits):
        score = task.score(example, "")
        if not 0 <= score < 1:
            return f"an empty output scores {score!r} on {example.id!r}"
    return None


def _naive(task: Task, splits: Splits) -> str | None:
    guesses = [(example, task.naive(example)) for example in splits.test[:SAMPLE]]
    scores = [task.score(example, guess) for example, guess in guesses if guess is not None]
    mean = sum(scores) / len(guesses)
    return None if mean < EASY else f"the naive rule scores {mean:.2f} on the first test items"


def _short(task: Task, splits: Splits) -> str | None:
    lengths = sorted(len(task.prompt(example)) for example in splits.test)
    median = lengths[len(lengths) // 2]
    return None if median <= PROMPT_CHARACTERS else f"the median prompt has {median} characters"


def _labels(task: Task, splits: Splits) -> str | None:
    if task.labels is None:
        return None
    for label in task.labels:
        for other in task.labels:
            if label != other and other.startswith(label):
                return f"{other!r} begins with {label!r}: their likelihoods would share tokens"
    for _, examples in splits.items():
        for example in examples:
            if task.target(example) not in task.labels:
                return f"the target {task.target(example)!r} of {example.id!r} is no label"
    return None


def _leak(task: Task, splits: Splits) -> str | None:
    if task.labels is not None:  # labels may be listed as choices
        return None
    for example in _sample(splits):
        if task.target(example).strip() in task.prompt(example):
            return f"the prompt of {example.id!r} holds its target"
    return None


def method_checks(method: Method) -> Iterator[Check]:
    """The rules of the Method contract, on a toy model that is trained for a few steps."""
    yield Check(
        name="name and description are stated",
        problem=None if method.name.strip() and method.description.strip() else "one of them is empty",
    )
    rates = method.learning_rates
    good = all(isinstance(rate, float) and rate > 0 for rate in rates) and len(set(rates)) == len(rates)
    yield Check(
        name="learning rates are distinct positive numbers, the default first",
        problem=None if good else f"they are {rates!r}",
    )
    with tempfile.TemporaryDirectory() as folder:
        yield from _trained_checks(method, Path(folder))


def _trained_checks(method: Method, folder: Path) -> Iterator[Check]:
    import torch

    from harness.model import quieten, resolve
    from harness.toy import write_toy_model

    quieten()
    write_toy_model(folder / "toy")
    source = resolve(str(folder / "toy"), device="cpu", precision="float32")
    torch.manual_seed(0)
    model = method.adapt(method.load(source), preset("smoke"))
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not method.learning_rates:
        yield Check(
            name="without learning rates nothing is trainable",
            problem=f"trainable: {', '.join(sorted(trainable)[:3])}" if trainable else None,
        )
        return
    yield Check(
        name="something is trainable", problem=None if trainable else "no parameter requires a gradient"
    )
    if not trainable:
        return
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    losses, degenerate = _train_toy(method, model, source)
    yield Check(name="training on the toy model is not degenerate", problem=degenerate)
    moved = {
        name
        for name, parameter in model.named_parameters()
        if not torch.equal(parameter.detach(), before[name])
    }
    yield Check(
        name="frozen weights are bit-identical after training",
        problem=f"changed: {', '.join(sorted(moved - trainable)[:3])}" if moved - trainable else None,
    )
    still = trainable - moved
    yield Check(
        name="every trainable tensor moved",
        problem=f"unchanged: {', '.join(sorted(still)[:3])}" if still else None,
    )
    yield Check(
        name="the loss fell",
        problem=None if losses[-1] < losses[0] else f"from {losses[0]:.3f} to {losses[-1]:.3f}",
    )


def _train_toy(method: Method, model: PreTrainedModel, source: ModelSource) -> tuple[list[float], str | None]:
    """A few steps on one sentence; the losses, and why the run is degenerate if it is."""
    from harness.data import Encoder, batches
    from harness.engine import engine
    from harness.train import train

    fast = engine("fast")
    encoder: Encoder = Encoder(source.tokenizer(), 128)
    pairs: list[Encoded] = [encoder.pair(f"Count to {n}:", "one two three") for n in range(32)]
    trained = train(
        model,
        fast.optimizer(model, source.precision),
        batches(pairs, batch_size=4, epochs=1, seed=0, pad=encoder.end),
        loss_of=fast.loss,
        learning_rate=min(method.learning_rates),  # defaults are tuned to real models
        device="cpu",
        after_step=method.after_step,
        progress=lambda done, total: None,
    )
    return [math.inf if p.loss is None else p.loss for p in trained.curve], trained.degenerate
