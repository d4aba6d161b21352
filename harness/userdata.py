"""A task made of a user's JSONL file: `--tasks reviews.jsonl`, or `reviews.jsonl:kind=short,metric=rougeL`.

What kind of task it is follows from the records, unless the reference says so:

    classification  labels, or few completions that recur    accuracy
    json            every completion is a JSON object        field_f1
    short           at most five words in the median         exact_match
    text            anything else                            rougeL

Which split a record is in follows from its group (see `partition`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import PurePath
from statistics import median

from harness.errors import UsageError, unknown
from harness.partition import MAX_SPLIT, partition
from harness.records import Record, Records, read
from harness.scoring import UNSPACED, collapsed, field_f1, first_lines, json_object, rouge_l
from harness.task import Example, Splits, Task, digest

KINDS = {
    "classification": ("accuracy",),
    "json": ("field_f1", "exact_match", "rougeL"),
    "short": ("exact_match", "rougeL"),
    "text": ("rougeL", "exact_match"),
}
"""Metrics that suit each kind, the default first."""

FAMILIES = {"classification": "classification", "json": "structured", "short": "language", "text": "language"}

LONGEST_NAME = 60
"""Characters: the name becomes a folder's, and part of figures'."""

MIN_RECORDS = 50
SHORT_WORDS = 5
MAX_LABELS = 200
"""All labels are scored behind every prompt; more of them than this and generating is cheaper."""

FEW = 20
"""Completions that make a closed set unasked, if each occurs `RECURS` times; labels that a prompt lists."""

RECURS = 5

OPTIONS = re.compile(r"(.*\.jsonl):([^/\\]*)", re.DOTALL)
OPTION = re.compile(r"(\w+)=([\w@]+)")


class FileTask(Task):
    """The records of one file as a task. `task_from_file` makes it."""

    def __init__(self, attributes: Mapping[str, object], splits: Splits) -> None:
        # The contract has one class a task, and its attributes there; here one class serves all files.
        vars(self).update(attributes)
        self.splits = splits

    def load(self) -> Splits:
        """The records as they were when the task was made."""
        return self.splits

    def prompt(self, example: Example) -> str:
        """The record's prompt, without white space at its end."""
        return example.data["prompt"]

    def target(self, example: Example) -> str:
        """The record's completion, after the white space that its prompt ended in."""
        return example.data["completion"]

    def score(self, example: Example, output: str) -> float:
        """By the metric; of the output as many lines that are not blank as the target has, where that tells.

        A model that goes on after its answer is not marked down for it, unless a longer text was asked for.
        """
        target = example.data["completion"]
        if self.metric == "field_f1":
            return field_f1(json_object(target) or {}, output)
        if self.metric == "accuracy":
            return float(collapsed(output) == target)
        lines = len([line for line in target.splitlines() if line.strip()])
        if self.metric == "exact_match":
            return float(first_lines(output, lines) == first_lines(target, lines))
        return rouge_l(target, first_lines(output) if lines == 1 else output)

    def readable(self, example: Example, output: str) -> bool:
        """Whether there is a JSON object where one is wanted, or any text."""
        return (
            json_object(output) is not None
            if self.metric == "field_f1"
            else super().readable(example, output)
        )


def split_reference(reference: str) -> tuple[str, dict[str, str]]:
    """The path and the options of `path.jsonl:key=value,key=value`; no options for any other reference.

    Raises:
        UsageError: What follows `path.jsonl:` is no list of known options.
    """
    match = OPTIONS.fullmatch(reference)
    if match is None or match[2].endswith(".jsonl"):
        return reference, {}
    options: dict[str, str] = {}
    for part in match[2].split(","):
        option = OPTION.fullmatch(part.strip())
        if option is None or option[1] in options:
            problem = "twice" if option else "not key=value"
            raise UsageError(f"{reference}: {part!r} is {problem}; allowed: kind=..., metric=..., once each")
        if option[1] not in ("kind", "metric"):
            raise unknown("option", option[1], ("kind", "metric"))
        options[option[1]] = option[2]
    return match[1], options


