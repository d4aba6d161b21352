"""Before the first cell: tasks are loaded and checked in a worker, plugins that answer in the parent there.

What is wrong with a plugin is found here where it can be, not after hours of other cells.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any

from harness import environment, registry
from harness.errors import PluginError, TuneoffError, UsageError
from harness.executor import first_line, where
from harness.identity import plain
from harness.job import Job, Prepared
from harness.method import Method
from harness.model import ModelSource
from harness.peftfile import PeftFile
from harness.plan import TaskSize
from harness.task import Example, Splits, Task, task_hash

Send = Callable[[Any], None]

NAME = re.compile(r"[^./\\\s][^/\\\0\n]*")
"""Names of tasks and methods become folders of the results."""


def probe(device: str, send: Send) -> environment.Environment:
    """`environment.probe` in a worker, so that the parent never starts a GPU driver."""
    return environment.probe(device)


def chat_template(source: ModelSource, send: Send) -> str:
    """SHA-256 of the model's chat template.

    Raises:
        ModelError: It has none.
    """
    return source.chat_template()


def prepare(reference: str, hub: bool, test_examples: int, send: Send) -> Prepared:
    """Load a task's data, fingerprint it, and score what answers without learning get on its test items.

    Raises:
        PluginError: The task breaks its contract.
    """
    task = registry.task(reference, hub=hub)
    splits = loaded(task)
    _check_texts(task, splits)
    sample = splits.train[:200]
    return Prepared(
        name=task.name,
        description=task.description,
        family=task.family,
        version=task.version,
        hash=task_hash(task, splits),
        code=registry.code_of(task),
        splits=splits,
        baselines=baselines(task, splits, splits.test[:test_examples]),
        size=TaskSize(
            train=len(splits.train),
            test=len(splits.test),
            prompt=sum(len(task.prompt(example)) for example in sample) / len(sample),
            target=sum(len(task.target(example)) for example in sample) / len(sample),
            generates=task.labels is None,
        ),
    )


def loaded(task: Task) -> Splits:
    """The task's splits.

    Raises:
        PluginError: It loads something else.
    """
    splits: object = task.load()
    if not isinstance(splits, Splits):
        raise PluginError(f"task {task.name!r}: load() returned {type(splits).__name__}, not Splits")
    return splits


def baselines(task: Task, splits: Splits, items: Sequence[Example]) -> dict[str, float]:
    """Mean scores over `items` of the most common target of train, and of the naive rule if there is one."""
    ((common, _),) = Counter(task.target(example) for example in splits.train).most_common(1)
    scores = {"most common target": [score(task, example, common) for example in items]}
    guesses = [task.naive(example) for example in items]
    if any(guess is not None for guess in guesses):
        scores["naive rule"] = [
            score(task, example, guess or "") for example, guess in zip(items, guesses, strict=True)
        ]
    return {rule: math.fsum(own) / len(own) for rule, own in scores.items()}


def score(task: Task, example: Example, output: str) -> float:
    """The task's score of one output.

    Raises:
        PluginError: It is no number from 0 to 1.
    """
    value: Any = task.score(example, output)
    if not isinstance(value, Real) or not 0 <= float(value) <= 1:  # NumPy's numbers are Real too
        raise PluginError(
            f"task {task.name!r}: score() returned {value!r} for {example.id!r}; "
            "it must be a number from 0 to 1"
        )
    return float(value)


def readable(task: Task, example: Example, output: str) -> bool:
    """Whether the task can read an answer out of one output.

    Raises:
        PluginError: It does not say yes or no.
    """
    value: Any = task.readable(example, output)
    if not isinstance(value, bool):
        raise PluginError(f"task {task.name!r}: readable() returned {value!r} for {example.id!r}, not a bool")
    return value


def check_method(method: Method, trials: int) -> None:
    """Refuse a method whose choices could not be written into a result, or that cannot have equal trials.

    Raises:
        PluginError: `config()`, `learning_rates` or `shots` are no plain JSON values.
        UsageError: It has fewer learning rates than the budget tries, and the user fixed none.
    """
    choices = {
        "config()": dict(method.config()),
        "learning_rates": list(method.learning_rates),
        "shots": method.shots,
    }
    for what, value in choices.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PluginError(
                f"method {method.name!r}: {what} is {value!r}, which JSON cannot hold: {error}"
            ) from error
    if 0 < len(method.learning_rates) < trials and not method.rate_given:
        raise UsageError(
            f"the budget tries {trials} learning rates of every method, and method {method.name!r} has "
            f"{len(method.learning_rates)}; give it more, or take a budget with fewer trials"
        )


def check_unchanged(task: Task, method: Method, job: Job) -> None:
    """Refuse a task or a method that is no longer what the run was planned with.

    Raises:
        UsageError: It has other data, or another configuration.
    """
    found = {
        f"task {task.name!r}": (task_hash(task, job.splits), registry.code_of(task))
        == (job.identity["task_hash"], job.identity["task_code"]),
        f"method {method.name!r}": (plain(method.config()), registry.code_of(method))
        == (job.identity["method_config"], job.identity["method_code"]),
    }
    for name, same in found.items():
        if not same:
            raise UsageError(f"{name} changed while the run went on; run the same command again")


def check_adapter(reference: str, send: Send) -> str:
    """What a peft configuration comes to, if the installed peft takes it.

    Raises:
        PluginError: Its type or one of its settings is none of peft's.
    """
    method = registry.method(reference)
    if isinstance(method, PeftFile):
        method.check()
    return f"{method.name}: {method.description} ({', '.join(f'{rate:g}' for rate in method.learning_rates)})"


def check_names(names: Sequence[str], kind: str) -> None:
    """Refuse names that no folder can have, or that occur twice: their cells would share result files."""
    for name, count in Counter(names).items():
        if not NAME.fullmatch(name):
            raise PluginError(f"one of the {kind} is called {name!r}, which no folder of results can be")
        if count > 1:
            raise UsageError(f"two of the {kind} are called {name!r}; rename one, or run them apart")


@contextlib.contextmanager
def plugin_code(doing: str) -> Iterator[None]:
    """Whatever a plugin raises within the block becomes an error that says where; an exit is no success.

    Raises:
        PluginError: The block raised something, or called `sys.exit`.
    """
    try:
        yield
    except TuneoffError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{doing}: {first_line(error)} at {where(error)}") from error


def _check_texts(task: Task, splits: Splits) -> None:
    labels: Any = task.labels
    if labels is not None and (
        not isinstance(labels, tuple | list)
        or not all(isinstance(label, str) and label for label in labels)
        or not 0 < len(set(labels)) == len(labels)
    ):
        raise PluginError(
            f"task {task.name!r}: labels is {labels!r}; it must be a tuple of distinct texts, or None"
        )
    for _, examples in splits.items():
        for example in examples:
            texts: dict[str, Any] = {"prompt": task.prompt(example), "target": task.target(example)}
            for what, text in texts.items():
                if not isinstance(text, str) or not text:
                    raise PluginError(
                        f"task {task.name!r}: {what}() returned {text!r} for {example.id!r}; it must be text"
                    )
            if labels is not None and texts["target"] not in labels:
                raise PluginError(
                    f"task {task.name!r}: the target {texts['target']!r} of {example.id!r} is no label"
                )
