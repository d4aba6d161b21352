from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from itertools import permutations, product
from statistics import median

import pytest

from harness.errors import PluginError
from harness.task import Example, Splits, task_hash
from tasks import logic
from tasks.logic import Logic

HASH = "1bfb059b2bc72c528c6c61e3d2273ecbd39af3b647c03fb0ffa7f036bb1f62df"
CLAUSES: tuple[tuple[str, str, Callable[[bool, bool], bool]], ...] = (
    (r"If (\w+ \w+), (\w+ \w+)", "if", lambda one, two: two or not one),
    (r"(\w+ \w+), (\w+ \w+), or both", "or", lambda one, two: one or two),
    (r"(\w+ \w+) exactly when (\w+ \w+)", "iff", lambda one, two: one == two),
    (r"(\w+ \w+) and (\w+ \w+)", "and", lambda one, two: one and two),
    (r"(\w+ \w+)", "", lambda one, two: one),
)


@pytest.fixture(scope="module")
def task() -> Logic:
    return Logic()


@pytest.fixture(scope="module")
def splits(task: Logic) -> Splits:
    return task.load()


def clauses(example: Example) -> list[tuple[str, Callable[[bool, bool], bool], list[str]]]:
    """The facts read back from their words."""
    found = []
    for sentence in example.data["facts"].removesuffix(".").split(". "):
        for pattern, name, holds in CLAUSES:
            match = re.fullmatch(pattern, sentence)
            if match:
                found.append((name, holds, list(match.groups())))
                break
        else:
            raise AssertionError(f"unreadable: {sentence}")
    return found


def people(example: Example) -> list[str]:
    return sorted({literal.split()[0] for _, _, literals in clauses(example) for literal in literals})


def answer(example: Example) -> str:
    """Of all ways to stay or leave those that make every fact true, and what they say of Zoe."""
    rows = clauses(example)
    zoe = set()
    for stays in product((False, True), repeat=len(people(example))):
        world = dict(zip(people(example), stays, strict=True))
        truth = {f"{n} stays": s for n, s in world.items()} | {f"{n} leaves": not s for n, s in world.items()}
        if all(holds(truth[literals[0]], truth[literals[-1]]) for _, holds, literals in rows):
            zoe.add(world["Zoe"])
    assert zoe, "the facts contradict each other"
    return "unknown" if len(zoe) == 2 else "yes" if zoe == {True} else "no"


def form(example: Example) -> str:
    """The smallest spelling of which clauses connect whom, over all renamings but Zoe's."""
    rows = [(name, [literal.split()[0] for literal in literals]) for name, _, literals in clauses(example)]
    others = [person for person in people(example) if person != "Zoe"]
    spellings = []
    for order in permutations(range(len(others))):
        rename = {"Zoe": "Z"} | {person: str(n) for person, n in zip(others, order, strict=True)}
        ends = [(name, [rename[end] for end in row]) for name, row in rows]
        spellings.append(sorted((name, *(row if name == "if" else sorted(row))) for name, row in ends))
    return str(min(spellings))


def test_sizes_and_balance(task: Logic, splits: Splits) -> None:
    for name, examples in splits.items():
        rows = logic.PER_ANSWER[name]
        kinds = Counter((e.data["answer"], e.data["stated"]) for e in examples)
        assert kinds == {
            ("yes", "yes"): 0.4 * rows,
            ("yes", "no"): 0.6 * rows,
            ("no", "yes"): 0.4 * rows,
            ("no", "no"): 0.6 * rows,
            ("unknown", "no"): rows,
        }
    assert (len(splits.train), len(splits.dev), len(splits.test)) == task.sizes


def test_load_is_deterministic(task: Logic, splits: Splits) -> None:
    assert task.load() == splits
    assert task_hash(task, splits) == HASH


def test_order_is_mixed(splits: Splits) -> None:
    for examples in (splits.dev, splits.test):
        assert min(Counter(e.data["answer"] for e in examples[:100]).values()) > 20


