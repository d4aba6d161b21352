"""From specifications to examples: chooses them, splits them, and words each one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

from harness.task import Example, Splits
from tasks.function_completion import families, hidden, tables
from tasks.function_completion.families import Spec

INSTRUCTION = "Complete the Python function.\n\n"

_SEED = 20_240_607
_ATTEMPTS = 8
_DEV_SPECS, _TEST_SPECS, _TRAIN_DRAFTS = 200, 400, 3
# Specifications a family contributes. Folds are the bulk because they compose the most parts.
_QUOTAS: tuple[tuple[Callable[[], Iterator[Spec]], int], ...] = (
    (families.simple_folds, 330),
    (families.full_folds, 260),
    (families.double_filters, 90),
    (families.branches, 110),
    (families.grades, 70),
    (families.chains, 110),
    (tables.builders, 120),
    (tables.selections, 70),
    (tables.choices, 90),
    (tables.pairs, 90),
)

Row = dict[str, str]


def build() -> Splits:
    """All examples. A specification stands in one split only; train holds several drafts of each."""
    rng = Random(_SEED)
    chosen: list[tuple[Spec, Row]] = []
    for family, quota in _QUOTAS:
        specs = list(family())
        rng.shuffle(specs)
        usable = ((spec, row) for spec in specs if (row := _row(spec, rng)))
        chosen.extend(islice(usable, quota))
    rng.shuffle(chosen)
    test, rest = chosen[:_TEST_SPECS], chosen[_TEST_SPECS:]
    dev, train = rest[:_DEV_SPECS], rest[_DEV_SPECS:]
    varied = [(spec, row) for spec, first in train for row in _variants(spec, first, rng)]
    return Splits(train=_examples("train", varied), dev=_examples("dev", dev), test=_examples("test", test))


def _examples(split: str, rows: list[tuple[Spec, Row]]) -> tuple[Example, ...]:
    return tuple(
        Example(id=f"{split}-{place:04d}", group=spec.key, data=row) for place, (spec, row) in enumerate(rows)
    )


def _variants(spec: Spec, first: Row, rng: Random) -> list[Row]:
    rows = {first["prompt"]: first}
    for _ in range(_ATTEMPTS):
        if len(rows) < _TRAIN_DRAFTS and (row := _row(spec, rng)):
            rows.setdefault(row["prompt"], row)
    return list(rows.values())


def _row(spec: Spec, rng: Random) -> Row | None:
    """One draft with its tests, or None where none could be told from a trivial function."""
    for _ in range(2):  # other constants may do where the first do not
        draft = spec.draft(rng)
        found = hidden.examples(draft, rng)
        if found:
            tests, (call, value) = found
            shown = f">>> {draft.name}({', '.join(map(repr, call))})\n    {value!r}"
            return {
                "prompt": f'{INSTRUCTION}{draft.header}    """{draft.doc}\n\n    {shown}\n    """\n',
                "body": draft.body,
                "name": draft.name,
                "calls": repr([call for call, _ in tests]),
                "expected": repr([value for _, value in tests]),
                "level": str(spec.level),
            }
    return None
