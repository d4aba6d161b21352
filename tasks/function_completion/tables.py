"""More families: dictionaries, groups, element-wise conditions, and pairs of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from random import Random

from tasks.function_completion import parts, reducers
from tasks.function_completion.families import Draft, Spec, condition, key_of, outline
from tasks.function_completion.parts import Part, bind, singular
from tasks.function_completion.reducers import Source

_BUILDERS = {
    "map": (
        "Return a dictionary that maps each of {what} to {of_it}.",
        "return {{{x}: {e} for {x} in {xs}{c}}}",
    ),
    "tally": (
        "Take {of_each}, and return a dictionary of how often each result occurs.",
        "found = {{}}\n    for {x} in {xs}:{gate}\n{pad}key = {e}\n"
        "{pad}found[key] = found.get(key, 0) + 1\n    return found",
    ),
    "group": (
        "Group {what} into a dictionary of lists, using {by_each} as the key.",
        "found = {{}}\n    for {x} in {xs}:{gate}\n"
        "{pad}found.setdefault({e}, []).append({x})\n    return found",
    ),
}


def _build(builder: str, source: Source, kept: Part | None, change: Part, rng: Random) -> Draft:
    argument, x = rng.choice(source.names), source.x
    filters = [bind(kept, rng)] if kept else []
    changed = bind(change, rng)
    what = source.noun.format(arg=argument) + "".join(f" that {b.phrase()}" for b in filters)
    sentence, template = _BUILDERS[builder]
    doc = sentence.format(
        what=f"the {what}",
        of_it=changed.phrase(2, o="it"),
        by_each=changed.phrase(2, o="each"),
        of_each=changed.phrase(2, o=f"each of the {what}"),
    )
    p = condition(filters, x)
    body = template.format(
        x=x,
        e=changed.code(x),
        xs=source.code.format(arg=argument),
        c=f" if {p}" if p else "",
        gate=f"\n        if {p}:" if p else "",
        pad=" " * (12 if p else 8),
    )
    kinds = [builder, *(b.part.kind for b in filters), change.kind]
    return outline(rng, kinds, argument, source.input, doc, body, x, [*filters, changed])


def builders() -> Iterator[Spec]:
    """Dictionaries built from the elements of a list, a sentence or a string."""
    for source in (reducers.NUMBERS, reducers.WORDS, reducers.SENTENCE, reducers.CHARS, reducers.RANGE):
        for builder, kept, change in product(_BUILDERS, (None, *source.predicates), source.transforms):
            yield Spec(
                key=key_of(builder, source, kept, change),
                level=3 if kept or builder != "map" else 2,
                draft=partial(_build, builder, source, kept, change),
            )


_ENTRIES = {
    "entries": (
        "Return a dictionary of the entries of {arg} whose values {pred}.",
        "return {{k: v for k, v in {arg}.items() if {p}}}",
    ),
    "keys": (
        "Return a list of the keys of {arg} whose values {pred}.",
        "return [k for k, v in {arg}.items() if {p}]",
    ),
    "sorted_keys": (
        "Return the sorted keys of {arg} whose values {pred}.",
        "return sorted(k for k, v in {arg}.items() if {p})",
    ),
    "changed": (
        "Return a dictionary of the entries of {arg} whose values {pred}, with each value {each}.",
        "return {{k: {e} for k, v in {arg}.items() if {p}}}",
    ),
}


def _select(entry: str, kept: Part, change: Part, rng: Random) -> Draft:
    argument = rng.choice(reducers.SCORES.names)
    test, changed = bind(kept, rng), bind(change, rng)
    sentence, template = _ENTRIES[entry]
    doc = sentence.format(arg=argument, pred=test.phrase(), each=changed.phrase(0))
    body = template.format(arg=argument, p=test.code("v"), e=changed.code("v"))
    bound = [test, changed] if entry == "changed" else [test]
    kinds = [entry, *(b.part.kind for b in bound)]
    return outline(rng, kinds, argument, "table", doc, body, "v", bound)


def selections() -> Iterator[Spec]:
    """Entries or keys of a dictionary, chosen by value."""
    for entry, kept in product(_ENTRIES, parts.NUMBER_PREDICATES):
        changes = parts.NUMBER_TRANSFORMS if entry == "changed" else parts.NUMBER_TRANSFORMS[:1]
        for change in changes:
            used = change if entry == "changed" else None
            yield Spec(
                key=key_of(entry, reducers.SCORES, kept, used),
                level=3 if used else 2,
                draft=partial(_select, entry, kept, change),
            )


def _choose(source: Source, chosen: list[Part], rng: Random) -> Draft:
    argument, x = rng.choice(source.names), source.x
    test, yes, no = (bind(part, rng) for part in chosen)
    noun = {"v": "number", "w": "word"}[x]
    doc = (
        f"For each {noun} {x} in {argument}, take {yes.phrase(2, o=x)} if {x} {singular(test.phrase())}, "
        f"otherwise {no.phrase(2, o=x)}. Return a list."
    )
    body = f"return [{yes.code(x)} if {test.code(x)} else {no.code(x)} for {x} in {argument}]"
    kinds = [yes.part.kind, test.part.kind, no.part.kind]
    return outline(rng, kinds, argument, source.input, doc, body, x, [test, yes, no])


def choices() -> Iterator[Spec]:
    """A list in which each element becomes one of two expressions."""
    for source in (reducers.NUMBERS, reducers.WORDS):
        for test, yes, no in product(source.predicates, source.transforms, source.transforms):
            if yes is not no and yes.gives == no.gives:
                draft = partial(_choose, source, [test, yes, no])
                yield Spec(key=key_of("choice", source, test, yes, no), level=3, draft=draft)


_PAIRS = (
    ("sums", "sums", "a + b"),
    ("products", "products", "a * b"),
    ("rises", "differences (second minus first)", "b - a"),
    ("falls", "differences (first minus second)", "a - b"),
    ("gaps", "absolute differences", "abs(a - b)"),
    ("maxima", "maxima", "max(a, b)"),
    ("minima", "minima", "min(a, b)"),
)


def _pair(pair: tuple[str, str, str], neighbours: bool, reducer: Part, rng: Random) -> Draft:
    end = bind(reducer, rng)
    kind, noun, code = pair
    argument = rng.choice(reducers.NUMBERS.names)
    other = "others"
    if neighbours:
        what, xs = f"the {noun} of neighbouring numbers in {argument}", f"zip({argument}, {argument}[1:])"
    else:
        what = f"the {noun} of the numbers at the same places in {argument} and {other}"
        xs = f"zip({argument}, {other})"
    body = end.code("a, b", e=code, xs=xs, c="")
    doc = end.phrase(what=what)
    draft = outline(rng, [reducer.kind, kind], argument, "numbers", doc, body, "a", [])
    if neighbours:
        return draft
    return replace(draft, arguments=(argument, other), inputs=("numbers", "numbers"))


def pairs() -> Iterator[Spec]:
    """An operation on neighbours in a list, or on two lists in step, and a reducer."""
    plain = [
        part
        for part in reducers.REDUCERS
        if "m" in part.modes and "int" in part.takes and "reversed" not in part.code
    ]
    for pair, neighbours, end in product(_PAIRS, (True, False), plain):
        kind = "neighbours" if neighbours else "in_step"
        yield Spec(
            key="/".join(("pair", kind, pair[0], end.kind)),
            level=3 if "\n" in end.code else 2,
            draft=partial(_pair, pair, neighbours, end),
        )
