"""What follows from a few facts? Propositional logic in plain words, three classes.

Source: the `propositional_logic` generator of `reasoning-gym` 0.1.25 (Apache-2.0), of which the premises are
used: two to four formulas with at most one connective each. One row:

    Facts: Zoe stays exactly when Alan leaves. Alan stays. Kate stays exactly when Thomas stays.
    Question: Does Zoe stay?
    Answer: no

The formulas' variables become people who stay or leave; which of the two a variable stands for is drawn anew
at each place, so "yes" and "no" mirror each other. One variable is Zoe in every row: formulas do not care
what their variables are called, and a small model need not also learn whom the question is about. Answers
come from a truth table of all the people.

Each answer is equally frequent. Of the determined ones, `STATED` in ten are stated outright, alone or in an
"and"; the others take at least one inference. Left out: formulas that connect a variable with itself, facts
that contradict each other, and rows without both a plain fact and a connection. The generator's conclusions
are not used: they may be trivial, and it falls back to one that does not follow. (Its `syllogism` would leave
it open whether "all" implies "some".)

Held out are forms: the connectives and which people they connect, whatever the names, the order of the facts
and who stays or leaves. No form is in two splits.

How much is on the surface: logistic regression on the words gets 44% of test right, from 224 rows as from
2,000 (guessing: 33%), on up to three words in a row 54% and 59%, and the rule of `naive` 60%.
"""

from __future__ import annotations

import hashlib
import random
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import permutations, product

from harness.errors import PluginError
from harness.task import Example, Splits, Task

PEOPLE = (
    "Adam", "Alan", "Alice", "Amy", "Anna", "Ben", "Bob", "Carl", "Cathy", "Chris", "Dan", "David",
    "Emma", "Eric", "Frank", "Fred", "George", "Helen", "Henry", "Jane", "Jean", "Jim", "Joe", "John",
    "Kate", "Kim", "Laura", "Leo", "Lisa", "Lucy", "Luke", "Maria", "Mike", "Nina", "Oscar", "Paul",
    "Peter", "Robert", "Sam", "Sara", "Simon", "Steve", "Susan", "Thomas", "Tim", "Tom",
)  # fmt: skip
STATED = 4  # in ten of the rows with the answer "yes" or "no"
PER_ANSWER = {"test": 120, "dev": 70, "train": 700}
FORM_CAP = {"test": 5, "dev": 5, "train": 12}  # rows of one form
SHARES = (("test", 0.2), ("dev", 0.15), ("train", 0.65))  # of the forms
SEED = 40_240
POOL = 40_000  # rows addressed, of which only as many are generated as it takes
DRAWINGS = 6  # of signs and people for the formulas of one row

Premise = tuple[str, ...]
"""A connective, "" for a plain fact, and the one or two variables it connects."""

Literal = tuple[str, bool]
Fact = tuple[str, tuple[Literal, ...]]
"""A premise with signs: whether each variable holds."""

WORDING = {
    "": "{}.",
    "∧": "{} and {}.",
    "∨": "{}, {}, or both.",
    "→": "If {}, {}.",
    "↔": "{} exactly when {}.",
}


class Logic(Task):
    """Does it follow that Zoe stays, that she leaves, or neither?"""

    name = "logic"
    version = 1
    family = "reasoning"
    metric = "accuracy"
    labels = ("yes", "no", "unknown")
    description = "What follows from two to four facts of propositional logic in words, three classes."
    source = "reasoning-gym 0.1.25, propositional_logic"
    license = "Apache-2.0"
    sizes = (2100, 210, 360)

    def load(self) -> Splits:
        """Generate all rows; about three seconds, one of them the import.

        Raises:
            PluginError: `reasoning-gym` is not installed.
        """
        pools: dict[str, list[Example]] = {name: [] for name, _ in SHARES}
        wanted = _quotas()
        forms: Counter[str] = Counter()
        texts: set[str] = set()
        for name, candidates in _drawn():
            if not any(wanted.values()):
                break
            for row in candidates:
                split = _split(row["form"])
                kind = (split, row["answer"], row["stated"])
                if wanted[kind] and forms[row["form"]] < FORM_CAP[split] and row["facts"] not in texts:
                    wanted[kind] -= 1
                    forms[row["form"]] += 1
                    texts.add(row["facts"])
                    pools[split].append(Example(id=name, group=row["form"], data=row))
                    break
        return Splits(
            **{name: tuple(sorted(pool, key=lambda e: _digest(e.id))) for name, pool in pools.items()}
        )

    def prompt(self, example: Example) -> str:
        """What may be answered, the facts, and the question, which is always the same."""
        rule = "Everyone either stays or leaves. Answer yes, no, or unknown if the facts leave it open."
        return f"{rule}\n\nFacts: {example.data['facts']}\nQuestion: Does Zoe stay?\nAnswer:"

    def target(self, example: Example) -> str:
        """The label."""
        return example.data["answer"]

    def score(self, example: Example, output: str) -> float:
        """1.0 for the exact label, else 0.0."""
        return float(output.strip() == example.data["answer"])

    def naive(self, example: Example) -> str:
        """What is stated of Zoe outright, without any inference; "unknown" if nothing is."""
        for fact in re.findall(r"[^.]+", example.data["facts"]):
            stated = re.fullmatch(r"(?:.* and )?Zoe (stays|leaves)(?: and .*)?", fact.strip())
            if stated:
                return "yes" if stated[1] == "stays" else "no"
        return "unknown"


