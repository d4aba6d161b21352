"""The identity of a result, as a file may hold it: checked, and an older one as it would be written now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.typed import check

WHOLE: dict[str, Any] = {
    **dict.fromkeys(("budget", "recipe", "model", "method_config"), Mapping[str, Any] | None),
    "learning_rates": tuple[float, ...] | None,
}
BUDGET: dict[str, Any] = {
    **dict.fromkeys(("epochs", "train_examples", "train_seconds"), int | None),
    "match": str | None,
}
MODEL: dict[str, Any] = {"trust": tuple[str, ...] | None}
"""What is read of the three mappings, which are otherwise free."""

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


def upgraded(identity: Any) -> Any:
    """An identity with the fields that its budget lacks; whatever is none is left as it is."""
    budget = identity.get("budget") if isinstance(identity, dict) else None
    return {**identity, "budget": {**ADDED_TO_BUDGET, **budget}} if isinstance(budget, dict) else identity
