"""What must agree before scores compare, and what may differ and is then named as the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.identity import BESIDE_SCORES, OF_THE_SOURCE
from harness.regression.outcome import Outcome

MUST_AGREE = ("task_version", "task_hash", "data", "chat_template", "model", "budget")
"""Parts of a cell's identity without which two scores answer different questions."""
BY_SEED = ("precision",)
"""The same, where seeds of one side may differ: each ran where it is fast."""
MAY_DIFFER = (
    "method_config", "learning_rates", "shots", "recipe", "tuning", "engine", "device", "machine", "versions",
)  # fmt: skip
"""Parts that a change may be about: compared all the same, and shown."""
HARMLESS = (
    *(f"budget.{field}" for field in BESIDE_SCORES), *(f"model.{field}" for field in OF_THE_SOURCE)
)  # fmt: skip
"""Fields that determine nothing: a model is its weights, whatever they are called."""
ABSENT = "absent"


def obstacles(baseline: Mapping[int, Outcome], candidate: Mapping[int, Outcome]) -> list[str]:
    """Fields that must agree between the two sides of one cell and do not, each with its values.

    Args:
        baseline: One side's outcomes by seed.
        candidate: The other's. Where its seeds are others, no two are compared alone, and all must agree.
    """
    everything = [*baseline.values(), *candidate.values()]
    same = baseline.keys() == candidate.keys()
    together = [[baseline[seed], candidate[seed]] for seed in baseline] if same else [everything]
    by_seed = [found for outcomes in together for found in _differences(outcomes, BY_SEED)]
    return list(dict.fromkeys([*_differences(everything, MUST_AGREE), *by_seed]))


def changes(outcomes: Iterable[Outcome]) -> list[str]:
    """Fields that may differ and do, each with its values."""
    return _differences(list(outcomes), MAY_DIFFER)


def _differences(outcomes: list[Outcome], parts: tuple[str, ...]) -> list[str]:
    flat = [_flat({part: one.identity.get(part) for part in parts}) for one in outcomes]
    found = []
    for name in dict.fromkeys(name for fields in flat for name in fields):
        values = list(dict.fromkeys(repr(fields.get(name, ABSENT)) for fields in flat))
        if len(values) > 1 and name not in HARMLESS:
            shown = [
                value.strip("'") if len(value) <= 40 else f"{value.strip(chr(39))[:12]}..."
                for value in values
            ]
            found.append(f"{name}: {' -> '.join(shown)}")
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
