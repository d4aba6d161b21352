"""Hidden tests that tell a function from its near misses.

Candidates are drawn near the constants of a function, and the tests are chosen among them: one edge
case, then calls that expose each near miss (a boundary moved, a clause or a step left out), then calls
whose results were seen least so far, so that constants fail.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random

from tasks.function_completion.families import Draft
from tasks.function_completion.inputs import Value, draw, edge

Call = tuple[Value, ...]
Pair = tuple[Call, object]
Function = Callable[..., object]

_TESTS = 10
_CANDIDATES = 32
# A near miss by one edit: which text, and what it becomes.
_SLIPS = (
    (re.compile(r" > "), " >= "),
    (re.compile(r" < "), " <= "),
    (re.compile(r" >= "), " > "),
    (re.compile(r" <= "), " < "),
    (re.compile(r"reversed\("), "list("),
    (re.compile(r"\(\{(.*)\}\)"), r"([\1])"),
    (re.compile(r"default=0"), "default=None"),
    (re.compile(r"default=None"), "default=0"),
    (re.compile(r"default=''"), "default=None"),
    (re.compile(r", None\)$"), ", 0)"),
    (re.compile(r", -1\)$"), ", None)"),
    (re.compile(r"(?<=[ (+*/%-])[2-9](?=[):\] \n]|$)"), "1"),
)


def examples(draft: Draft, rng: Random) -> tuple[list[Pair], Pair] | None:
    """The hidden tests and the example to show, or None where the draft says too little.

    A draft is refused where a clause or a step could be left out unnoticed, where its results hardly
    vary, and where one of its arguments is most often the result.
    """
    function = compiled(draft.header, draft.name, draft.body)
    pool = _candidates(draft, function, rng)
    tests, rest = pool[:1], pool[1:]
    for body, needed in _near_misses(draft):
        try:
            wrong = compiled(draft.header, draft.name, body)
        except SyntaxError:
            continue
        if any(_differs(wrong, pair) for pair in tests):
            continue
        found = next((place for place, pair in enumerate(rest) if _differs(wrong, pair)), None)
        if found is not None and len(tests) < _TESTS:
            tests.append(rest.pop(found))
        elif needed:
            return None
    tests, rest = _fill(tests, rest)
    shown = _shown(rest)
    return (tests, shown) if shown and _telling(tests) else None


def compiled(header: str, name: str, body: str) -> Function:
    """The function that the text defines. For text written by this package only."""
    scope: dict[str, Function] = {}
    exec(header + body, scope)
    return scope[name]


def _near_misses(draft: Draft) -> Iterator[tuple[str, bool]]:
    """Bodies one edit away, and whether a draft that cannot be told from it is of no use."""
    for code, instead in draft.pieces:
        if code in draft.body:
            yield draft.body.replace(code, instead), True
    for pattern, instead in _SLIPS:
        for match in pattern.finditer(draft.body):
            yield draft.body[: match.start()] + match.expand(instead) + draft.body[match.end() :], False


def _differs(function: Function, pair: Pair) -> bool:
    call, value = pair
    try:
        return repr(function(*deepcopy(call))) != repr(value)
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return True


def _candidates(draft: Draft, function: Function, rng: Random) -> list[Pair]:
    """Distinct calls with their results, the one with the smallest arguments first."""
    calls = [edge(draft.inputs, draft.constants, rng)]
    for _ in range(_CANDIDATES):
        call = draw(draft.inputs, draft.constants, rng)
        if call not in calls:
            calls.append(call)
    return [(call, function(*call)) for call in calls]


def _fill(tests: list[Pair], rest: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Adds calls until there are `_TESTS`, always one whose result was seen least often so far."""
    seen = Counter(repr(value) for _, value in tests)
    left = [(repr(pair[1]), pair) for pair in rest]
    tests = list(tests)
    while left and len(tests) < _TESTS:
        pick = min(range(len(left)), key=lambda place: seen[left[place][0]])
        text, pair = left.pop(pick)
        seen[text] += 1
        tests.append(pair)
    return tests, [pair for _, pair in left]


def _telling(tests: list[Pair]) -> bool:
    """Whether constants and the arguments themselves fail: several results, none of them dominant."""
    seen = Counter(repr(value) for _, value in tests)
    distinct = 2 if {type(value) for _, value in tests} == {bool} else 3
    most = _TESTS - 3
    echoes = max(
        sum(repr(call[place]) == repr(value) for call, value in tests) for place in range(len(tests[0][0]))
    )
    return len(tests) == _TESTS and len(seen) >= distinct and seen.most_common(1)[0][1] <= most >= echoes


def _shown(rest: list[Pair]) -> Pair | None:
    """The example for the docstring: short, with a result that tells something."""
    telling = [(call, value) for call, value in rest if isinstance(value, bool) or (value and value != -1)]
    return min(telling, key=lambda pair: abs(len(repr(pair)) - 30), default=None)
