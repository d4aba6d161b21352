"""The contract as checks, the same for built-in plugins and anybody's: `python -m harness validate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness import registry
from harness.errors import PluginError
from harness.method import Method
from harness.prepare import loaded, plugin_code
from harness.task import METRICS, Example, Splits, Task, join, metric_problem, task_hash

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
    elif reference in registry.methods() or reference.endswith(".json"):
        plugin = registry.method(reference)
    else:
        plugin = registry.task(reference)
    if isinstance(plugin, Task):
        yield from task_checks(plugin)
    else:
        from harness.methodcheck import method_checks

        yield from method_checks(plugin)


def task_checks(task: Task) -> Iterator[Check]:
    """The rules of the Task contract."""
    yield _check("licence and source of the data are stated", lambda: _stated(task))
    yield _check(f"metric is one of {', '.join(METRICS)}", lambda: metric_problem(task))
    try:
        with plugin_code("it raised"):
            splits = loaded(task)
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
    yield _check("the gold target can be read, and an empty output cannot", lambda: _readable(task, splits))
    yield _check("an empty output scores less than 1.0", lambda: _empty(task, splits))
    yield _check("no fixed rule solves the task", lambda: _naive(task, splits))
    yield _check("prompts are short enough for the quick budget", lambda: _short(task, splits))
    yield _check("targets are labels, and no label begins another", lambda: _labels(task, splits))
    yield _check("a prompt does not hold its target", lambda: _leak(task, splits))


def _check(name: str, find: Callable[[], str | None]) -> Check:
    """A rule, looked into; whatever the plugin raises meanwhile breaks it."""
    try:
        with plugin_code("it raised"):
            return Check(name=name, problem=find())
    except PluginError as error:
        return Check(name=name, problem=str(error))


def _sample(splits: Splits) -> Iterator[Example]:
    for _, examples in splits.items():
        yield from examples[:SAMPLE]


def _stated(task: Task) -> str | None:
    empty = [name for name in ("description", "source", "license") if not getattr(task, name).strip()]
    return f"empty: {', '.join(empty)}" if empty else None


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
        target = task.target(example)
        # What is generated begins with the space that stands between prompt and answer in training.
        given = target if task.labels else join(task.prompt(example), target)
        for how, output in (("", target), (" as it is generated, after a space,", given)):
            score = task.score(example, output)
            if score != 1.0:
                return f"the target of {example.id!r}{how} scores {score!r}"
    return None


def _readable(task: Task, splits: Splits) -> str | None:
    for example in _sample(splits):
        if not task.readable(example, task.target(example)):
            return f"the target of {example.id!r} cannot be read"
        if task.readable(example, ""):
            return f"an empty output can be read for {example.id!r}"
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
