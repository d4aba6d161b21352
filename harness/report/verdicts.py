"""A check as a terminal table, Markdown for a pull request, JSON and JUnit: verdicts in, text out."""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

from harness.regression import verdict as verdicts
from harness.regression.cost import TOLERANCES
from harness.regression.verdict import Check, Cost, Evidence, Quality, worst_first
from harness.report import words
from harness.text import printable, terminal

SHOWN = 15
"""Rows of one table in a comment; the rest are counted."""
COLOURS = {
    verdicts.REGRESSION: "bold red",
    verdicts.FAILED: "bold red",
    verdicts.MISSING: "bold red",
    verdicts.NOT_COMPARABLE: "yellow",
    verdicts.INCONCLUSIVE: "yellow",
    verdicts.IMPROVEMENT: "green",
    verdicts.PASS: "green",
    verdicts.NOT_GATED: "dim",
}
MEANING = {
    verdicts.REGRESSION: "something got worse, and the evidence says it is no chance",
    verdicts.FAILED: "a cell failed, vanished, or nothing could be compared",
    verdicts.INCONCLUSIVE: "nothing is shown to be worse, nor that nothing lost more than the margin",
    verdicts.PASS: "no cell, method or task lost more than the margin",
}
UNITS = {"peak_bytes": 1e9, "train_flops": 1e12, "disk_bytes": 1e6}
COLUMNS = ("where", "verdict", "baseline", "candidate", "change, points", "drop seen in 90%", "note")
COST_COLUMNS = ("method", "cost", "verdict", "baseline", "candidate", "change", "allowed", "note")


def to_terminal(check: Check, console: Console) -> None:
    """Totals and cells, worst first, then the costs that did not pass."""
    console.print(f"[{COLOURS[check.verdict]}]{check.verdict}[/]: {MEANING[check.verdict]}")
    for line in _lines(check):
        console.print(terminal(line))
    console.print()
    console.print(_table(COLUMNS, [_quality(one) for one in _ordered(check)], 1))
    costs = _costs(check)
    if costs:
        console.print()
        console.print(_table(COST_COLUMNS, [_cost(one) for one in costs], 2))


def to_markdown(check: Check, command: str) -> str:
    """A comment of about one screen: worst first, with the figures and the command to reproduce."""
    parts = [
        f"### Tuneoff: {check.verdict}",
        f"{MEANING[check.verdict][0].upper()}{MEANING[check.verdict][1:]}.",
        *(words.escaped(line) for line in _lines(check)),
        *_markdown(COLUMNS, [_quality(one) for one in _ordered(check)]),
        *_markdown(COST_COLUMNS, [_cost(one) for one in _costs(check)]),
        f"To reproduce:\n\n    {command}",
    ]
    return "\n\n".join(parts) + "\n"


def to_json(check: Check, *, strict: bool) -> str:
    """Everything, scores from 0 to 1, with the verdict and the exit code."""
    body = {"verdict": check.verdict, "exit_code": check.exit_code(strict=strict), **asdict(check)}
    return json.dumps(body, indent=1, allow_nan=False) + "\n"


def to_junit(check: Check, *, strict: bool) -> str:
    """One test case a verdict: regressions fail, broken cells are errors, what says nothing is skipped."""
    tests = [(f"quality.{one.level}", _where(one), one.verdict, _note(one)) for one in check.qualities]
    tests += [("cost", f"{one.method}: {one.cost}", one.verdict, _cost(one)[-1]) for one in check.costs]
    kinds = {
        verdicts.REGRESSION: "failure",
        verdicts.FAILED: "error",
        verdicts.MISSING: "error",
        verdicts.NOT_COMPARABLE: "failure" if strict else "skipped",
        verdicts.INCONCLUSIVE: "failure" if strict else "skipped",
        verdicts.NOT_GATED: "skipped",
    }
    counts = Counter(kinds.get(verdict) for _, _, verdict, _ in tests)
    suite = ElementTree.Element(
        "testsuite",
        name="tuneoff",
        tests=str(len(tests)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
    )
    for group, name, verdict, note in tests:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"tuneoff.{group}", name=printable(name)[: words.LONGEST]
        )
        kind = kinds.get(verdict)
        if kind is not None:
            message = printable(f"{verdict}: {note}" if note else verdict)[: words.LONGEST]
            ElementTree.SubElement(case, kind, message=message)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def command(
    baseline: str, candidate: str, *, margin: float, strict: bool, interleaving: Sequence[str] = ()
) -> str:
    """The command line that compares the same two folders again, in one line whatever they are called.

    Args:
        baseline: The one folder.
        candidate: The other.
        margin: In points of score.
        strict: As the check was.
        interleaving: The options that had both sides run alternately, without which seconds would be judged
            by what two jobs may differ in.
    """
    options = ["--baseline", baseline, "--candidate", candidate, *interleaving, "--margin", f"{margin:g}"]
    said = [shlex.quote(printable(part)[: words.LONGEST]) for part in options]
    return " ".join(["python -m harness check", *said, *["--strict"] * strict])


def _ordered(check: Check) -> list[Quality]:
    """Worst first; among equals totals before the cells they are made of."""
    found = []
    for verdict in verdicts.WORST_FIRST:
        for levels in (("suite", "method", "task"), ("cell",)):
            found += worst_first(
                [one for one in check.qualities if one.verdict == verdict and one.level in levels]
            )
    return found


