"""What it takes to get the same results again: the command, the machine, and every setting."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.report import details, table, words
from harness.result import Result
from harness.text import printable
from harness.vetting import PICKLE, REMOTE_CODE

MACHINE = {
    "fingerprint": "machine",
    "device": "device_name",
    "precision": "precision",
    "cores": "cores",
    "memory": "memory_bytes",
    "GPU memory": "gpu_memory_bytes",
    "platform": "platform",
    "sandbox": "sandbox",
    "commit": "commit",
}
"""What a machine's figures are called in the report, and in a result's environment."""
UNTRIED = (
    "No learning rate was tried on these tasks: each method trained at its default or at the one it was "
    "given, and another may suit it better; a budget with trials, such as `standard`, chooses on dev."
)


def lead(results: Sequence[Result]) -> str:
    """One sentence on what was run."""
    statuses = [cell.status for cell in results]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses)))
    return (
        f"Base model {_either(_identified(results, 'model', 'source'))} under the budget "
        f"{_either(_identified(results, 'budget', 'name'))}{_alike(results)} "
        f"on {_either(_around(results, 'device_name'))} "
        f"in {_either(_around(results, 'precision'))}: {_count({cell.task for cell in results}, 'task')}, "
        f"{_count({cell.method for cell in results}, 'method')}, {_count(results, 'cell')} ({counts})."
    )


def kind(results: Sequence[Result]) -> str:
    """What the budget makes the same for every method, in a sentence or two."""
    stream = "All read the same batches in the same order, pass after pass, and stop at different ones."
    said = {
        "examples": "All methods train on the same examples, in the same order and equally often.",
        "seconds": f"All methods train for {_seconds(results)} of the train clock and finish the step that "
        f"they are in then. {stream}",
        "flops": "All methods train for the operations that full fine-tuning spends on the budget's "
        f"examples, to the nearest step. {stream}",
    }
    matches = [said[match] for match in _identified(results, "budget", "match") if match in said]
    trained = [cell for cell in results if cell.train and cell.identity.get("budget")]
    untried = trained and all(cell.identity["budget"].get("trials") == 1 for cell in trained)
    return " ".join([*matches, *([UNTRIED] if untried else [])])


def commands(results: Sequence[Result], tasks: Sequence[str], methods: Sequence[str]) -> list[str]:
    """The command lines that run these cells: one for all tasks that ran alike.

    Args:
        results: The cells.
        tasks: Names of their tasks, in the order to run them in.
        methods: Likewise of their methods.
    """
    alike: dict[tuple[tuple[str, ...], int], list[str]] = {}
    for task in tasks:
        own = [cell for cell in results if cell.task == task]
        ran = {cell.method for cell in own}
        seeds = 1 + max(cell.seed for cell in own)
        alike.setdefault((tuple(name for name in methods if name in ran), seeds), []).append(task)
    return [_command(results, named, ran, seeds) for (ran, seeds), named in alike.items()]


def _command(results: Sequence[Result], tasks: Sequence[str], methods: Sequence[str], seeds: int) -> str:
    """One line whatever the names hold."""
    budgets, models = _identified(results, "budget", "name"), _identified(results, "model", "source")
    parts = ["python -m harness run", f"--tasks {_argument(tasks)}", f"--methods {_argument(methods)}"]
    parts += [f"--budget {_argument(budgets[:1])}"] if budgets else []
    parts += [f"--match {_argument([match])}"] if (match := _matched(results)) else []
    parts += [f"--seeds {seeds}"]
    parts += [f"--model {_argument(models[:1])}"] if models else []
    parts += ["--data hub"] if _known_of(results, "data") == ["hub"] else []
    trust = {name for cell in results for name in (cell.identity.get("model") or {}).get("trust") or ()}
    parts += [f"--trust-{name}" for name in (PICKLE, REMOTE_CODE) if name in trust]
    parts += [f"--device {_argument(devices[:1])}"] if (devices := _known_of(results, "device")) else []
    parts += ["--engine plain"] if _known_of(results, "engine") == ["plain"] else []
    parts += ["--chat-template"] if any(cell.identity.get("chat_template") for cell in results) else []
    return " ".join(parts)


def settings(results: Sequence[Result], methods: Sequence[str]) -> list[str]:
    """Tables of the machine, the budget, the training recipe, the methods and the generation."""
    generation: dict[str, list[str]] = {}
    for cell in results:
        if cell.generation:
            tasks = generation.setdefault(words.settings(cell.generation), [])
            tasks += [words.code(cell.task)] * (words.code(cell.task) not in tasks)
    budget, recipe = _group(results, "budget"), _group(results, "recipe")
    frames = [
        table.pairs_table(_machine(results), ("machine", "value")),
        table.pairs_table(budget, ("budget", "value")) if budget else None,
        table.pairs_table(recipe, ("training recipe", "value")) if recipe else None,
        table.methods_table(results, methods),
        table.pairs_table(
            {values: ", ".join(tasks) for values, tasks in generation.items()},
            ("generation settings", "tasks"),
        )
        if generation
        else None,
    ]
    return [table.markdown(frame, figures=False) for frame in frames if frame is not None]


def _seconds(results: Sequence[Result]) -> str:
    return " or ".join(words.seconds(value) for value in _identified(results, "budget", "train_seconds"))


def _alike(results: Sequence[Result]) -> str:
    """What the budget matches, where it is not the usual."""
    said = {"seconds": f", {_seconds(results)} of training for every method,",
            "flops": ", equal operations for every method,"}  # fmt: skip
    return "".join(said.get(match, "") for match in _identified(results, "budget", "match"))


def _matched(results: Sequence[Result]) -> str | None:
    """The argument of `--match`, None where it is the default."""
    for match in _identified(results, "budget", "match"):
        seconds = _identified(results, "budget", "train_seconds")
        return None if match == "examples" else f"{match}={seconds[0]}" if seconds else str(match)
    return None


def _machine(results: Sequence[Result]) -> dict[str, str]:
    found = {}
    for name, key in MACHINE.items():
        values = _around(results, key)
        found[name] = _either(_known(map(words.gigabytes, values)) if "bytes" in key else values)
    for kind in details.PASSAGES:
        passages = [(cell.retention or {}).get(kind) for cell in results]
        if hashes := _known(one.sha256 for one in passages if one):
            found[f"passages of {kind}, SHA-256"] = _either(hashes)
    found["model SHA-256"] = _either(_identified(results, "model", "sha256"))
    found["data"] = _either(_known_of(results, "data"))
    found["chat template SHA-256"] = _either(_known_of(results, "chat_template"))
    versions: list[Mapping[str, Any]] = [cell.environment.get("versions") or {} for cell in results]
    for package in dict.fromkeys(package for one in versions for package in one):
        found[words.code(package)] = _either(_known(one.get(package) for one in versions))
    return found


def _group(results: Sequence[Result], group: str) -> dict[str, str]:
    """All fields of one part of the identities, with every value that occurs."""
    parts = [cell.identity.get(group) or {} for cell in results]
    fields = dict.fromkeys(field for part in parts for field in part)
    return {words.code(field): _either(_known(part.get(field) for part in parts)) for field in fields}


def _identified(results: Sequence[Result], group: str, name: str) -> list[Any]:
    return _known((cell.identity.get(group) or {}).get(name) for cell in results)


def _known_of(results: Sequence[Result], name: str) -> list[Any]:
    return _known(cell.identity.get(name) for cell in results)


def _around(results: Sequence[Result], name: str) -> list[Any]:
    return _known(cell.environment.get(name) for cell in results)


def _known(values: Iterable[Any]) -> list[Any]:
    """The different values, without None; they may be lists."""
    found: list[Any] = []
    for value in values:
        if value is not None and value not in found:
            found.append(value)
    return found


def _either(values: Sequence[Any]) -> str:
    return " or ".join(words.code(value) for value in values) or words.ABSENT


def _argument(values: Sequence[str]) -> str:
    return shlex.quote(",".join(printable(value)[: words.LONGEST] for value in values))


def _count(things: Sequence[object] | set[str], noun: str) -> str:
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")