def _quotas() -> dict[tuple[str, str, str], int]:
    """How many rows each split wants of each answer, stated outright ("yes") or not ("no")."""
    quotas = {}
    for split, rows in PER_ANSWER.items():
        for answer in ("yes", "no"):
            quotas[split, answer, "yes"] = rows * STATED // 10
            quotas[split, answer, "no"] = rows - rows * STATED // 10
        quotas[split, "unknown", "no"] = rows
    return quotas


def _drawn() -> Iterator[tuple[str, Iterator[dict[str, str]]]]:
    """Ids, and the rows that one drawing of signs allows, of which one is to be used."""
    for index, premises in _premises():
        for drawing in range(DRAWINGS):
            name = f"{index:05}-{drawing}"
            yield name, _rows(premises, random.Random(f"{SEED} {name}"))


def _premises() -> Iterator[tuple[int, tuple[Premise, ...]]]:
    """Rows of the generator that have plain facts and connections, without repetition."""
    with warnings.catch_warnings():
        # A dependency of it compares strings with "is", which Python reports on the first compilation.
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            from reasoning_gym.logic.propositional_logic import (
                PropositionalLogicConfig,
                PropositionalLogicDataset,
            )
        except ImportError as error:
            raise PluginError("logic needs its data: pip install reasoning-gym==0.1.25") from error
    rows = PropositionalLogicDataset(
        PropositionalLogicConfig(min_vars=3, max_complexity=2, seed=SEED, size=POOL)
    )
    for index in range(POOL):
        premises = tuple(_parsed(premise) for premise in rows[index]["metadata"]["premises"])
        joins = [premise for premise in premises if premise[0]]
        distinct = len(set(premises)) == len(premises) and all(left != right for _, left, right in joins)
        if distinct and 0 < len(joins) < len(premises):
            yield index, premises


def _parsed(premise: str) -> Premise:
    """("→", "P", "Q") of "(P → Q)", ("", "P") of "P" and of "¬P": signs are drawn later."""
    words = premise.strip("()¬").split()
    return ("", words[0]) if len(words) == 1 else (words[1], words[0], words[2])


def _rows(premises: tuple[Premise, ...], rng: random.Random) -> Iterator[dict[str, str]]:
    """Signs and people for some premises, and a row for each variable that Zoe can be.

    Answers that take an inference are rare and come first, then those left open. Facts that contradict
    each other give no row.
    """
    facts: list[Fact] = [
        (join, tuple((variable, rng.random() < 0.5) for variable in variables))
        for join, *variables in premises
    ]
    variables = sorted({variable for _, literals in facts for variable, _ in literals})
    people = dict(zip(variables, rng.sample(PEOPLE, len(variables)), strict=True))
    models = [world for world in _worlds(variables) if all(_holds(fact, world) for fact in facts)]
    if not models:
        return
    outright = {variable for join, literals in facts if join in ("", "∧") for variable, _ in literals}
    found = {v: {world[v] for world in models} for v in rng.sample(variables, len(variables))}
    for asked in sorted(found, key=lambda v: 2 if v in outright else len(found[v]) - 1):
        names = people | {asked: "Zoe"}
        yield {
            "facts": " ".join(_worded(fact, names) for fact in facts),
            "answer": "unknown" if len(found[asked]) == 2 else "yes" if True in found[asked] else "no",
            "stated": "yes" if asked in outright else "no",
            "form": _form(premises, asked),
        }


def _worlds(variables: list[str]) -> Iterator[dict[str, bool]]:
    """Every way in which the variables can be true or false."""
    for values in product((False, True), repeat=len(variables)):
        yield dict(zip(variables, values, strict=True))


def _holds(fact: Fact, world: dict[str, bool]) -> bool:
    join, literals = fact
    left, right = (world[variable] == sign for variable, sign in (literals * 2)[:2])
    match join:
        case "∨":
            return left or right
        case "→":
            return right or not left
        case "↔":
            return left == right
    return left and right  # "∧", or a plain fact twice


def _worded(fact: Fact, names: dict[str, str]) -> str:
    join, literals = fact
    parts = [f"{names[variable]} {'stays' if sign else 'leaves'}" for variable, sign in literals]
    return WORDING[join].format(*parts)


@cache
def _form(premises: tuple[Premise, ...], asked: str) -> str:
    """Connectives and what they connect, the same for all names and orders of the premises."""
    others = sorted({variable for _, *variables in premises for variable in variables} - {asked})
    spellings = []
    for letters in permutations("abc"[: len(others)]):
        spelled = dict(zip(others, letters, strict=True)) | {asked: "z"}
        ends = [(join, [spelled[variable] for variable in variables]) for join, *variables in premises]
        spellings.append(
            " ".join(sorted(join.join(end if join == "→" else sorted(end)) for join, end in ends))
        )
    return min(spellings)


def _split(form: str) -> str:
    """The split that a form belongs to."""
    point = int(_digest(form)[:8], 16) / 16**8
    for name, share in SHARES:
        if point < share:
            return name
        point -= share
    return SHARES[-1][0]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