def _costs(check: Check) -> list[Cost]:
    """The costs that did not simply pass; those of other machines are told in a sentence."""
    telling = [one for one in check.costs if one.verdict not in (verdicts.PASS, verdicts.NOT_GATED)]
    return sorted(telling, key=lambda one: (verdicts.WORST_FIRST.index(one.verdict), -(one.ratio or 0)))


def _lines(check: Check) -> list[str]:
    cells = [one for one in check.qualities if one.level == "cell"]
    counts = Counter(one.verdict for one in cells)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts.WORST_FIRST if counts[verdict])
    seeds = {one.evidence.seeds for one in cells if one.evidence}
    lines = [
        f"Compared {check.candidate} with {check.baseline}: {_count(len(cells), 'cell')} ({told}), "
        f"{_count(max(seeds, default=0), 'seed')}, margin {100 * check.margin:g} points."
    ]
    if seeds and any(not one.evidence.identical for one in cells if one.evidence):
        lines.append(_spread(check))
    if check.changes:
        more = f", and {len(check.changes) - 10} more" if len(check.changes) > 10 else ""
        lines.append(f"Changed: {'; '.join(check.changes[:10])}{more}.")
    if check.new:
        named = ", ".join("/".join(cell) for cell in check.new[:5])
        lines.append(f"Not in the baseline: {named}{' and more' if len(check.new) > 5 else ''}.")
    ungated = Counter(one.reason for one in check.costs if one.verdict == verdicts.NOT_GATED)
    if ungated:
        why = ", ".join(
            f"{_count(count, 'figure')} ({reason})" for reason, count in sorted(ungated.items(), key=str)
        )
        lines.append(f"Costs not gated: {why}.")
    return lines


def _spread(check: Check) -> str:
    what = "the same seeds on both sides" if check.paired else "other seeds on each side"
    how = (
        f"measured with {check.seed_degrees} degrees of freedom"
        if check.seed_degrees
        else "assumed, since no cell has two seeds that could differ"
    )
    return f"Spread between seeds, {what}: {100 * check.seed_deviation:.1f} points, {how}."


def _quality(one: Quality) -> list[str]:
    evidence = one.evidence
    if evidence is None:
        return [_where(one), one.verdict, *[words.ABSENT] * 4, _note(one)]
    low, high = (f"{100 * value:+.1f}" for value in (evidence.low, evidence.high))
    change = "identical" if evidence.identical else f"{100 * evidence.change:+.1f} [{low}, {high}]"
    return [
        _where(one),
        one.verdict,
        words.percent(evidence.baseline),
        words.percent(evidence.candidate),
        change,
        words.ABSENT if evidence.identical else f"{100 * evidence.detectable:.1f}",
        _note(one),
    ]


def _note(one: Quality) -> str:
    if one.evidence is None:
        return one.reason or ""
    if one.verdict == verdicts.REGRESSION:
        return f"p = {one.evidence.p_value:.2g} after correction"
    if one.verdict != verdicts.INCONCLUSIVE:
        return ""
    return _settle(one.evidence)


def _settle(evidence: Evidence) -> str:
    ways = []
    if evidence.more_seeds is not None:
        ways.append(f"{math.ceil(evidence.more_seeds * evidence.seeds)} seeds")
    if evidence.more_items is not None:
        ways.append(f"{math.ceil(evidence.more_items * evidence.items)} items")
    alone = "; items alone would not" if evidence.more_items is None else ""
    return f"{' or '.join(ways)} would settle it{alone}"


def _where(one: Quality) -> str:
    if one.level == "suite":
        return f"all {one.cells} cells"
    if one.level == "cell":
        return f"{one.task} / {one.method}"
    return f"{one.method or one.task}: {_count(one.cells, 'cell')}"


def _cost(one: Cost) -> list[str]:
    scale = UNITS.get(one.cost, 1.0)
    figures = [
        words.ABSENT if value is None else f"{value / scale:,.6g}" for value in (one.baseline, one.candidate)
    ]
    change = words.ABSENT if one.ratio is None else _percent(one)
    allowed = words.ABSENT if one.allowed is None else f"{100 * one.allowed:.0f}%"
    note = one.reason or (f"worst on {one.task}" if one.task is not None else "")
    return [one.method, TOLERANCES[one.cost].label, one.verdict, *figures, change, allowed, note]


def _percent(one: Cost) -> str:
    ratio = one.ratio or 1.0
    return f"{ratio:.1f} times" if ratio >= 3 else f"{100 * (ratio - 1):+.1f}%"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], verdict_at: int) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        cells = [terminal(printable(text)[: words.LONGEST]) for text in row]
        cells[verdict_at] = f"[{COLOURS[row[verdict_at]]}]{cells[verdict_at]}[/]"
        table.add_row(*cells)
    return table


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The table as a list of one, or nothing; long ones are cut and say so."""
    if not rows:
        return []
    lines = [list(columns), ["---"] * len(columns)]
    lines += [[words.escaped(text) for text in row] for row in rows[:SHOWN]]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    more = (
        Counter(row[COLUMNS.index("verdict")] for row in rows[SHOWN:])
        if columns == COLUMNS
        else Counter[str]()
    )
    told = ", ".join(f"{count} {verdict}" for verdict, count in more.items())
    return [table, *([f"Not shown: {told}."] if told else [])]