def task_from_file(path: str, *, kind: str | None = None, metric: str | None = None) -> Task:
    """The task that a file's records make; kind and metric are inferred where they are not given.

    Raises:
        UsageError: The file or some of its lines cannot be used, there are too few, or kind and metric do
            not suit them.
    """
    metrics = dict.fromkeys(metric for suited in KINDS.values() for metric in suited)
    for what, given, allowed in (("kind", kind, KINDS), ("metric", metric, metrics)):
        if given is not None and given not in allowed:
            raise unknown(f"{what} of {path}", given, allowed)
    if kind and metric and metric not in KINDS[kind]:
        raise UsageError(f"{path}: {metric} does not suit kind {kind!r}; allowed: {', '.join(KINDS[kind])}")
    data = read(path)
    _check_enough(data)
    chosen, reason = _choose(data, kind, metric)
    measure = metric or KINDS[chosen][0]
    labels = _values(data) if chosen == "classification" else None
    splits, unused = partition(data, partial(_example, shape=data.shape, labels=labels))
    counts = [f"{len(data.records)} records of {data.shape}"]
    counts += [f"{data.duplicates} duplicates dropped"] if data.duplicates else []
    counts += [f"{unused} beyond {MAX_SPLIT} in dev or test not used"] if unused else []
    attributes = {
        "name": _identifier(PurePath(path).stem),
        "version": 1,
        "family": FAMILIES[chosen],
        "metric": measure,
        "labels": labels,
        "stop": "\n" if measure != "field_f1" and _one_line(data) else None,
        "sizes": tuple(len(examples) for _, examples in splits.items()),
        "description": f"{', '.join([*counts, reason])}: {chosen}{' as set' if kind else ''}, {measure}"
        f"{' as set' if metric else ''}",
        "source": f"{path} (sha256 {data.sha256[:12]}, {len(data.records)} records)",
        "license": "not stated",
    }
    return FileTask(attributes, splits)


def _check_enough(data: Records) -> None:
    if len(data.records) < MIN_RECORDS:
        count = f"has {len(data.records)} distinct records" if data.records else "is empty"
        raise UsageError(f"{data.path} {count}; a task needs at least {MIN_RECORDS}")
    if len(_values(data)) == 1:
        raise UsageError(f"{data.path}: every record has the same answer; a task needs at least two")


def _values(data: Records) -> tuple[str, ...]:
    return tuple(sorted({collapsed(record.completion) for record in data.records}))


def _words(text: str) -> int:
    """How many words a text has; of scripts without spaces each character counts for one."""
    return len(UNSPACED.findall(text)) + len(UNSPACED.sub(" ", text).split())


def _one_line(data: Records) -> bool:
    return all("\n" not in record.completion.strip() for record in data.records)


def _choose(data: Records, kind: str | None, metric: str | None) -> tuple[str, str]:
    """The kind, and what about the records speaks for it."""
    open_set, no_json = _why_open(data), _why_no_json(data)
    obstacles = {"classification": open_set, "json": no_json}
    suited = [name for name, metrics in KINDS.items() if metric is None or metric in metrics]
    wanted = kind or (suited[0] if len(suited) == 1 else None)
    if wanted and obstacles.get(wanted):
        possible = [name for name in KINDS if not obstacles.get(name)]
        raise UsageError(
            f"{data.path} cannot be {wanted}: {obstacles[wanted]}; possible: {', '.join(possible)}"
        )
    words = median(_words(record.completion) for record in data.records)
    times = Counter(collapsed(record.completion) for record in data.records)
    labelled = data.shape == "text/label"
    recurring = len(times) <= FEW and min(times.values()) >= RECURS
    fits = {
        "classification": open_set is None and (labelled or recurring),
        "json": no_json is None,
        "short": words <= SHORT_WORDS,
        "text": True,
    }
    chosen = wanted or next(name for name in suited if fits[name])
    length = f"{words:g} words in the median completion"
    reasons = {
        "classification": f"{len(times)} distinct {'labels' if labelled else 'completions'}",
        "json": "every completion a JSON object",
        "short": f"{open_set}, {length}" if labelled and open_set else length,
        "text": length,
    }
    return chosen, reasons[chosen]


def _why_open(data: Records) -> str | None:
    values = _values(data)
    if len(values) > MAX_LABELS:
        return f"{len(values)} distinct answers, more than {MAX_LABELS}"
    for value, following in pairwise(values):  # sorted: what begins another also begins the next
        if following.startswith(value):
            return f"the answer {value[:40]!r} begins another, {following[:40]!r}"
    return None


def _why_no_json(data: Records) -> str | None:
    for record in data.records:
        if json_object(record.completion, whole=True) is None:
            return f"the completion of line {record.line} is not a JSON object"
    return None


def _example(record: Record, group: str, shape: str, labels: tuple[str, ...] | None) -> Example:
    prompt, completion = record.prompt.rstrip(), record.completion.rstrip()
    if labels is not None:
        completion = collapsed(completion)
    elif not (completion[:1].isspace() or record.prompt == f"{prompt} "):  # other breaks belong to the target
        completion = record.prompt[len(prompt) :] + completion
    if shape == "text/label":
        listed = f" ({', '.join(labels)})" if labels and len(labels) <= FEW else ""
        prompt, completion = f"Text:\n{prompt}\n\nLabel{listed}:", completion.strip()
    own = digest(f"{record.prompt.strip()}\0{record.completion.strip()}")[:16]
    return Example(id=record.id or own, group=group, data={"prompt": prompt, "completion": completion})


def _identifier(stem: str) -> str:
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"\W+", "_", plain, flags=re.ASCII).strip("_")
    return (name if name and not name[0].isdigit() else f"data_{name}")[:LONGEST_NAME].rstrip("_")
