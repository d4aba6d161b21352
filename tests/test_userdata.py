"""Tasks from users' files: what is inferred, how records are split, and what is said of faulty lines."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import pytest

from harness import partition, records, userdata
from harness.conformance import task_checks
from harness.errors import UsageError
from harness.partition import MIN_SPLIT
from harness.task import Example, Task, task_hash
from harness.userdata import MIN_RECORDS, split_reference, task_from_file

HASH = "0e658827fbf8b5c92a293dbe3eb0186ccde7ac1085bd5fd0ca5fbf2cebb978b9"
SIZES = {"train": 314, "dev": 45, "test": 41}

TALE = "Once there was a number.\nIt was 7, and that was all."

Row = dict[str, object]


def pair(n: int) -> Row:
    return {"prompt": f"What is {n} + 1?", "completion": str(n + 1)}


def labelled(n: int) -> Row:
    return {"text": f"Review {n} of a hotel.", "label": ("bad", "fair", "good")[n % 3]}


def chat(n: int) -> Row:
    turns = [("system", "Be brief."), ("user", f"Name {n}."), ("assistant", f"It is called number {n} here.")]
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def fields(n: int) -> Row:
    return {"prompt": f"Item {n}, two pieces", "completion": json.dumps({"item": n, "pieces": 2})}


def tale(n: int) -> Row:
    return {
        "prompt": f"Tell tale {n}:",
        "completion": f"Once there was a number.\nIt was {n}, and that was all.",
    }


def recurring(n: int) -> Row:
    return {"prompt": f"Is {n} even?", "completion": ("yes", "no")[n % 2]}


def write(folder: Path, rows: Iterable[Row], name: str = "data.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def made(folder: Path, make: Callable[[int], Row], count: int = 300, **options: str) -> Task:
    return task_from_file(write(folder, map(make, range(count))), **options)


def everything(task: Task) -> list[Example]:
    return [example for _, examples in task.load().items() for example in examples]


def sides(task: Task) -> dict[str, str]:
    return {task.prompt(example): name for name, examples in task.load().items() for example in examples}


@pytest.mark.parametrize(
    ("make", "family", "metric", "labels", "description"),
    [
        (pair, "language", "exact_match", None,
         "300 records of prompt/completion, 1 words in the median completion: short, exact_match"),
        (labelled, "classification", "accuracy", ("bad", "fair", "good"),
         "300 records of text/label, 3 distinct labels: classification, accuracy"),
        (recurring, "classification", "accuracy", ("no", "yes"),
         "300 records of prompt/completion, 2 distinct completions: classification, accuracy"),
        (chat, "language", "rougeL", None,
         "300 records of messages, 6 words in the median completion: text, rougeL"),
        (fields, "structured", "field_f1", None,
         "300 records of prompt/completion, every completion a JSON object: json, field_f1"),
        (tale, "language", "rougeL", None,
         "300 records of prompt/completion, 12 words in the median completion: text, rougeL"),
    ],
)  # fmt: skip
def test_what_the_records_make(
    tmp_path: Path, make: Callable[[int], Row], family: str, metric: str, labels: object, description: str
) -> None:
    task = made(tmp_path, make)
    assert (task.family, task.metric, task.labels) == (family, metric, labels)
    assert task.description == description
    assert (task.name, task.version, task.license, task.hub_twin) == ("data", 1, "not stated", None)
    content = (tmp_path / "data.jsonl").read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    assert task.source == f"{tmp_path / 'data.jsonl'} (sha256 {digest}, 300 records)"
    assert [check.name for check in task_checks(task) if check.problem is not None] == []
    for example in everything(task):
        assert task.score(example, task.target(example)) == 1.0
        assert task.score(example, "") == 0.0
        assert task.naive(example) is None


def test_prompts_and_targets(tmp_path: Path) -> None:
    shown = {
        make.__name__: (task.prompt(example), task.target(example))
        for make in (pair, labelled, chat)
        for task in [made(tmp_path, make)]
        for example in everything(task)
        if task.prompt(example).startswith(("What is 7 ", "Text:\nReview 7 ", "Be brief.\n\nUser: Name 7."))
    }
    assert shown == {
        "pair": ("What is 7 + 1?", "8"),
        "labelled": ("Text:\nReview 7 of a hotel.\n\nLabel (bad, fair, good):", "fair"),
        "chat": ("Be brief.\n\nUser: Name 7.\nAssistant:", "It is called number 7 here."),
    }


def test_a_conversation_keeps_its_turns(tmp_path: Path) -> None:
    def turns(n: int) -> Row:
        said = [("user", " Hello "), ("assistant", "Hi"), ("user", f"{n}?"), ("assistant", f"{n}!")]
        return {"messages": [{"role": role, "content": content, "name": "x"} for role, content in said]}

    task = made(tmp_path, turns, 60)
    assert "User: Hello\nAssistant: Hi\nUser: 41?\nAssistant:" in sides(task)


def test_a_break_at_the_end_of_a_prompt_belongs_to_the_target(tmp_path: Path) -> None:
    task = made(tmp_path, lambda n: {"prompt": f"def f{n}():\n    ", "completion": f"return {n}\n"})
    for example in everything(task):
        assert task.prompt(example).endswith("():")
        assert task.target(example).startswith("\n    return ")
        assert task.score(example, task.target(example)) == 1.0
    spaced = made(tmp_path, lambda n: {"prompt": f"{n} + 1 = ", "completion": str(n + 1)})
    assert {spaced.prompt(e)[-1] + spaced.target(e)[0] for e in everything(spaced)} <= {
        f"={n}" for n in range(10)
    }


def test_many_labels_are_not_listed(tmp_path: Path) -> None:
    task = made(tmp_path, lambda n: {"text": f"t{n}", "label": f"label {n % 21:02}"})
    assert task.metric == "accuracy"
    assert all(prompt.endswith("\n\nLabel:") for prompt in sides(task))


@pytest.mark.parametrize(
    ("label", "labels"),
    [
        (lambda n: n % 3, ("0", "1", "2")),
        (lambda n: n % 2 == 0, ("false", "true")),
        (lambda n: ("a  b", "a b ", "c")[n % 3], ("a b", "c")),
    ],
)
def test_labels_become_text(tmp_path: Path, label: Callable[[int], object], labels: tuple[str, ...]) -> None:
    assert made(tmp_path, lambda n: {"text": str(n), "label": label(n)}).labels == labels


def test_labels_that_begin_others_are_generated(tmp_path: Path) -> None:
    task = made(tmp_path, lambda n: {"text": f"stars: {n}", "label": 1 + n % 10})
    assert (task.labels, task.metric) == (None, "exact_match")
    assert "the answer '1' begins another, '10'" in task.description
    assert all(prompt.endswith("\n\nLabel:") for prompt in sides(task))


def test_text_without_spaces_is_no_single_word(tmp_path: Path) -> None:
    task = made(tmp_path, lambda n: {"prompt": f"問{n}", "completion": f"今日は{n}時から雨が降るでしょう。"})
    assert task.metric == "rougeL"
    assert "words in the median completion" in task.description


@pytest.mark.parametrize("rare", [4, 5])
def test_completions_are_a_closed_set_only_if_each_recurs(tmp_path: Path, rare: int) -> None:
    def answer(n: int) -> Row:
        return {"prompt": f"p{n}", "completion": "rare" if n < rare else "often"}

    assert (made(tmp_path, answer).labels is None) is (rare < userdata.RECURS)


@pytest.mark.parametrize(
    ("make", "options", "metric", "description"),
    [
        (pair, {"kind": "text"}, "rougeL", ": text as set, rougeL"),
        (pair, {"metric": "rougeL"}, "rougeL", ": short, rougeL as set"),
        (tale, {"metric": "exact_match"}, "exact_match", ": text, exact_match as set"),
        (tale, {"kind": "short"}, "exact_match", ": short as set, exact_match"),
        (recurring, {"kind": "short", "metric": "rougeL"}, "rougeL", ": short as set, rougeL as set"),
        (recurring, {"metric": "exact_match"}, "exact_match", ": short, exact_match as set"),
        (fields, {"metric": "exact_match"}, "exact_match", ": json, exact_match as set"),
        (fields, {"kind": "text"}, "rougeL", ": text as set, rougeL"),
        (labelled, {"kind": "short"}, "exact_match", ": short as set, exact_match"),
    ],
)
def test_kind_and_metric_can_be_set(
    tmp_path: Path, make: Callable[[int], Row], options: dict[str, str], metric: str, description: str
) -> None:
    task = made(tmp_path, make, **options)
    assert (task.metric, task.labels) == (metric, None)
    assert task.description.endswith(description)
    for example in everything(task):
        assert task.score(example, task.target(example)) == 1.0


def test_a_classification_that_is_asked_for_may_have_rare_labels(tmp_path: Path) -> None:
    def answer(n: int) -> Row:
        return {"prompt": f"p{n}", "completion": "rare" if n < 1 else "often"}

    assert made(tmp_path, answer, kind="classification").labels == ("often", "rare")
    assert made(tmp_path, answer, metric="accuracy").labels == ("often", "rare")


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (pair, {"kind": "shrt"}, r"unknown kind of .*data\.jsonl 'shrt'; did you mean 'short'\? Allowed"),
        (pair, {"metric": "pass@1"}, r"unknown metric of .* 'pass@1'. Allowed: accuracy, exact_match, field"),
        (pair, {"kind": "json", "metric": "accuracy"}, "accuracy does not suit kind 'json'; allowed: f"),
        (pair, {"kind": "json"}, r"cannot be json: the completion of .*; possible: short, text"),
        (pair, {"metric": "field_f1"}, "cannot be json: the completion of line 1 is not a JSON object"),
        (pair, {"kind": "classification"}, "cannot be classification: 300 distinct answers"),
        (pair, {"metric": "accuracy"}, "cannot be classification: 300 distinct answers"),
        (lambda n: {"text": str(n), "label": n % 11}, {"kind": "classification"},
         "cannot be classification: the answer '1' begins another, '10'; possible: short, text"),
    ],
)  # fmt: skip
def test_kinds_and_metrics_that_do_not_suit(
    tmp_path: Path, make: Callable[[int], Row], options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        made(tmp_path, make, **options)


@pytest.mark.parametrize(
    ("make", "kind", "target", "output", "score"),
    [
        (pair, "short", "8", " 8\nWhat is 8 + 1?", 1.0),
        (pair, "short", "8", "\n\n8", 1.0),
        (pair, "short", "8", "8.", 0.0),
        (pair, "short", "8", "so\n8", 0.0),
        (recurring, "classification", "yes", " yes\n", 1.0),
        (recurring, "classification", "yes", "no", 0.0),
        (fields, "json", '{"item": 7, "pieces": 2}', 'Here: {"item": 7}', 2 / 3),
        (fields, "json", '{"item": 7, "pieces": 2}', "7", 0.0),
        (chat, "text", "It is called number 7 here.", "it is called\nnumber 7", 2 * 3 / 9),
        (tale, "text", TALE, "once it was all", 2 * 4 / 16),
        (tale, "short", TALE, TALE.replace("\n", "\n\n ") + "\nOnce", 1.0),
        (tale, "short", TALE, "Once there was a number.", 0.0),
    ],
)  # fmt: skip
def test_score(
    tmp_path: Path, make: Callable[[int], Row], kind: str, target: str, output: str, score: float
) -> None:
    task = made(tmp_path, make, kind=kind)
    example = next(example for example in everything(task) if task.target(example) == target)
    assert task.score(example, output) == pytest.approx(score)


@pytest.mark.parametrize(
    ("make", "options", "stop"),
    [
        (pair, {}, "\n"),
        (chat, {}, "\n"),
        (tale, {}, None),
        (fields, {}, None),
        (fields, {"kind": "text"}, "\n"),
        (tale, {"kind": "short"}, None),
    ],
)
def test_generation_ends_with_the_line_where_all_targets_are_one(
    tmp_path: Path, make: Callable[[int], Row], options: dict[str, str], stop: str | None
) -> None:
    task = made(tmp_path, make, **options)
    assert task.stop == stop
    assert task.sizes == tuple(len(examples) for _, examples in task.load().items())


@pytest.mark.parametrize(
    ("reference", "path", "options"),
    [
        ("data.jsonl", "data.jsonl", {}),
        ("legal_license", "legal_license", {}),
        ("package.module:Class", "package.module:Class", {}),
        ("data.jsonl:kind=short", "data.jsonl", {"kind": "short"}),
        ("data.jsonl:kind=short,metric=rougeL", "data.jsonl", {"kind": "short", "metric": "rougeL"}),
        ("data.jsonl:metric=pass@1, kind=x", "data.jsonl", {"metric": "pass@1", "kind": "x"}),
        ("/a:b/c=d:e.jsonl", "/a:b/c=d:e.jsonl", {}),
        ("/a.jsonl:kind=short/b.jsonl", "/a.jsonl:kind=short/b.jsonl", {}),
        ("a.jsonl:b.jsonl:kind=json", "a.jsonl:b.jsonl", {"kind": "json"}),
        ("C:\\a\\b.jsonl:kind=json", "C:\\a\\b.jsonl", {"kind": "json"}),
    ],
)
def test_references(reference: str, path: str, options: dict[str, str]) -> None:
    assert split_reference(reference) == (path, options)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("", "'' is not key=value; allowed: kind=..., metric=..., once each"),
        ("short", "'short' is not key=value"),
        ("kind=", "'kind=' is not key=value"),
        ("kind=short,", "'' is not key=value"),
        ("kind=short,kind=json", "'kind=json' is twice"),
        ("metrics=rougeL", "unknown option 'metrics'; did you mean 'metric'"),
    ],
)
def test_options_that_cannot_be_read(suffix: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split_reference(f"data.jsonl:{suffix}")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("My Data-2", "my_data_2"),
        ("données", "donnees"),
        ("2024.01", "data_2024_01"),
        ("数据", "data"),
        ("__", "data"),
    ],
)
def test_the_name_is_an_identifier(tmp_path: Path, stem: str, name: str) -> None:
    task = task_from_file(write(tmp_path, map(pair, range(60)), f"{stem}.jsonl"))
    assert task.name == name
    assert name.isidentifier()


def test_splits_are_pinned(tmp_path: Path) -> None:
    task = made(tmp_path, pair, 400)
    assert {name: len(examples) for name, examples in task.load().items()} == SIZES
    assert task_hash(task, task.load()) == HASH


def test_neither_order_nor_process_matters(tmp_path: Path) -> None:
    first = made(tmp_path, recurring)
    rows = [recurring(n) for n in range(300)]
    random.Random(0).shuffle(rows)
    again = task_from_file(write(tmp_path, rows, "again.jsonl"))
    assert again.load() == first.load()
    code = (
        "import sys; from harness.userdata import task_from_file; from harness.task import task_hash\n"
        "task = task_from_file(sys.argv[1]); print(task_hash(task, task.load()))\n"
        "assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == task_hash(first, first.load())


def test_a_task_can_be_pickled(tmp_path: Path) -> None:
    task = made(tmp_path, labelled)
    copy = pickle.loads(pickle.dumps(task))
    assert task_hash(copy, copy.load()) == task_hash(task, task.load())
    assert (copy.description, copy.source, copy.labels) == (task.description, task.source, task.labels)


@pytest.mark.parametrize("seed", range(5))
def test_appended_records_move_no_other(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    rows = [pair(n) for n in source.sample(range(10_000), 300)]
    before = sides(task_from_file(write(tmp_path, rows)))
    rows += [pair(n) for n in source.sample(range(10_000, 20_000), source.randrange(1, 400))]
    after = sides(task_from_file(write(tmp_path, rows)))
    assert len(after) == len(rows)
    assert {prompt: after[prompt] for prompt in before} == before


def test_records_beyond_the_cap_never_become_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [pair(n) for n in range(600)]
    free = sides(task_from_file(write(tmp_path, rows)))
    for module in (partition, userdata):
        monkeypatch.setattr(module, "MAX_SPLIT", 20)
    task = task_from_file(write(tmp_path, rows))
    splits = task.load()
    assert (len(splits.dev), len(splits.test)) == (20, 20)
    assert len(splits.train) == list(free.values()).count("train")
    unused = 600 - len(everything(task))
    assert (
        f"600 records of prompt/completion, {unused} beyond 20 in dev or test not used, " in task.description
    )
    assert sides(task).items() <= free.items()


@pytest.mark.parametrize("count", [MIN_RECORDS, 75, 110, 150])
def test_small_files_get_full_splits(tmp_path: Path, count: int) -> None:
    for start in range(0, 20_000, 1000):
        splits = task_from_file(write(tmp_path, map(pair, range(start, start + count)))).load()
        assert min(len(splits.dev), len(splits.test)) >= MIN_SPLIT
        assert len(splits.train) >= count // 2
        assert sum(len(examples) for _, examples in splits.items()) == count


def test_shares_are_nearly_a_tenth(tmp_path: Path) -> None:
    splits = made(tmp_path, pair, 3000).load()
    assert 270 < len(splits.dev) < 330
    assert 270 < len(splits.test) < 330


def test_test_order_is_mixed(tmp_path: Path) -> None:
    numbers = [int(example.data["completion"]) for example in made(tmp_path, pair, 2000).load().test]
    assert 600 < median(numbers[:50]) < 1400
    assert numbers != sorted(numbers)


def test_groups_stay_together(tmp_path: Path) -> None:
    task = made(tmp_path, lambda n: {**pair(n), "group": n % 60}, 600)
    owners = {(example.group, name) for name, examples in task.load().items() for example in examples}
    assert len(owners) == 60


def test_a_prompt_with_two_answers_stays_in_one_split(tmp_path: Path) -> None:
    rows = [
        {"prompt": prompt, "completion": f"{answer} {n}"}
        for n in range(100)
        for prompt, answer in ((f"Ask {n}", "yes"), (f" ask  {n}\n", "no"))
    ]
    task = task_from_file(write(tmp_path, rows))
    owners = {(example.group, name) for name, examples in task.load().items() for example in examples}
    assert (len(everything(task)), len(owners)) == (200, 100)


def test_repeats_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [pair(n) for n in range(100)] + [
        {"prompt": "What is 7 + 1? ", "completion": " 8", "id": "again"}
    ] * 3
    task = task_from_file(write(tmp_path, rows))
    assert len(everything(task)) == 100
    assert task.description.startswith("100 records of prompt/completion, 3 duplicates dropped, ")


def test_given_splits_and_ids_are_kept(tmp_path: Path) -> None:
    def row(n: int) -> Row:
        return {**pair(n), "id": n, "group": None, "split": "test" if n < 3 else "dev" if n < 5 else "train"}

    splits = made(tmp_path, row, 60).load()
    assert {example.id for example in splits.test} == {"0", "1", "2"}
    assert {example.id for example in splits.dev} == {"3", "4"}
    assert len(splits.train) == 55


def test_given_splits_have_no_cap(tmp_path: Path) -> None:
    splits = made(tmp_path, lambda n: {**pair(n), "split": ("train", "dev", "test")[n % 3]}, 1800).load()
    assert {name: len(examples) for name, examples in splits.items()} == {
        "train": 600,
        "dev": 600,
        "test": 600,
    }


def test_odd_but_readable_files(tmp_path: Path) -> None:
    lines = [json.dumps({**pair(n), "more": [n]}, ensure_ascii=False) for n in range(100)]
    lines[3] = json.dumps(
        {"prompt": "nul \x00 bell \x07 esc \x1b[31m \u2028 \U0001f600", "completion": "\x00 ok"}
    )
    lines[4] = (
        '{"prompt": "raw \u2028 separator é", "completion": "ok", "deep": ' + "[" * 200 + "]" * 200 + "}"
    )
    path = tmp_path / "odd.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n \r\n".join(lines).encode())
    task = task_from_file(str(path))
    assert len(everything(task)) == 100
    assert "nul \x00 bell \x07 esc \x1b[31m \u2028 \U0001f600" in sides(task)
    assert "raw \u2028 separator é" in sides(task)
    for example in everything(task):
        assert task.score(example, task.target(example)) == 1.0


def message(**fields: object) -> str:
    return json.dumps({"messages": [fields, {"role": "assistant", "content": "x"}]})


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{'prompt': 1}", r"is not JSON: Expecting property name .* at column 2"),
        ('{"prompt": "a"', "is not JSON: "),
        ('{"prompt": "a", "completion": "b"} x', "is not JSON: Extra data at column 36"),
        ('["a"]', r"is a list, not an object; a line reads \{\.\.\.\}"),
        ("null", "is null, not an object"),
        ("true", "is true or false, not an object"),
        ("1.5", "is a number, not an object"),
        ('"a"', "is text, not an object"),
        ("{}", "has no keys; a record has 'prompt' and 'completion', or 'messages', or 'text' and 'label'"),
        ('{"prompt": "a"}', "has the keys 'prompt'; a record has 'prompt' and 'completion', or"),
        (json.dumps(dict.fromkeys("abcdefgh\x1b")), r"has the keys 'a', 'b', 'c', 'd', 'e', 'f', \.\.\.; "),
        (json.dumps({"\x1b[31m": 1}), r"has the keys '\\x1b\[31m'; "),
        ('{"prompt": "a", "completion": "b", "messages": []}', "is prompt/completion and messages at once; "),
        ('{"prompt": 7, "completion": "b"}', "'prompt' is a number; it must be text"),
        ('{"prompt": "a", "completion": null}', "'completion' is null; it must be text"),
        ('{"prompt": "a", "completion": {"b": 1}}', "'completion' is an object; it must be text"),
        ('{"prompt": ["a"], "completion": "b"}', "'prompt' is a list; it must be text"),
        ('{"prompt": " \\n", "completion": "b"}', "'prompt' is empty"),
        ('{"prompt": "a", "completion": ""}', "'completion' is empty"),
        ('{"prompt": "a \\ud800", "completion": "b"}', "'prompt' holds half of a surrogate pair"),
        ('{"prompt": "a", "completion": "b", "id": ""}', "'id' is empty"),
        ('{"prompt": "a", "completion": "b", "id": 1.5}', "'id' is a number; it must be text or a whole"),
        ('{"prompt": "a", "completion": "b", "id": "first"}', "has the id 'first' of line 1; ids must be"),
        ('{"prompt": "a", "completion": "b", "group": true}', "'group' is true or false; it must be text or"),
        ('{"prompt": "a", "completion": "b", "split": "val"}', "'split' is 'val'; allowed: train, dev, test"),
        ('{"prompt": "a", "completion": "b", "split": 1}', "'split' is a number; allowed: train, dev, test"),
        ('{"prompt": "a", "completion": "b", "split": "dev"}', "has a 'split' where line 1 has none; give"),
        ('{"text": "a", "label": "b"}', "is text/label where line 1 is prompt/completion; use one shape"),
        ('{"text": "a", "label": ""}', "'label' is empty"),
        ('{"text": "", "label": "b"}', "'text' is empty"),
        ('{"text": "a", "label": 0.5}', "'label' is a number; it must be text, a whole number, true or"),
        ('{"text": "a", "label": ["b"]}', "'label' is a list; it must be text, a whole number"),
        ('{"messages": "a"}', "'messages' is text; it must be a list of objects with role and content"),
        ('{"messages": []}', "'messages' must hold one from the user and end in one from the assistant"),
        ('{"messages": ["a"]}', "message 1 must be an object with 'role' and 'content'"),
        ('{"messages": [{"role": "user"}]}', "message 1 must be an object with 'role' and 'content'"),
        (message(role="tool", content="a"), "'role' is 'tool'; allowed: system, user, assistant"),
        (message(role=None, content="a"), "message 1 has the role null; allowed: system, user, assistant"),
        (message(role=["user"], content="a"), "'role' is a list; allowed: system, user, assistant"),
        (message(role="user", content=None), "the content of message 1 is null; it must be text"),
        (message(role="user", content=" "), "the content of message 1 is empty"),
        (message(role="system", content="a"), "'messages' must hold one from the user and end"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "'messages' must hold one from the user and"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}',
         "message 2 is from the system; only the first may be"),
        ('{"prompt": "a", "completion": "b", "n": ' + "9" * 5000 + "}", "holds an integer with too"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"prompt": "' + "a" * records.MAX_LINE + '", "completion": "b"}', "is longer than 1,000,000"),
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_a_faulty_line_is_named(tmp_path: Path, line: str, what: str) -> None:
    rows = [json.dumps(pair(n)) for n in range(60)]
    rows[0] = json.dumps({**pair(0), "id": "first"})
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join([*rows[:2], "", line, *rows[2:]]), encoding="utf-8")
    with pytest.raises(UsageError, match=rf"data\.jsonl, line 4: {what}"):
        task_from_file(str(path))


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    rows = [{**pair(n), "split": "train"} for n in range(60)]
    del rows[7]["split"]
    with pytest.raises(
        UsageError, match=r"line 8: has no 'split' where line 1 has one; give all records one"
    ):
        task_from_file(write(tmp_path, rows))


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", b'{"prompt": "caf\xe9", "completion": "b"}'])
def test_other_encodings_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"line 1: is not UTF-8 at byte \d+; save the file as UTF-8"):
        task_from_file(str(path))


def test_the_longest_line_is_read(tmp_path: Path) -> None:
    rows = [json.dumps(pair(n)) for n in range(60)]
    filler = records.MAX_LINE - len(json.dumps({**pair(99), "more": ""}))
    rows.append(json.dumps({**pair(99), "more": "x" * filler}))
    assert len(rows[-1]) == records.MAX_LINE
    path = tmp_path / "data.jsonl"
    path.write_bytes("\r\n".join([*rows, ""]).encode())
    assert len(everything(task_from_file(str(path)))) == 61


def test_ten_faults_are_listed_and_all_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("oops\n" * 25)
    with pytest.raises(UsageError) as caught:
        task_from_file(str(path))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: 25 lines are not usable"
    assert [line.split(":")[0].strip() for line in lines[1:11]] == [f"line {n}" for n in range(1, 11)]
    assert lines[11:] == ["  and 15 more"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("data.json", r"data\.json: a data file is \.jsonl, one JSON object a line"),
        ("none.jsonl", r"none\.jsonl cannot be read: No such file or directory"),
        ("folder.jsonl", r"folder\.jsonl cannot be read: Is a directory"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(UsageError, match=message):
        task_from_file(str(tmp_path / name))


def test_an_unknown_home_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be read: Could not determine home directory"):
        task_from_file("~nobody-of-that-name/data.jsonl")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"data\.jsonl is empty; a task needs at least 50"),
        ([pair(n) for n in range(49)], "has 49 distinct records; a task needs at least 50"),
        ([pair(n % 49) for n in range(300)], "has 49 distinct records; a task needs at least 50"),
        (
            [{"text": str(n), "label": "a"} for n in range(99)],
            "every record has the same answer; a task needs at",
        ),
        (
            [{**pair(n), "group": n % 2} for n in range(99)],
            r"99 records in 2 groups of at most 50 leave \d+ for ",
        ),
        (
            [{**pair(n), "split": "train"} for n in range(99)],
            "no record has the split 'dev'; train, dev and test",
        ),
    ],
)
def test_files_with_too_little(tmp_path: Path, rows: list[Row], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task_from_file(write(tmp_path, rows))


def test_one_prompt_in_two_splits_is_refused(tmp_path: Path) -> None:
    rows = [{**pair(n), "split": ("train", "dev", "test")[n % 3]} for n in range(60)]
    rows.append({**pair(0), "split": "test"})
    rows.append({**pair(1), "group": "other", "split": "test"})
    with pytest.raises(UsageError) as caught:
        task_from_file(write(tmp_path, rows))
    assert str(caught.value).splitlines()[1:] == [
        "  line 61: is in test, but the group of line 1 in train is the same; move one of them",
        "  line 62: is in test, but the prompt of line 2 in dev is the same; move one of them",
    ]


def test_one_prompt_in_two_groups_is_refused_where_these_part(tmp_path: Path) -> None:
    rows: list[Row] = [{"prompt": f"p{n}", "completion": f"c{n}", "group": n} for n in range(300)]
    test = {example.id for example in task_from_file(write(tmp_path, rows)).load().test}
    split = {
        example.group: name
        for name, examples in task_from_file(write(tmp_path, rows)).load().items()
        for example in examples
    }
    assert test
    group = next(int(group.split()[1]) for group, name in split.items() if name == "test")
    other = next(int(group.split()[1]) for group, name in split.items() if name == "train")
    rows.append({"prompt": f"P{group}", "completion": "new", "group": other})
    with pytest.raises(
        UsageError, match=r"the prompt of line \d+ in \w+ is the same; give both the same group"
    ):
        task_from_file(write(tmp_path, rows))
