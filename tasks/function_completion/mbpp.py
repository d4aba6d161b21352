"""The hub twin of function completion: MBPP, basic programming problems written by people.

Source: `google-research-datasets/mbpp`, configuration "full" (Austin et al. 2021, CC-BY-4.0), with its own
splits: 374 problems to train on, 90 for development, 500 to test on. A problem has a sentence, a solution
and three asserts. Here it reads as the other tasks of this family do::

    prompt    Complete the Python function.

              import heapq as hq

              def heap_queue_largest(nums,n):
                  \"\"\"Write a function to find the largest integers from a given list of numbers ...

                  >>> heap_queue_largest([25, 35, 22, 85, 14, 65, 75, 22, 58], 3)
                  [85, 75, 65]
                  \"\"\"
    body          largest_nums = hq.nlargest(n, nums)
                  return largest_nums

The example in the docstring is the first assert, as the published prompts show the asserts too; all of them
are run. Left out: problems with an assert that is not ``function(literals) == literal`` (tolerances, sets of
results, complex numbers) or with code to set up, whose solution is more than imports and one function, and
problems of train or dev whose sentence or function name is in test, or for train in dev. In the first 28
problems of the file these are three, all for helpers. The solutions are not run while loading.
"""

from __future__ import annotations

import ast
import hashlib
import re
import textwrap
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from harness.sandbox import run_function
from harness.task import Example, Splits, Task
from tasks.function_completion.answer import PLAIN_ANSWER, parses, program, with_plain_answer
from tasks.function_completion.generator import INSTRUCTION

PATH = "google-research-datasets/mbpp"
# The commit that many public evaluations pin; it was not fetched when this was written.
REVISION = "4bb6404fdc6cacfda99d4ac4205087b89d32030c"


class Mbpp(Task):
    """Python functions from one sentence and an example, judged by MBPP's asserts in a separate process."""

    name: ClassVar[str] = "mbpp"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "code"
    metric: ClassVar[str] = "pass@1"
    labels: ClassVar[tuple[str, ...] | None] = None
    description: ClassVar[str] = (
        "complete a Python function of MBPP, judged by its asserts; read from the hub"
    )
    source: ClassVar[str] = f"hub data set {PATH}, full, revision {REVISION[:10]}"
    license: ClassVar[str] = "CC-BY-4.0"

    def __init__(self, path: str = PATH) -> None:
        """Read from `path`: a hub data set, or a folder laid out like one."""
        self.path = path

    def load(self) -> Splits:
        """Read the three published splits."""
        from datasets import load_dataset

        data = load_dataset(self.path, "full", revision=REVISION)
        seen: set[str] = set()
        pools: dict[str, tuple[Example, ...]] = {}
        for split, published in (("test", "test"), ("dev", "validation"), ("train", "train")):
            rows = [example for row in data[published] if (example := _example(row)) is not None]
            fresh = [e for e in rows if e.data["name"].lower() not in seen and e.group not in seen]
            seen |= {text for e in rows for text in (e.data["name"].lower(), e.group)}
            pools[split] = tuple(sorted(fresh, key=lambda e: hashlib.sha256(e.id.encode()).hexdigest()))
        return Splits(**pools)

    def prompt(self, example: Example) -> str:
        """Imports, the signature, and a docstring with the sentence and one example."""
        return example.data["prompt"]

    def target(self, example: Example) -> str:
        """A line break and the body, indented by four spaces."""
        return "\n" + example.data["body"]

    def score(self, example: Example, output: str) -> float:
        """1.0 if every call gives what its assert says, compared with == as there, else 0.0."""
        written = _source(example, output)
        if written is None:
            return 0.0
        source = with_plain_answer(written, example.data["name"])
        outcomes = run_function(source, PLAIN_ANSWER, ast.literal_eval(example.data["calls"]))
        pairs = zip(outcomes, ast.literal_eval(example.data["expected"]), strict=True)
        return float(all(outcome.error is None and outcome.value == value for outcome, value in pairs))

    def readable(self, example: Example, output: str) -> bool:
        """Whether the output makes a function that parses."""
        return parses(_source(example, output))


def _source(example: Example, output: str) -> str | None:
    """What stands before the function in the prompt, and the function."""
    name, code = example.data["name"], example.data["prompt"].removeprefix(INSTRUCTION) + "\n"
    start = re.search(rf"^def {name}\b", code, re.MULTILINE)
    assert start is not None, f"the prompt of {example.id!r} defines no {name}"
    answer = program(code[start.start() :], name, output)
    return None if answer is None else code[: start.start()] + answer


def _example(row: Mapping[str, Any]) -> Example | None:
    """The problem, or None where it is left out."""
    sentence = " ".join(row["text"].split())
    tests = [_test(line.strip()) for line in row["test_list"]]
    parts = _parts(row["code"].replace("\r\n", "\n"))
    if parts is None or row["test_setup_code"].strip() or re.search(r'["\\]', sentence):
        return None
    before, name, signature, body = parts
    kept = [test for test in tests if test is not None and test[0] == name]
    if len(kept) < len(tests) or not kept:
        return None
    _, arguments, value = kept[0]
    shown = f"    >>> {name}({arguments})\n    {value}"
    data = {
        "prompt": f'{INSTRUCTION}{before}{signature}\n    """{sentence}\n\n{shown}\n    """',
        "body": body,
        "name": name,
        "calls": f"[{', '.join(f'({call},)' if call else '()' for _, call, _ in kept)}]",
        "expected": f"[{', '.join(value for _, _, value in kept)}]",
    }
    words = " ".join(re.findall(r"\w+", sentence.lower()))
    return Example(id=f"mbpp/{row['task_id']}", group=words, data=data)


def _test(line: str) -> tuple[str, str, str] | None:
    """Function, arguments and result of an assert, each as source; None where it is not of that form."""
    try:
        statements = ast.parse(line).body
    except SyntaxError:
        return None
    match statements:
        case [
            ast.Assert(
                test=ast.Compare(
                    left=ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]),
                    ops=[ast.Eq()],
                    comparators=[value],
                )
            )
        ] if all(map(_is_plain, (*arguments, value))):
            sources = [ast.get_source_segment(line, node) or "" for node in (*arguments, value)]
            return name, ", ".join(sources[:-1]), sources[-1]
    return None


def _is_plain(node: ast.expr) -> bool:
    """Whether the expression is a literal that the sandbox can carry, which a complex number is not."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    constants = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return all(value is None or isinstance(value, int | float | str | bytes) for value in constants)


def _parts(code: str) -> tuple[str, str, str, str] | None:
    """Imports, name, signature and body of a program that is imports and one function, else None."""
    code = re.sub(r"^\t+", lambda tabs: "    " * len(tabs[0]), code, flags=re.MULTILINE)
    lines = ["" if line.startswith("#") else line.rstrip() for line in code.split("\n")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings
            *before, function = ast.parse("\n".join(lines)).body or [ast.Pass()]
            if not isinstance(function, ast.FunctionDef) or function.decorator_list:
                return None
            start = function.body[0].lineno - 1
            signature = "\n".join(filter(None, lines[function.lineno - 1 : start]))
            body = "\n".join(filter(None, lines[start : function.end_lineno]))
            body = textwrap.indent(textwrap.dedent(body), "    ")
            ast.parse(f"{signature}\n    pass\n{body}")
    except SyntaxError:
        return None
    if not signature or not all(isinstance(step, ast.Import | ast.ImportFrom) for step in before):
        return None
    imports = "".join(ast.unparse(step) + "\n" for step in before)
    return imports and f"{imports}\n", function.name, signature, body
