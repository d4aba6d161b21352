"""Classes of tasks and methods, found: in built-in packages, behind entry points, in a user's file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from harness.errors import PluginError
from harness.method import Method
from harness.task import Task

Plugin = TypeVar("Plugin", Task, Method)

ATTRIBUTES: Mapping[type, tuple[str, ...]] = {
    Task: ("name", "version", "family", "metric", "description", "source", "license"),
    Method: ("name", "description"),
}
"""What a class has to define of each."""


def discover(package: str, group: str, base: type[Plugin]) -> dict[str, Plugin]:
    """Those of a package that comes with Tuneoff, a module at a time, and of an entry-point group, by name.

    Raises:
        PluginError: An entry point cannot be imported, breaks the contract or takes a name that there is.
    """
    found: dict[str, Plugin] = {}
    root = importlib.import_module(package) if "." in package else _beside_this(package)
    for info in sorted(pkgutil.iter_modules(root.__path__), key=lambda info: info.name):
        for plugin in _plugins(importlib.import_module(f"{package}.{info.name}"), base):
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
        _check(plugin_class, base, f"entry point {entry.value!r}")
        if plugin_class.name in found:
            raise PluginError(f"entry point {entry.value!r} redefines the name {plugin_class.name!r}")
        found[plugin_class.name] = plugin_class()
    return found


def from_module(reference: str, base: type[Plugin]) -> Plugin:
    """The class that `package.module:Class` names.

    Raises:
        PluginError: The module cannot be imported, has no such class, or the class breaks the contract.
    """
    module, _, name = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # whatever the module does when it is imported
        raise PluginError(
            f"{reference}: cannot import {module!r}: {type(error).__name__}: {error}"
        ) from error
    if not inspect.isclass(found) or not issubclass(found, base):
        raise PluginError(f"{reference}: {module!r} has no {base.__name__} class {name!r}")
    _check(found, base, reference)
    return found()


def from_file(path: str, base: type[Plugin]) -> list[Plugin]:
    """All that a user's file defines.

    Raises:
        PluginError: There is no such file, it cannot be imported, or a class of it breaks the contract.
    """
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
    return _plugins(module, base)


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


def _plugins(module: ModuleType, base: type[Plugin]) -> list[Plugin]:
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
            _check(value, base, module.__file__ or module.__name__)
            found.append(value())
    return found


def _check(plugin: type, base: type[Plugin], where: str) -> None:
    missing = [name for name in ATTRIBUTES[base] if not hasattr(plugin, name)]
    if missing:
        raise PluginError(f"{where}: class {plugin.__name__} lacks {', '.join(missing)}")
