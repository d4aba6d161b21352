"""Grade-school word problems, answered in a few steps of arithmetic.

Source: the `gsm_symbolic` generator of `reasoning-gym` 0.1.25 (Apache-2.0), which fills names and numbers
into templates of GSM8K questions (GSM-Symbolic, Mirzadeh et al. 2024). One row:

    Question: A boy has 13 pencils. His sister has 3 fewer pencils than he has. How many pencils do they have
              together?
    Answer:   His sister has 13 - 3 = 10 pencils.
              Together, they have 13 + 10 = 23 pencils.
              #### 23

Of the 85 templates 43 are used. Left out, after reading all and checking the equations of 500 rows each:
those whose chain takes over 103 tokens in the median (0, 2, 7, 11, 12, 15, 17, 19, 21, 22, 25, 27, 29, 36,
42, 46, 49, 52, 60, 64, 66, 68, 71, 73, 80, 81, 83, 89, 92, 94, 96), those that round a result away (3, 4, 40,
75, 99), those that lost a word ("twice" became "2": 14, 51, 93; "receives 8=8 emails": 82) and those whose
answer hardly varies (13, 53). What is left is arithmetic that a reader can follow, and easier than GSM8K.

A template is in one split only, so test asks for kinds of problem that were never trained on.
"""

from __future__ import annotations

import re
import warnings
from decimal import Decimal, InvalidOperation
from typing import ClassVar

from harness.errors import PluginError
from harness.task import Example, Splits, Task, digest, mixed

TEMPLATES = (
    1, 5, 6, 8, 9, 10, 16, 18, 20, 23, 24, 26, 28, 30, 31, 33, 34, 38, 39, 41, 43, 44, 45, 47, 48, 50, 54, 55,
    56, 57, 58, 59, 62, 67, 69, 70, 72, 78, 84, 85, 88, 91, 95,
)  # fmt: skip
TEST_TEMPLATES, DEV_TEMPLATES = 12, 8
ROWS = {"test": 42, "dev": 25, "train": 90}  # of each template
SEED = 20_240
POOL = 12_000  # rows addressed, of which only those still wanted are generated
APPENDED = " Give the result as your final answer. Do not include units."

GSM8K_PATH = "openai/gsm8k"
# The revision that public evaluation code pins most often; it was not fetched when this was written.
GSM8K_REVISION = "e53f048856ff4f594e959d75785d2c2d37b678ee"
GSM8K_DEV = 500  # questions of the published train split
CALCULATOR = re.compile(r"<<[^<>]*>>")

NUMBER = re.compile(r"(?<![\d)])-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")


class GsmSymbolic(Task):
    """A question in, a short chain of reasoning and "#### number" out."""

    name = "gsm_symbolic"
    version = 1
    family = "reasoning"
    metric = "exact_match"
    description = "Grade-school word problems from 43 templates, answered with a short chain of reasoning."
    source = "reasoning-gym 0.1.25, gsm_symbolic"
    license = "Apache-2.0"
    sizes: ClassVar[tuple[int, int, int] | None] = (2070, 200, 504)

    def load(self) -> Splits:
        """Generate all rows; about two seconds, most of it the import."""
        with warnings.catch_warnings():
            # A dependency of it compares strings with "is", which Python reports on the first compilation.
            warnings.simplefilter("ignore", SyntaxWarning)
            from reasoning_gym.arithmetic.gsm_symbolic.gsm_symbolic import (
                GSMSymbolicDataset,
                GSMSymbolicDatasetConfig,
            )
        rows = GSMSymbolicDataset(GSMSymbolicDatasetConfig(seed=SEED, size=POOL))
        order = sorted(TEMPLATES, key=lambda template: digest(f"template {template}"))
        pools: dict[str, list[Example]] = {"test": [], "dev": [], "train": []}
        side = dict.fromkeys(order, "train")
        side |= dict.fromkeys(order[:TEST_TEMPLATES], "test")
        side |= dict.fromkeys(order[TEST_TEMPLATES : TEST_TEMPLATES + DEV_TEMPLATES], "dev")
        wanted = {template: ROWS[split] for template, split in side.items()}
        seen: set[str] = set()
        for index, template in enumerate(rows.task_indices):
            if not wanted.get(template):
                continue
            row = rows[index]
            question = _tidy(row["question"].removesuffix(APPENDED))
            # One template now and then makes a person's age negative.
            if question in seen or not row["answer"].isdecimal():
                continue
            seen.add(question)
            wanted[template] -= 1
            data = {
                "question": question,
                "reasoning": _tidy(row["metadata"]["answer_cot"]),
                "answer": row["answer"],
            }
            example = Example(id=f"{template:02}-{index:05}", group=f"template {template}", data=data)
            pools[side[template]].append(example)
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """The question, and how to end the answer."""
        rule = 'Solve the problem step by step. End with "#### " and the number.'
        return f"{rule}\n\nQuestion: {example.data['question']}\nAnswer:"

    def target(self, example: Example) -> str:
        """The chain of reasoning, one step a line, then "#### number"."""
        return example.data["reasoning"]

    def score(self, example: Example, output: str) -> float:
        """1.0 where the answer given equals the gold answer as a number, else 0.0.

        The answer given is the number after the first "####" (a model that goes on to pose itself another
        question has answered this one), or without a "####" the last number of the output.
        """
        given = _given(output)
        if given is None:
            return 0.0
        try:
            return float(Decimal(given.replace(",", "")) == Decimal(example.data["answer"]))
        except InvalidOperation:
            return 0.0

    def readable(self, example: Example, output: str) -> bool:
        """Whether there is such a number."""
        return _given(output) is not None


