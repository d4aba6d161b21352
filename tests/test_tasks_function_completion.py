import ast
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.sandbox import same
from harness.task import Example, Splits, task_hash
from tasks.function_completion import FunctionCompletion, mbpp
from tasks.function_completion.answer import PLAIN_ANSWER, program, with_plain_answer
from tasks.function_completion.generator import INSTRUCTION
from tasks.function_completion.mbpp import Mbpp
from tasks.function_completion.parts import singular
from tests.conftest import Pool

TASK = FunctionCompletion()
HASH = "34a40aec95d6c33d70adaf89a719ccdbc045fbd90b5b0868ad6f1dd267a32375"


@pytest.fixture(scope="module")
def splits(pool: Pool) -> Splits:
    return pool(TASK.name)[1]


def sample(splits: Splits, each: int) -> list[Example]:
    """Evenly spaced items of every split, which leaves out no family."""
    return [e for _, split in splits.items() for e in split[:: max(1, len(split) // each)][:each]]


def scores(pairs: list[tuple[Example, str]]) -> list[float]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda pair: TASK.score(*pair), pairs))


def function(example: Example, body: str):
    scope: dict = {}
    exec(TASK.prompt(example).removeprefix(INSTRUCTION) + body, scope)
    return scope[example.data["name"]]


def test_hash_is_pinned(splits):
    assert task_hash(TASK, splits) == HASH


def test_sizes(splits):
    assert len(splits.train) >= 2000
    assert len(splits.dev) == 200
    assert len(splits.test) == 400
    assert len({e.group for e in splits.train}) >= 700
    assert len({e.group for e in splits.test}) == 400
    assert len({e.group for e in splits.dev}) == 200


def test_groups_and_prompts_are_disjoint(splits):
    groups = [{e.group for e in split} for _, split in splits.items()]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    prompts = Counter(TASK.prompt(e) for _, split in splits.items() for e in split)
    assert prompts.most_common(1)[0][1] == 1


def test_no_test_body_was_trained_on_under_other_names(splits):
    def shape(e: Example) -> str:
        body = e.data["body"]
        signature = re.search(r"def \w+\((.*)\):", e.data["prompt"])
        assert signature
        for place, name in enumerate(signature.group(1).split(", ")):
            body = re.sub(rf"\b{name}\b", f"argument{place}", body)
        return body

    trained = {shape(e) for e in splits.train}
    assert [e.group for e in (*splits.test, *splits.dev) if shape(e) in trained] == []


def test_levels_and_families_are_in_every_split(splits):
    for _, split in splits.items():
        assert {e.data["level"] for e in split} == {"1", "2", "3"}
        assert len({e.group.split("/")[0] for e in split}) >= 10


def test_load_is_the_same_under_another_hash_seed(splits):
    code = (
        "from harness.task import task_hash; from tasks.function_completion import FunctionCompletion as T;"
        "t = T(); s = t.load(); print(task_hash(t, s), [e.data for e in s.test[:50]])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == f"{task_hash(TASK, splits)} {[e.data for e in splits.test[:50]]}"


def test_gold_bodies_pass_their_hidden_tests_in_the_sandbox(splits):
    items = sample(splits, 20)
    assert len(items) >= 50
    results = scores([(e, TASK.target(e)) for e in items])
    assert [e.id for e, score in zip(items, results, strict=True) if score != 1.0] == []


@pytest.mark.usefixtures("unboxed")
def test_gold_bodies_pass_their_hidden_tests(splits):
    items = sample(splits, 60)
    assert len(items) >= 150
    assert [e.id for e in items if TASK.score(e, TASK.target(e)) != 1.0] == []


@pytest.mark.usefixtures("unboxed")
@pytest.mark.parametrize(
    "body", ["    return None", "    return 0", "    return {first}", "    return []", "    pass"]
)
def test_trivial_bodies_fail(splits, body):
    items = sample(splits, 14)
    firsts = [re.search(r"\((\w+)", TASK.prompt(e)) for e in items]
    pairs = [(e, body.format(first=m.group(1))) for e, m in zip(items, firsts, strict=True) if m]
    assert sum(TASK.score(*pair) for pair in pairs) == 0


def test_hidden_tests_tell_functions_from_constants_and_near_misses(splits):
    caught = tried = 0
    for example in splits.test:
        calls = ast.literal_eval(example.data["calls"])
        expected = ast.literal_eval(example.data["expected"])
        assert len(calls) == len(expected) == 10
        distinct = {repr(value) for value in expected}
        assert len(distinct) >= (2 if all(type(value) is bool for value in expected) else 3)
        for old, new in ((" > ", " >= "), (" < ", " <= "), (" % 2 == 0", " % 2 == 1"), ("sum(", "len(")):
            body = TASK.target(example)
            if old not in body:
                continue
            wrong = function(example, body.replace(old, new))
            tried += 1
            try:
                caught += not all(same(wrong(*c), v) for c, v in zip(calls, expected, strict=True))
            except TypeError:
                caught += 1
    assert tried > 100
    # The rest are equivalent programs, such as a sum over v > 0 and one over v >= 0.
    assert caught / tried > 0.9


def test_the_example_in_the_docstring_is_right_and_not_a_hidden_test(splits):
    for example in splits.test:
        shown = re.search(r">>> (.*)\n    (.*)\n", TASK.prompt(example))
        assert shown
        call = ast.parse(shown.group(1), mode="eval").body
        assert isinstance(call, ast.Call)
        arguments = tuple(ast.literal_eval(node) for node in call.args)
        assert same(function(example, TASK.target(example))(*arguments), ast.literal_eval(shown.group(2)))
        assert arguments not in ast.literal_eval(example.data["calls"])


def test_prompts_and_bodies_are_short(splits):
    for _, split in splits.items():
        for example in split:
            assert len(TASK.prompt(example)) < 450
            assert len(TASK.target(example)) < 220
            assert TASK.target(example).startswith("\n    ")
            assert not TASK.target(example).endswith("\n")


def test_empty_and_hopeless_outputs_score_zero(splits):
    example = splits.test[0]
    for output in ("", "\n\n", "   ", "I cannot do that.", "```python\n```", "```\n", "    return (", "\x00"):
        assert TASK.score(example, output) == 0.0, output


def wrappings(example: Example) -> dict[str, str]:
    body = TASK.target(example)
    whole = TASK.prompt(example).removeprefix(INSTRUCTION) + body
    bare = body.removeprefix("    ")
    return {
        "followed by another function": f"{body}\n\n\ndef other(x):\n    return 1 / 0",
        "followed by prose": f"{body}\n\nThis function is simple: `return 0`.",
        "followed by a closing fence": f"{body}\n```\nThat is it.",
        "followed by a fenced block": f"{body}\n\n```python\nprint(1)\n```",
        "followed by a wrong repetition": f"{body}\n\ndef {example.data['name']}(*args):\n    return 0",
        "first line without indentation": bare,
        "blank lines first": f"\n\n{body}",
        "windows line breaks": body.replace("\n", "\r\n"),
        "whole": whole,
        "whole and a test": f"{whole}\n\nassert False",
        "fenced whole": f"```python\n{whole}\n```",
        "fenced whole without a language": f"```\n{whole}\n```\nDone.",
        "prose and fenced whole": f"Here is the function:\n\n```python\n{whole}\n```\nIt returns the result.",
        "fenced whole with an import": f"```python\nimport math\n\n{whole}\n```",
        "fenced whole, cut short": f"```python\n{whole}",
        "fenced body": f"```python\n{body}\n```",
        "prose and fenced body": f"Sure!\n\n```py\n{body}\n```",
    }


def test_the_ways_models_wrap_an_answer_are_accepted(splits):
    one_line = next(e for e in splits.test if "\n" not in e.data["body"])
    several = next(e for e in splits.test if e.group.startswith("branch"))
    for example in (one_line, several):
        for what, output in wrappings(example).items():
            assert TASK.score(example, output) == 1.0, (what, output)


def test_a_body_ends_where_the_function_ends():
    header = 'def f(n):\n    """Doc."""\n'
    assert program(header, "f", "return n\nn = 3") == header + "    return n"
    assert program(header, "f", "    x = [\n        n,\n    ]\n\n    return x\nprint(1)") == (
        header + "    x = [\n        n,\n    ]\n\n    return x"
    )
    assert program(header, "f", "```\n```") is None
    fenced = program(header, "f", "```python\nx = n\nreturn x\n```")
    assert fenced == header + "    x = n\n    return x"


def test_a_program_that_exits_or_forges_does_not_score(splits):
    example = splits.test[0]
    assert TASK.score(example, "    import os\n    os._exit(0)") == 0.0
    forged = "    import os\n    for fd in range(64):\n        try:\n            os.write(fd, b'=1\\n')\n"
    assert TASK.score(example, forged + "        except OSError:\n            pass\n    os._exit(0)") == 0.0


def test_singular():
    assert singular("are even") == "is even"
    assert singular("are multiples of 3") == "is a multiple of 3"
    assert singular("do not contain the letter 'a'") == "does not contain the letter 'a'"
    assert singular("leave remainder 1 when divided by 3") == "leaves remainder 1 when divided by 3"
    assert singular("are even and are positive") == "is even and is positive"


def test_a_kind_of_dictionary_leaves_as_a_dictionary():
    scope: dict = {}
    source = "from collections import Counter\n\n\ndef f(x):\n    return Counter(x) if x else None"
    exec(with_plain_answer(source, "f"), scope)
    assert type(scope[PLAIN_ANSWER]("aab")) is dict
    assert scope[PLAIN_ANSWER]("aab") == {"a": 2, "b": 1}
    assert scope[PLAIN_ANSWER]("") is None


def problem(number: int, **changed) -> dict:
    """A row of the hub's data set, with its line breaks, tabs and trailing blanks."""
    row = {
        "task_id": number,
        "text": f"Write a function to find  root number {number}.",
        "code": f"import math\r\ndef root_{number}(x, n) : \r\n\tif n < 0: \r\n\t\treturn None\r\n"
        "# the rest\r\n\treturn math.isqrt(x) + n ",
        "test_list": [
            f"assert root_{number}(9, 1) == 4",
            f"assert root_{number}( 10,2)==(5) ",
            f"assert root_{number}(4, -1) == None",
        ],
        "test_setup_code": "",
        "challenge_test_list": [],
    }
    return row | changed


def test_a_problem_of_mbpp():
    example = mbpp._example(problem(7))
    assert example is not None
    task = Mbpp()
    assert task.prompt(example) == (
        INSTRUCTION + "import math\n\ndef root_7(x, n) :\n"
        '    """Write a function to find root number 7.\n\n    >>> root_7(9, 1)\n    4\n    """'
    )
    assert task.target(example) == "\n    if n < 0:\n        return None\n    return math.isqrt(x) + n"
    assert ast.literal_eval(example.data["calls"]) == [(9, 1), (10, 2), (4, -1)]
    assert ast.literal_eval(example.data["expected"]) == [4, 5, None]
    body = "    return math.isqrt(x) + n if n >= 0 else None"
    for output, score in (
        (task.target(example), 1.0),
        (body.replace("math.isqrt(x)", "float(math.isqrt(x))"), 1.0),  # the asserts compare with ==
        (f"```python\ndef root_7(x, n):\n{body}\n```\nDone.", 1.0),
        (body.replace("else None", "else 0"), 0.0),
        ("    return 4", 0.0),
        ("    return undefined", 0.0),
        ("", 0.0),
    ):
        assert task.score(example, output) == score, output


@pytest.mark.parametrize(
    "changed",
    [
        {"test_list": ["assert abs(root_1(9, 1) - 4) < 1"]},
        {"test_list": ["assert set(root_1(9, 1)) == {4}"]},
        {"test_list": ["assert root_1(9, 1) == 4j"]},
        {"test_list": ["assert root_1(9, n=1) == 4"]},
        {"test_list": ["assert root_1(9, 1) == 4", "assert other(9, 1) == 4"]},
        {"test_list": ["assert root_1(9, 1) == x"]},
        {"test_list": ["root_1(9, 1)"]},
        {"test_list": ["assert root_1(9, 1) =="]},
        {"test_list": []},
        {"test_setup_code": "x = 4"},
        {"text": 'Write a function named "root".'},
        {"code": "N = 1\ndef root_1(x, n):\n    return N"},
        {"code": "def helper(x):\n    return x\ndef root_1(x, n):\n    return helper(x)"},
        {"code": "def root_1(x, n): return x"},
        {"code": "def root_1(x, n):\n    return ("},
        {"code": ""},
    ],
)
def test_problems_of_mbpp_that_are_left_out(changed):
    assert mbpp._example(problem(1)) is not None
    assert mbpp._example(problem(1, **changed)) is None


@pytest.fixture
def offline(monkeypatch, tmp_path):
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("offline")
def test_mbpp_reads_a_folder_in_the_hubs_format(tmp_path):
    from datasets import Dataset

    rows = {
        "train": [problem(601), problem(602), problem(603, text=problem(11)["text"])],
        "test": [problem(11), problem(12), problem(13, test_setup_code="x = 1")],
        "validation": [
            problem(511),
            problem(512, code=problem(12)["code"], test_list=problem(12)["test_list"]),
        ],
        "prompt": [problem(2)],
    }
    card = "---\nconfigs:\n- config_name: full\n  data_files:\n"
    (tmp_path / "full").mkdir()
    for split, items in rows.items():
        file = f"full/{split}-00000-of-00001.parquet"
        card += f"  - split: {split}\n    path: {file}\n"
        Dataset.from_list([row | {"challenge_test_list": [""]} for row in items]).to_parquet(
            str(tmp_path / file)
        )
    (tmp_path / "README.md").write_text(card + "---\n", encoding="utf-8")
    task = Mbpp(str(tmp_path))
    found = task.load()
    assert task.load() == found
    ids = {name: sorted(e.id for e in examples) for name, examples in found.items()}
    # A sentence, and a function's name, that are in test are not in the other splits.
    assert ids == {
        "train": ["mbpp/601", "mbpp/602"],
        "dev": ["mbpp/511"],
        "test": ["mbpp/11", "mbpp/12"],
    }
    assert [task.score(e, task.target(e)) for e in found.test] == [1.0, 1.0]


def test_mbpp_is_the_twin():
    assert FunctionCompletion.hub_twin is Mbpp
    assert Mbpp.hub_twin is None
    assert len(mbpp.REVISION) == 40
