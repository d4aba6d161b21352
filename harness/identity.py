"""The identity of a result, as a file may hold it: checked, and an older one as it would be written now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from harness.typed import check

WHOLE: dict[str, Any] = {
    **dict.fromkeys(("budget", "recipe", "model", "method_config"), Mapping[str, Any] | None),
    "learning_rates": tuple[float, ...] | None,
}
BUDGET: dict[str, Any] = {
    **dict.fromkeys(("epochs", "train_examples", "train_seconds", "trials"), int | None),
    "match": str | None,
}
MODEL: dict[str, Any] = {"trust": tuple[str, ...] | None}
"""What is read of the three mappings, which are otherwise free."""

SHARED = ("model", "data", "chat_template", "engine", "recipe", "budget")
"""Parts in which all results of a folder are alike: a report averages over its tasks."""
SHARED_BY_TASK = ("task_version", "task_hash", "task_code", "device", "versions")
"""Parts in which all results of a task are alike as well."""
BESIDE_SCORES = ("name", "timeout_seconds", "checkpoints", "merge_prompts")
"""Fields of a budget that no test score depends on: what it is called, a limit for what hangs, and what is
measured beside the task."""
OF_THE_SOURCE = ("source", "trust")
"""Fields of a model that say where it came from."""

ADDED_TO_BUDGET = {"checkpoints": 0, "merge_prompts": 0, "match": "examples", "train_seconds": None}
"""Fields that older budgets did without, and the values that say so."""


def check_identity(identity: Mapping[str, Any]) -> None:
    """Check what reports and comparisons read of an identity.

    Raises:
        ValueError: An entry is of another type.
    """
    check(identity, WHOLE, "identity")
    check(identity.get("budget") or {}, BUDGET, "identity.budget")
    check(identity.get("model") or {}, MODEL, "identity.model")


def mixed(identities: Iterable[Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    """In which of these parts identities differ.

    Of a budget counts what scores depend on, and a model is its weights, whatever they are called. Older
    results lack some parts; what is not known differs from nothing.
    """
    known = list(identities)
    return [name for name in names if len({_text(name, one[name]) for one in known if name in one}) > 1]


def _text(name: str, part: Any) -> str:
    left_out = {"budget": BESIDE_SCORES, "model": OF_THE_SOURCE}.get(name, ())
    if isinstance(part, Mapping):
        part = {field: value for field, value in part.items() if field not in left_out}
    return json.dumps(part, sort_keys=True)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they are read back from JSON: tuples become lists, whole numbers as keys text."""
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found


def upgraded(identity: Any) -> Any:
    """An identity with the fields that its budget lacks; whatever is none is left as it is."""
    budget = identity.get("budget") if isinstance(identity, dict) else None
    return {**identity, "budget": {**ADDED_TO_BUDGET, **budget}} if isinstance(budget, dict) else identity
