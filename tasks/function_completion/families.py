"""The families of functions: each yields specifications, and a specification drafts functions.

A specification is a composition of parts, constants left open. Its drafts differ in constants,
wording and names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from random import Random

from tasks.function_completion import parts, reducers
from tasks.function_completion.parts import Bound, Part, bind, singular
from tasks.function_completion.reducers import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A function without its examples.

    Attributes:
        name: The function's name.
        arguments: Its arguments.
        inputs: What to draw for each argument.
        doc: The sentence of its docstring.
        body: The reference body, indented.
        constants: Every constant in the body, to draw arguments near them.
        pieces: Each predicate and transform as it stands in the body, and what is left without it.
    """

    name: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    doc: str
    body: str
    constants: tuple[int | str, ...]
    pieces: tuple[tuple[str, str], ...]

    @property
    def header(self) -> str:
        """The signature's line."""
        return f"def {self.name}({', '.join(self.arguments)}):\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """A composition. `key` names it, and two specifications with the same key are the same."""

    key: str
    level: int
    draft: Callable[[Random], Draft]


def outline(
    rng: Random,
    kinds: list[str],
    argument: str,
    kind_of_input: str,
    doc: str,
    body: str,
    x: str,
    bound: list[Bound],
) -> Draft:
    """A draft from its wording and body; `bound` are its predicates and transforms, applied to `x`."""
    extra = tuple(dict.fromkeys(b.part.argument for b in bound if b.part.argument))
    # One name in four tells nothing, so that the docstring has to be read.
    name = "_".join(kinds) if rng.randrange(4) else rng.choice(("compute", "solve", "process", "evaluate"))
    return Draft(
        name=name,
        arguments=(argument, *extra),
        inputs=(kind_of_input, *extra),
        doc=doc,
        body="    " + body,
        constants=tuple(value for b in bound for value in b.values),
        pieces=tuple((b.code(x), x if b.part.gives else "True") for b in bound),
    )


def condition(bound: list[Bound], x: str) -> str:
    """All of the predicates at once, or an empty string."""
    return " and ".join(b.code(x) for b in bound)


def _fold(source: Source, filters: list[Part], change: Part | None, reducer: Part, rng: Random) -> Draft:
    argument, x = rng.choice(source.names), source.x
    kept, end = [bind(part, rng) for part in filters], bind(reducer, rng)
    changed = bind(change, rng) if change else None
    base = source.noun.format(arg=argument)
    pred = " and ".join(b.phrase() for b in kept)
    what = f"the {base} that {pred}" if kept else f"the {base}"
    fields = {"base": base, "pred": pred, "pred_one": singular(pred) if pred else ""}
    if changed is None:
        doc = end.phrase(what=what, **fields)
    elif rng.randrange(2):
        doc = end.phrase(what=f"{what}, each {changed.phrase(0)}", **fields)
    else:
        last = end.phrase(what="the results", **fields)
        doc = f"{changed.phrase(1, o=what)}, then {last[0].lower()}{last[1:]}"
    p = condition(kept, x)
    body = end.code(
        x,
        e=changed.code(x) if changed else x,
        xs=source.code.format(arg=argument),
        p=p,
        c=f" if {p}" if p else "",
    )
    bound = [*kept, *([changed] if changed else [])]
    kinds = [part.kind for part in (reducer, *filters, *([change] if change else []))]
    return outline(rng, kinds, argument, source.input, doc, body, x, bound)


def key_of(family: str, source: Source, *chosen: Part | None) -> str:
    """The name of a composition."""
    return "/".join([family, source.kind, *(part.kind if part else "-" for part in chosen)])


def _folds(modes: str) -> Iterator[Spec]:
    for source in reducers.SOURCES:
        filters, changes = (None, *source.predicates), (None, *source.transforms)
        for kept, change, end in product(filters, changes, reducers.REDUCERS):
            mode = {(True, False): "f", (False, True): "m", (True, True): "b"}.get((bool(kept), bool(change)))
            gives = change.gives if change else source.type
            backwards = "reversed" in end.code and not source.sequence
            trivial = source in (reducers.DIGITS, reducers.CHARS) and end.kind == "longest"
            if mode is None or mode not in modes or mode not in end.modes:
                continue
            if gives not in end.takes or backwards or trivial:
                continue
            plain = source in (reducers.NUMBERS, reducers.WORDS, reducers.CHARS)
            steps = len(mode.replace("b", "fm")) + (not plain) + bool(kept and kept.argument)
            yield Spec(
                key=key_of("fold", source, kept, change, end),
                level=min(steps + ("\n" in end.code), 3),
                draft=partial(_fold, source, [kept] if kept else [], change, end),
            )


def simple_folds() -> Iterator[Spec]:
    """A filter or a map, and a reducer, over every source."""
    return _folds("fm")


def full_folds() -> Iterator[Spec]:
    """A filter, a map and a reducer, over every source."""
    return _folds("b")


def double_filters() -> Iterator[Spec]:
    """Two filters, both of which must hold, and a reducer."""
    for source in (reducers.NUMBERS, reducers.WORDS, reducers.CHARS):
        simple = [part for part in source.predicates if " or " not in part.code and " and " not in part.code]
        ends = [
            part for part in reducers.REDUCERS if part.kind in ("list", "count", "sum", "first", "positions")
        ]
        # Combinations, not products: the order of two filters makes no other function.
        for (one, two), end in product(combinations(simple, 2), ends):
            if source.type in end.takes:
                draft = partial(_fold, source, [one, two], None, end)
                yield Spec(key=key_of("both", source, one, two, end), level=2, draft=draft)


_SINGLES = (
    ("number", ("n", "number", "x"), parts.NUMBER_PREDICATES, parts.NUMBER_TRANSFORMS[:-1]),
    ("word", ("word", "name", "s"), parts.WORD_PREDICATES, parts.WORD_TRANSFORMS),
)


def _branch(kind: str, names: tuple[str, ...], chosen: list[Part], rng: Random) -> Draft:
    argument = rng.choice(names)
    test, yes, no = (bind(part, rng) for part in chosen)
    when = f"{argument} {singular(test.phrase())}"
    one, two = (b.phrase(2, o=argument) for b in (yes, no))
    doc = rng.choice((f"Return {one} if {when}, otherwise {two}.", f"If {when}, return {one}, else {two}."))
    body = f"if {test.code(argument)}:\n        return {yes.code(argument)}\n    return {no.code(argument)}"
    kinds = [yes.part.kind, "if", test.part.kind]
    return outline(rng, kinds, argument, kind, doc, body, argument, [test, yes, no])


def branches() -> Iterator[Spec]:
    """One of two expressions of a single number or word."""
    for kind, names, predicates, transforms in _SINGLES:
        for test, yes, no in product(predicates, transforms, transforms):
            if yes is not no:
                key = "/".join(("branch", kind, test.kind, yes.kind, no.kind))
                yield Spec(key=key, level=2, draft=partial(_branch, kind, names, [test, yes, no]))


_LABELS = ("low", "mid", "high", "yes", "no", "red", "blue", "hot", "cold", "first", "other", "none")


def _grade(kind: str, names: tuple[str, ...], tests: list[Part], rng: Random) -> Draft:
    argument = rng.choice(names)
    bound = [bind(part, rng) for part in tests]
    a, b, c = (repr(label) for label in rng.sample(_LABELS, 3))
    one, two = (f"{argument} {singular(test.phrase())}" for test in bound)
    doc = f"Return {a} if {one}, otherwise {b} if {two}, otherwise {c}."
    body = "\n".join(
        (
            f"if {bound[0].code(argument)}:",
            f"        return {a}",
            f"    if {bound[1].code(argument)}:",
            f"        return {b}",
            f"    return {c}",
        )
    )
    kinds = ["label", *(part.kind for part in tests)]
    return outline(rng, kinds, argument, kind, doc, body, argument, bound)


def grades() -> Iterator[Spec]:
    """One of three labels for a number or a word."""
    for kind, names, predicates, _ in _SINGLES:
        for one, two in product(predicates, predicates):
            if one is not two:
                key = "/".join(("grade", kind, one.kind, two.kind))
                yield Spec(key=key, level=2, draft=partial(_grade, kind, names, [one, two]))


def _chain(kind: str, names: tuple[str, ...], steps: tuple[Part, ...], rng: Random) -> Draft:
    argument = rng.choice(names)
    bound = [bind(part, rng) for part in steps]
    verbs = [
        b.phrase(1, o="the result" if place else argument).replace("each of ", "")
        for place, b in enumerate(bound)
    ]
    rest = ", then ".join(verb[0].lower() + verb[1:] for verb in verbs[1:])
    doc = f"{verbs[0]}, then {rest}, and return the result."
    lines = [f"{argument} = {b.code(argument)}" for b in bound[:-1]]
    body = "\n    ".join([*lines, f"return {bound[-1].code(argument)}"])
    kinds = [part.kind for part in steps]
    return outline(rng, kinds, argument, kind, doc, body, argument, bound)


def chains() -> Iterator[Spec]:
    """Two or three steps applied to a number or a word, one after another."""
    for kind, names, _, transforms in _SINGLES:
        steps = [part for part in transforms if part.gives == ("int" if kind == "number" else "str")]
        for length in (2, 3):
            for chosen in product(steps, repeat=length):
                if len(set(chosen)) == length:
                    key = "/".join(("chain", kind, *(part.kind for part in chosen)))
                    yield Spec(key=key, level=length, draft=partial(_chain, kind, names, chosen))
