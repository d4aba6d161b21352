"""Finds tasks and methods: built-in packages, entry points, `package.module:Class`, and files.

A task may also be a JSONL file of a user's own records (see `userdata`), a method a peft configuration
(see `peftfile`). A method reference may end in a learning rate, `lora-r16@3e-4`, which is then its only one.
"""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import inspect
import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from harness import plugins
from harness.errors import PluginError, UsageError, unknown
from harness.method import Method
from harness.plugins import Plugin
from harness.task import Task, metric_problem
from harness.text import rate as rate_text

BUILT_IN_TASKS = "tasks"
"""The package of the tasks that come with Tuneoff."""

OPTION = re.compile(r"\w+=[^/]*")
WILDCARD = re.compile(r"[*?[]")
AT_RATE = re.compile(r"(.+)@([^@/\\:]*)(?<!\.py)(?<!\.json)")
"""A method reference and the learning rate it is given; an @ in a file's path is none."""


@cache
def tasks() -> dict[str, Task]:
    """Built-in tasks and those of entry points, by name."""
    return plugins.discover(BUILT_IN_TASKS, "tuneoff.tasks", Task)


@cache
def methods() -> dict[str, Method]:
    """Built-in methods and those of entry points, by name."""
    return plugins.discover("harness.methods", "tuneoff.methods", Method)


def task(reference: str, *, hub: bool = False) -> Task:
    """The task that a name, a file or `package.module:Class` refers to; with `hub`, its larger twin.

    Raises:
        UsageError: There is no such task, or it has no twin.
        PluginError: The file or module cannot be imported, or breaks the contract.
    """
    found = (_user_task(reference) if ".jsonl" in reference else None) or _found(reference, tasks(), Task)
    if problem := metric_problem(found):
        raise PluginError(f"task {found.name!r}: {problem}")
    if not hub:
        return found
    if found.hub_twin is None:
        twins = [name for name, other in tasks().items() if other.hub_twin]
        raise UsageError(f"task {reference!r} names no hub data set; those that do: {', '.join(twins)}")
    return found.hub_twin()


def method(reference: str) -> Method:
    """The method that a name, a Python file, a peft configuration or `package.module:Class` refers to.

    `reference@rate` is the same method with that learning rate alone, and the rate in its name.

    Raises:
        UsageError: There is no such method, or it cannot have that learning rate.
        PluginError: The file or module cannot be imported, or breaks the contract.
    """
    if given := AT_RATE.fullmatch(reference):
        return _at_rate(method(given[1]), given[2])
    if reference.endswith(".json"):
        from harness.peftfile import method_from_file

        return method_from_file(reference, methods())
    return _found(reference, methods(), Method)


def task_references(selection: str, *, hub: bool = False) -> list[str]:
    """`--tasks`: "all", or names, files and classes separated by commas, each checked.

    With `hub`, "all" means every task that has a twin there.
    """
    every = [name for name, found in tasks().items() if found.hub_twin or not hub]
    chosen = every if selection == "all" else _split(selection)
    for reference in chosen:
        task(reference, hub=hub)
    return chosen


def method_references(selection: str) -> list[str]:
    """`--methods`: "core", "all", or names, files and classes separated by commas, each checked.

    A name may hold wildcards, as a shell has them: "lora-*", and end in a learning rate: "lora-r16@3e-4".
    """
    if selection == "core":
        return [name for name, found in methods().items() if found.core]
    chosen: dict[str, None] = {}
    for part in methods() if selection == "all" else _split(selection):
        given = AT_RATE.fullmatch(part)
        file = (given[1] if given else part).endswith((".py", ".json"))
        chosen |= dict.fromkeys([part] if file or not WILDCARD.search(part) else _matching(part))
    for reference in chosen:
        method(reference)
    return list(chosen)


def plugin_from_file(path: str) -> Task | Method:
    """The one task or method class that a file defines.

    Raises:
        PluginError: There is none or more than one, or the file cannot be imported.
    """
    found: list[Task | Method] = [
        *plugins.from_file(path, Task),
        *plugins.from_file(path, Method),
    ]
    if len(found) != 1:
        raise PluginError(f"{path} defines {len(found)} task or method classes; a plugin file defines one")
    return found[0]


def code_of(plugin: Task | Method) -> str | None:
    """SHA-256 of the file that defines a user's task or method; None for one that comes with Tuneoff.

    A method's configuration need not tell all that its code does, nor a task's texts how answers are scored,
    and who works on one changes the code.
    """
    own, file = Path(__file__).resolve().parent, Path(inspect.getfile(type(plugin))).resolve()
    if any(file.is_relative_to(folder) for folder in (own, own.parent / BUILT_IN_TASKS)):
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _split(selection: str) -> list[str]:
    names: list[str] = []
    for part in (part.strip() for part in selection.split(",")):
        if names and OPTION.fullmatch(part):  # data.jsonl:kind=short,metric=rougeL is one reference
            names[-1] += f",{part}"
        elif part:
            names.append(part)
    if not names:
        raise UsageError("the selection is empty; give names separated by commas, or 'all'")
    return list(dict.fromkeys(names))


def _matching(pattern: str) -> list[str]:
    found = fnmatch.filter(methods(), pattern)
    if not found:
        raise UsageError(f"no method is called {pattern!r}. Allowed: {', '.join(sorted(methods()))}.")
    return found


def _at_rate(found: Method, text: str) -> Method:
    """A copy of the method whose one learning rate is the one in `text`."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise UsageError(
            f"{found.name}@{text}: {text!r} is no learning rate; give a number above 0: {found.name}@3e-4"
        )
    if not found.learning_rates:
        raise UsageError(f"{found.name}@{text}: {found.name!r} trains nothing, so it has no learning rate")
    fixed = copy.copy(found)
    # The contract has one class a method, and its attributes there; a fixed rate is this copy's alone.
    vars(fixed).update(name=f"{found.name}@{rate_text(rate)}", learning_rates=(rate,), rate_given=True)
    return fixed


def _user_task(reference: str) -> Task | None:
    from harness.userdata import split_reference, task_from_file

    path, options = split_reference(reference)
    return task_from_file(path, **options) if path.endswith(".jsonl") else None


def _found(reference: str, named: Mapping[str, Plugin], base: type[Plugin]) -> Plugin:
    if reference.endswith(".py"):
        return _only(reference, plugins.from_file(reference, base))
    if reference in named:
        return named[reference]
    if ":" in reference:
        return plugins.from_module(reference, base)
    raise unknown(base.__name__.lower(), reference, named)


def _only(path: str, found: list[Plugin]) -> Plugin:
    if len(found) != 1:
        raise PluginError(f"{path} defines {len(found)} such classes; a plugin file defines exactly one")
    return found[0]
