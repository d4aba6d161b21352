"""The Task contract: where examples come from, how a prompt reads, how an output is scored.

A task knows nothing of models, methods or budgets. It offers pools of examples; how many of them a
cell trains or is tested on is decided by the budget.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness.errors import PluginError

METRICS = ("accuracy", "exact_match", "pass@1", "rougeL", "field_f1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One item of a task.

    Attributes:
        id: Stable and unique within the task, on every machine.
        group: What two splits must never share: a licence key, a template, a function's specification.
        data: The text fields that the task's own `prompt`, `target` and `score` read.
    """

    id: str
    group: str
    data: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Pools of examples. The budget takes the first items of `dev` and `test` and a seeded subset of `train`.

    `dev` and `test` must therefore already be in a well-mixed order.

    Raises:
        PluginError: A split is empty, an id repeats, or a group stands in two splits.
    """

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]

    def __post_init__(self) -> None:
        ids: set[str] = set()
        owner: dict[str, str] = {}
        for name, examples in self.items():
            if not examples:
                raise PluginError(f"the split {name!r} is empty; train, dev and test each need examples")
            for example in examples:
                if example.id in ids:
                    raise PluginError(f"example id {example.id!r} occurs twice; ids must be unique")
                ids.add(example.id)
                if owner.setdefault(example.group, name) != name:
                    raise PluginError(
                        f"group {example.group!r} is in both {owner[example.group]!r} and {name!r}; "
                        "splits must be disjoint by group"
                    )

    def items(self) -> Iterator[tuple[str, tuple[Example, ...]]]:
        """The three splits by name, in the order train, dev, test."""
        yield "train", self.train
        yield "dev", self.dev
        yield "test", self.test


class Task(ABC):
    """Base of every task plugin.

    Attributes:
        name: Lower-case identifier, unique among tasks.
        version: Raised whenever data, prompt, target or scoring change.
        family: "classification", "code", "reasoning", "structured" or "language".
        metric: One of `METRICS`; what the mean of the item scores is called.
        labels: The closed label set, scored by log-likelihood, or None for free generation.
        stop: Generation of an answer ends before this text, once there is an answer; None where only the
            model's end token ends it. A line break suits tasks that read one line.
        description: One line for `list tasks`.
        source: Where the data come from, with a version.
        license: Licence of the data.
        sizes: Examples in train, dev and test, where they are fixed: what `list tasks` shows without loading.
        hub_twin: A task that reads a larger public data set of the same kind from the hub.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    family: ClassVar[str]
    metric: ClassVar[str]
    labels: ClassVar[tuple[str, ...] | None] = None
    stop: ClassVar[str | None] = None
    description: ClassVar[str]
    source: ClassVar[str]
    license: ClassVar[str]
    sizes: ClassVar[tuple[int, int, int] | None] = None
    hub_twin: ClassVar[type[Task] | None] = None

    @abstractmethod
    def load(self) -> Splits:
        """All examples, the same on every call, machine and Python version."""

    @abstractmethod
    def prompt(self, example: Example) -> str:
        """What the model sees. Ends where the answer begins, usually in a colon or a line break."""

    @abstractmethod
    def target(self, example: Example) -> str:
        """What the model should produce; one of `labels` where they are closed."""

    @abstractmethod
    def score(self, example: Example, output: str) -> float:
        """How good `output` is for this one example, from 0 to 1.

        A chosen label comes as it is; what was generated begins with the white space that stands between
        prompt and answer in training (see `join`), so most tasks strip it.
        """

    def readable(self, example: Example, output: str) -> bool:
        """Whether an answer can be read out of `output`, right or wrong: it has the form that was asked for.

        What is not readable counts as a failure of format in reports, apart from wrong answers. Any text is
        readable, unless a task says otherwise.
        """
        return bool(output.strip())

    def naive(self, example: Example) -> str | None:
        """What a fixed rule without learning would answer, such as copying the input.

        None where the most common target of train is the only such guess.
        """
        return None


def metric_problem(task: Task) -> str | None:
    """What is wrong with the metric that a task names, None if nothing is."""
    if task.metric not in METRICS:
        return f"metric {task.metric!r} is not one of {', '.join(METRICS)}"
    if task.metric == "accuracy" and task.labels is None:
        return (
            "accuracy is of labels, and labels is None; exact_match is the metric of answers that are written"
        )
    return None


def join(prompt: str, target: str) -> str:
    """The target as it follows the prompt: after one space, unless either brings its own white space."""
    return target if not target or prompt[-1:].isspace() or target[:1].isspace() else " " + target


def digest(text: str) -> str:
    """SHA-256 in hexadecimal: an order or a choice that is the same on every machine and Python version."""
    return hashlib.sha256(text.encode()).hexdigest()


def mixed(pools: Mapping[str, Iterable[Example]]) -> Splits:
    """Splits whose examples stand in an order that depends on their ids alone."""
    return Splits(**{name: tuple(sorted(pool, key=lambda e: digest(e.id))) for name, pool in pools.items()})


def task_hash(task: Task, splits: Splits) -> str:
    """SHA-256 over what a model can see of a task: ids, prompts, targets, labels and the metric.

    Results are comparable only where this agrees.
    """
    digest = hashlib.sha256(json.dumps([task.name, task.version, task.metric, task.labels]).encode())
    for name, examples in splits.items():
        for example in examples:
            row = [name, example.id, example.group, task.prompt(example), task.target(example)]
            digest.update(json.dumps(row, ensure_ascii=True).encode())
    return digest.hexdigest()
