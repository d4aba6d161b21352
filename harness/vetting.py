"""What a model folder may hold, looked at before a library opens it: no way out of it, no code, no pickle.

Standard library only. What the libraries themselves refuse, such as damaged weights, is left to them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import ModelError

PICKLE, REMOTE_CODE = "pickle", "remote-code"
"""What `--trust-pickle` and `--trust-remote-code` allow."""

FILES = (
    "*.safetensors",
    "config.json",
    "tokenizer*",
    "generation_config.json",
    "*.model",
    "vocab*",
    "*.jinja",
    "*.index.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "additional_chat_templates/*.jinja",
)
"""All that is read of a model, and that its fingerprint covers."""

UNREAD = ("*/*.safetensors",)
"""Of the hub's files, where a pattern's star crosses folders: checkpoints beside the model."""

TRUSTED_FILES = {PICKLE: ("pytorch_model*.bin",), REMOTE_CODE: ("**/*.py",)}
"""What is read besides where the user asked for it."""

MAX_CONFIG = 50_000_000
"""Bytes of the longest configuration or index that is read."""

COUNT = re.compile(r"n_layers?|depth|(\w+_)?num_(\w+_)?(layers|blocks|experts)|\w+_layers")
MAX_COUNT = 4096
"""Layers or experts: each costs time and memory before the first weight is looked at."""


def vet(folder: Path, trust: Collection[str]) -> tuple[str, ...]:
    """Check a model folder; which of `trust` it needs.

    Args:
        folder: Holds config.json and weights.
        trust: Of `PICKLE` and `REMOTE_CODE`, what the user allows.

    Raises:
        ModelError: It lacks something, needs trust that was not given, or names files that are not its own.
    """
    weights = _weights(folder, trust)
    root = folder.resolve()
    # In the hub's cache a snapshot's files are links to its blobs.
    homes = [root, *([root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [])]
    for path in files(folder, trust):
        if not any(path.resolve().is_relative_to(home) for home in homes):
            raise ModelError(
                f"{path} leads out of its folder, to {path.resolve()}; copy the file there instead"
            )
    if (folder / "adapter_config.json").exists():
        raise ModelError(f"{folder} holds an adapter (adapter_config.json); --model takes whole models only")
    config = read_object(folder / "config.json")
    _check_config(folder, config)
    tokenizer = (
        read_object(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    )
    _check_names(folder, "tokenizer_config.json", tokenizer.get("fast_tokenizer_files") or [])
    for index in sorted(folder.glob("*.index.json")):
        shards = read_object(index).get("weight_map")
        if not isinstance(shards, dict):
            raise ModelError(f"cannot read {index}: it has no weight_map")
        _check_names(folder, index.name, shards.values())
    own_code = [name for part in (config, tokenizer) for name in _classes(part.get("auto_map"))]
    if any("--" in name for name in own_code) and REMOTE_CODE in trust:
        raise ModelError(f"{folder} takes its code from another repository; put that code into the folder")
    return (*weights, *([REMOTE_CODE] if own_code and REMOTE_CODE in trust else []))


def files(folder: Path, trust: Collection[str]) -> list[Path]:
    """The files of a model that are read, in the order of their names."""
    patterns = [*FILES, *(pattern for what in trust for pattern in TRUSTED_FILES[what])]
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def _weights(folder: Path, trust: Collection[str]) -> tuple[str, ...]:
    """Whether the weights are a pickle, as a tuple."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; --model takes a folder, a hub id or 'embedded'")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model folder: it needs config.json and *.safetensors files")
    if any(path.is_file() for path in folder.glob("*.safetensors")):
        return ()
    if PICKLE not in trust:
        raise ModelError(
            f"{folder} is not a model folder that can be trusted: it needs *.safetensors files. Weights in "
            "pytorch_model.bin are a pickle, which can run code; --trust-pickle loads them all the same"
        )
    if not any(folder.glob("pytorch_model*.bin")):
        raise ModelError(f"{folder} has neither *.safetensors nor pytorch_model.bin files")
    return (PICKLE,)


def read_object(path: Path, *, longest: int = MAX_CONFIG) -> Mapping[str, Any]:
    """What a JSON file holds.

    Raises:
        ModelError: It cannot be read, is longer than `longest` bytes, or holds something else than an object.
    """
    try:
        if path.stat().st_size > longest:
            raise ModelError(f"cannot read {path}: it is longer than {longest:,} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ModelError(f"cannot read {path}: it is nested too deeply") from error
    except (OSError, ValueError) as error:  # the latter also for an integer with too many digits
        raise ModelError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"cannot read {path}: it is not a JSON object")
    return found


def _check_config(folder: Path, config: Mapping[str, Any]) -> None:
    for name, value in _entries(config):
        if COUNT.fullmatch(name) and isinstance(value, int | float) and not 0 <= value <= MAX_COUNT:
            raise ModelError(f"{folder / 'config.json'}: {name} is {value!r:.40}; allowed: 0 to {MAX_COUNT}")
        if name.endswith("_implementation") and "/" in str(value):
            raise ModelError(f"{folder / 'config.json'}: {name} names code on the hub, {value!r:.80}")
    if "transformers_weights" in config:
        _check_names(folder, "config.json", [config["transformers_weights"]])


def _check_names(folder: Path, where: str, names: object) -> None:
    if not isinstance(names, Collection) or isinstance(names, str):
        raise ModelError(f"{folder / where} holds {names!r:.120} where names of files belong")
    for name in set(map(str, names)):
        if not re.fullmatch(r"[^/\\\0]+", name) or not (folder / name).is_file():
            raise ModelError(f"{folder / where} names {name!r:.120}, which is no file of the folder")


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Every key at any depth with its value."""
    rest: list[object] = [config]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            yield from value.items()
            rest += value.values()
        elif isinstance(value, list):
            rest += value


def _classes(auto_map: object) -> list[str]:
    """The classes that an auto_map names: by role, alone or in pairs, or as one pair."""
    rest, found = [auto_map], list[str]()
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict | list):
            rest += value.values() if isinstance(value, dict) else value
    return found