def test_answers_follow_from_the_facts(splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert example.data["answer"] == answer(example)


def test_no_form_is_in_two_splits(splits: Splits) -> None:
    forms = {name: Counter(form(e) for e in examples) for name, examples in splits.items()}
    assert not forms["test"].keys() & forms["train"].keys()
    assert not forms["dev"].keys() & forms["train"].keys()
    assert not forms["dev"].keys() & forms["test"].keys()
    for name, count in forms.items():
        assert max(count.values()) <= logic.FORM_CAP[name]
        assert len(count) == len({e.group for e in getattr(splits, name)})


def test_facts_do_not_repeat(splits: Splits) -> None:
    texts = [e.data["facts"] for _, examples in splits.items() for e in examples]
    assert len(set(texts)) == len(texts)
    for _, examples in splits.items():
        for example in examples:
            names = [name for name, _, _ in clauses(example)]
            assert 2 <= len(names) <= 4
            assert "" in names
            assert len(set(names)) > 1
            assert all(len({end.split()[0] for end in ends}) == len(ends) for _, _, ends in clauses(example))


def test_gold_scores_one_and_others_score_zero(task: Logic, splits: Splits) -> None:
    for _, examples in splits.items():
        for example in examples:
            assert task.score(example, f" {task.target(example)}\n") == 1.0
            assert sum(task.score(example, label) for label in task.labels) == 1.0
            assert task.score(example, "") == 0.0


def test_prompts_are_short(task: Logic, splits: Splits) -> None:
    prompts = [task.prompt(e) for _, examples in splits.items() for e in examples]
    assert median(map(len, prompts)) < 235
    assert max(map(len, prompts)) < 320
    for prompt in prompts:
        assert prompt.endswith("\nQuestion: Does Zoe stay?\nAnswer:")


def test_what_is_on_the_surface(task: Logic, splits: Splits) -> None:
    def accuracy(guess: Callable[[Example], str]) -> float:
        return sum(task.score(e, guess(e)) for e in splits.test) / len(splits.test)

    def last_mention(example: Example) -> str:
        return "yes" if re.findall(r"Zoe (\w+)", example.data["facts"])[-1] == "stays" else "no"

    assert accuracy(lambda _: "unknown") == pytest.approx(1 / 3)
    # All that is stated outright and all that is open; nothing that takes an inference.
    assert accuracy(task.naive) == pytest.approx(0.6)
    assert 0.45 < accuracy(last_mention) < 0.55


@pytest.mark.parametrize(("words", "expected"), [((1, 1), (0.38, 0.5)), ((1, 3), (0.52, 0.66))])
def test_a_bag_of_words_does_not_solve_it(
    splits: Splits, words: tuple[int, int], expected: tuple[float, float]
) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    def texts(examples: tuple[Example, ...]) -> list[str]:
        return [e.data["facts"] for e in examples]

    def answers(examples: tuple[Example, ...]) -> list[str]:
        return [e.data["answer"] for e in examples]

    train = splits.train[:2000]
    bag = CountVectorizer(ngram_range=words, min_df=3, token_pattern=r"\w+", lowercase=False)
    model = LogisticRegression(C=0.3, max_iter=3000).fit(bag.fit_transform(texts(train)), answers(train))
    assert expected[0] < model.score(bag.transform(texts(splits.test)), answers(splits.test)) < expected[1]


@pytest.mark.parametrize(
    ("facts", "guess"),
    [
        ("Zoe stays. If Zoe leaves, Tom stays.", "yes"),
        ("If Zoe stays, Tom leaves. Zoe leaves.", "no"),
        ("Tom stays and Zoe leaves. Amy stays.", "no"),
        ("Zoe stays and Tom leaves. Amy stays, Zoe leaves, or both.", "yes"),
        ("If Tom stays, Zoe leaves. Tom stays.", "unknown"),
        ("Zoe leaves exactly when Tom stays. Tom stays.", "unknown"),
        ("Tom stays. Tom leaves, Zoe stays, or both.", "unknown"),
    ],
)
def test_naive_reads_what_is_stated(task: Logic, facts: str, guess: str) -> None:
    assert task.naive(Example(id="x", group="x", data={"facts": facts})) == guess


def test_without_its_generator_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym.logic.propositional_logic", None)
    with pytest.raises(PluginError, match=r"pip install reasoning-gym==0\.1\.25"):
        Logic().load()
