"""Finds tasks and methods: built-in packages, entry points, `package.module:Class`, and files.

A task may also be a JSONL file of a user's own records (see `userdata`), a method a peft configuration
(see `peftfile`). A method reference may end in a learning rate, `lora-r16@3e-4`, which is then its only one.
"""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import math
import pkgutil
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from harness.errors import PluginError, UsageError, unknown
from harness.method import Method
from harness.task import Task, metric_problem
from harness.text import rate as rate_text

Plugin = TypeVar("Plugin", Task, Method)

TASK_ATTRIBUTES = ("name", "version", "family", "metric", "description", "source", "license")
METHOD_ATTRIBUTES = ("name", "description")

BUILT_IN_TASKS = "tasks"
"""The package of the tasks that come with Tuneoff."""

OPTION = re.compile(r"\w+=[^/]*")
WILDCARD = re.compile(r"[*?[]")
AT_RATE = re.compile(r"(.+)@([^@/\\:]*)(?<!\.py)(?<!\.json)")
"""A method reference and the learning rate it is given; an @ in a file's path is none."""


@cache
def tasks() -> dict[str, Task]:
    """Built-in tasks and those of entry points, by name."""
    return _discover(BUILT_IN_TASKS, "tuneoff.tasks", Task, TASK_ATTRIBUTES)


@cache
def methods() -> dict[str, Method]:
    """Built-in methods and those of entry points, by name."""
    return _discover("harness.methods", "tuneoff.methods", Method, METHOD_ATTRIBUTES)


def task(reference: str, *, hub: bool = False) -> Task:
    """The task that a name, a file or `package.module:Class` refers to; with `hub`, its larger twin.

    Raises:
        UsageError: There is no such task, or it has no twin.
        PluginError: The file or module cannot be imported, or breaks the contract.
    """
    found = (_user_task(reference) if ".jsonl" in reference else None) or _found(
        reference, tasks(), Task, TASK_ATTRIBUTES
    )
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
    return _found(reference, methods(), Method, METHOD_ATTRIBUTES)


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
        *_from_file(path, Task, TASK_ATTRIBUTES),
        *_from_file(path, Method, METHOD_ATTRIBUTES),
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


def _found(
    reference: str, named: Mapping[str, Plugin], base: type[Plugin], attributes: Iterable[str]
) -> Plugin:
    if reference.endswith(".py"):
        return _only(_from_file(reference, base, attributes), reference)
    if reference in named:
        return named[reference]
    module, colon, name = reference.partition(":")
    if not colon:
        raise unknown(base.__name__.lower(), reference, named)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # whatever the module does when it is imported
        raise PluginError(
            f"{reference}: cannot import {module!r}: {type(error).__name__}: {error}"
        ) from error
    if not inspect.isclass(found) or not issubclass(found, base):
        raise PluginError(f"{reference}: {module!r} has no {base.__name__} class {name!r}")
    _check(found, attributes, reference)
    return found()


def _discover(package: str, group: str, base: type[Plugin], attributes: Iterable[str]) -> dict[str, Plugin]:
    found: dict[str, Plugin] = {}
    root = importlib.import_module(package) if "." in package else _beside_this(package)
    for info in sorted(pkgutil.iter_modules(root.__path__), key=lambda info: info.name):
        for plugin in _plugins(importlib.import_module(f"{package}.{info.name}"), base, attributes):
            found[plugin.name] = plugin
    for entry in importlib.metadata.entry_points(group=group):
        try:
            plugin_class = entry.load()
        except Exception as error:
            raise PluginError(
                f"the entry point {entry.name} = {entry.value!r} of an installed package cannot be imported: "
                f"{type(error).__name__}: {error}. Mend that package, or uninstall it"
            ) from error
        if not inspect.isclass(plugin_class) or not issubclass(plugin_class, base):
            raise PluginError(f"entry point {entry.value!r} is no {base.__name__} class")
        _check(plugin_class, attributes, f"entry point {entry.value!r}")
        if plugin_class.name in found:
            raise PluginError(f"entry point {entry.value!r} redefines the name {plugin_class.name!r}")
        found[plugin_class.name] = plugin_class()
    return found


def _beside_this(package: str) -> ModuleType:
    """The package next to this one: a user's folder is earlier on the path, and may have one of its name."""
    init = Path(__file__).resolve().parents[1] / package / "__init__.py"
    loaded = sys.modules.get(package)
    if loaded is None or Path(loaded.__file__ or "").resolve() != init:
        spec = importlib.util.spec_from_file_location(package, init)
        assert spec is not None
        assert spec.loader is not None
        loaded = sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    return loaded


def _from_file(path: str, base: type[Plugin], attributes: Iterable[str]) -> list[Plugin]:
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise PluginError(f"there is no plugin file {path!r}")
    # Of two files with one name neither may stand for the other.
    name = f"tuneoff_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a module up by name
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise PluginError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise PluginError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return _plugins(module, base, attributes)


def _plugins(module: ModuleType, base: type[Plugin], attributes: Iterable[str]) -> list[Plugin]:
    """One instance of each class that the module itself defines and that has a name.

    Twins, which another task of the module names, are reached through that task alone.
    """
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
        and hasattr(value, "name")
    ]
    twins = {getattr(value, "hub_twin", None) for value in classes}
    found = []
    for value in classes:
        if value not in twins:
            _check(value, attributes, module.__file__ or module.__name__)
            found.append(value())
    return found


def _check(plugin: type, attributes: Iterable[str], where: str) -> None:
    missing = [name for name in attributes if not hasattr(plugin, name)]
    if missing:
        raise PluginError(f"{where}: class {plugin.__name__} lacks {', '.join(missing)}")


def _only(found: list[Plugin], path: str) -> Plugin:
    if len(found) != 1:
        raise PluginError(f"{path} defines {len(found)} such classes; a plugin file defines exactly one")
    return found[0]