def _given(output: str) -> str | None:
    """The number that an output gives as its answer."""
    reasoning, marker, after = output.partition("####")
    numbers = NUMBER.findall(after if marker else reasoning)
    if not numbers:
        return None
    return str(numbers[0] if marker else numbers[-1])


def _tidy(text: str) -> str:
    """Floats that hold a whole number lose their ".0": the templates print "38.0 minutes"."""
    return re.sub(r"(?<=\d)\.0(?!\d)", "", text)


class Gsm8k(GsmSymbolic):
    """The hub twin: 8,792 word problems with the solutions that people wrote.

    GSM8K (Cobbe et al. 2021), with its own test split. It publishes no development split, so the `GSM8K_DEV`
    questions of train whose SHA-256 is smallest are dev. The calculator's marks ("<<48/2=24>>") are taken out
    of the solutions, and a question that is already in another split is dropped. Solutions are longer than
    the templates' and often outgrow the new tokens of the small budgets.
    """

    name = "gsm8k"
    version = 1
    description = "Grade-school word problems written by people; read from the hub."
    source = f"hub data set {GSM8K_PATH}, main, revision {GSM8K_REVISION[:10]}"
    license = "MIT"
    sizes = None
    hub_twin = None

    def __init__(self, path: str = GSM8K_PATH) -> None:
        """Read from `path`: a hub data set, or a folder laid out like one."""
        self.path = path

    def load(self) -> Splits:
        """Read the two published splits and cut dev from train.

        Raises:
            PluginError: A solution does not end in "#### " and a number.
        """
        from datasets import load_dataset

        data = load_dataset(self.path, "main", revision=GSM8K_REVISION)
        seen: set[str] = set()
        pools: dict[str, list[Example]] = {}
        for published in ("test", "train"):
            by_question: dict[str, Example] = {}
            rows = zip(data[published]["question"], data[published]["answer"], strict=True)
            for row, (question, solution) in enumerate(rows):
                normalised = " ".join(re.findall(r"\w+", question.lower()))
                if normalised not in seen:
                    seen.add(normalised)
                    by_question[digest(question)] = _solved(f"{published}/{row}", question, solution)
            pools[published] = [by_question[digest] for digest in sorted(by_question)]
        train = pools["train"]
        return Splits(train=tuple(train[GSM8K_DEV:]), dev=tuple(train[:GSM8K_DEV]), test=tuple(pools["test"]))


def _solved(name: str, question: str, solution: str) -> Example:
    """One row of GSM8K as an example."""
    steps, marker, answer = CALCULATOR.sub("", solution).strip().rpartition("#### ")
    answer = answer.replace(",", "")
    if not marker or not NUMBER.fullmatch(answer):
        raise PluginError(
            f'the solution of {name!r} does not end in "#### " and a number: {solution[-40:]!r}'
        )
    data = {"question": question.strip(), "reasoning": f"{steps}{marker}{answer}", "answer": answer}
    return Example(id=name, group=name, data=data)


GsmSymbolic.hub_twin = Gsm8k
