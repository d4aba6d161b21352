"""The report's page, and the short form of it that a README embeds."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from harness.errors import ResultError
from harness.report import article, chart, table, words
from harness.report.findings import cautions, findings
from harness.report.palette import order
from harness.report.rows import Board, Row, board, compared, methods_of
from harness.result import Result, write_atomic

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
SUMMARY_CHARTS = (
    ("quality-vs-seconds", "Mean quality against training seconds"),
    ("quality-vs-memory", "Mean quality against peak memory"),
    ("learning-curves", "Training loss against step, a panel a task"),
    ("where-the-seconds-went", "Seconds of each phase, a bar a method"),
)
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # the page is Markdown, not HTML: harness.report.words escapes what results say
)


def render(results: Sequence[Result], folder: Path, *, name: str) -> Path:
    """Write `report.md` and its figures into `folder`, over an earlier report there.

    Any part of a grid will do: it is called again whenever a cell ends.

    Args:
        results: What to report, in any order.
        folder: Made where it is missing.
        name: Title of the report, usually the run's.

    Returns:
        The path of `report.md`.

    Raises:
        ResultError: There are no results, or the folder cannot be written.
    """
    if not results:
        raise ResultError("a report needs at least one result; run some cells first")
    results = sorted(results, key=lambda cell: (cell.task, cell.method, cell.seed))
    rows = board(results)
    whole = compared(rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        quality = {
            task: _save(folder, f"quality-{slug(task)}", chart.quality(task, rows[task])) for task in rows
        }
        charts = _summary_charts(rows, whole, folder)
    except OSError as error:
        raise ResultError(f"cannot write the report to {folder}: {error.strerror or error}") from error
    page = TEMPLATES.get_template("report.md.jinja").render(
        title=f"Tuneoff report: {words.escaped(name)}",
        lead=_lead(results),
        memory=_memory(results),
        gain=table.GAIN,
        cautions=cautions(rows),
        tasks=[_task(task, own, quality[task]) for task, own in rows.items()],
        article=article,
        summary=_summary(rows, whole),
        charts=charts,
        unfinished=_markdown(table.unfinished_table(results)),
        truncation=_markdown(table.truncation_table(rows)),
        **_reproduce(results, rows),
    )
    path = folder / "report.md"
    write_atomic(path, re.sub(r"\n{3,}", "\n\n", page).strip() + "\n")
    return path


def readme_block(results: Sequence[Result], *, folder: str = "reports/reference") -> str:
    """One table and the summary's figures, for a README.

    Args:
        results: The same results as the report's.
        folder: Where that report was rendered, relative to the README.
    """
    rows = board(results)
    links = [f"![{alt}]({folder}/{file}.png)" for file, alt in SUMMARY_CHARTS[:2]]
    return "\n\n".join([_lead(results), table.markdown(table.readme_table(rows)), *links])


def update_readme(readme: Path, block: str) -> None:
    """Replace what stands between the two results markers of a README.

    Raises:
        ResultError: The file cannot be read or written, or does not hold each marker once, in order.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultError(f"cannot read {readme}: {error.strerror or error}") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end or text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ResultError(f"{readme} must hold the lines {BEGIN} and {END} once each, in this order")
    write_atomic(readme, f"{before}{begin}\n{block}\n{end}{after}")


def slug(name: str) -> str:
    """A file name for a task, unique even where two names differ only in what a file name cannot hold."""
    safe = re.sub(r"[^a-z0-9_-]+", "-", name.lower())[:60]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _save(folder: Path, file: str, figure: Any) -> str | None:
    if figure is None:
        return None
    chart.save(figure, folder / f"{file}.png")
    return f"{file}.png"


def _summary_charts(rows: Board, whole: Board, folder: Path) -> list[dict[str, str]]:
    figures = (
        chart.trade_off(whole, lambda row: row.seconds, "training seconds") if whole else None,
        chart.trade_off(whole, _gigabytes, "peak memory, GB") if whole else None,
        chart.curves(rows),
        chart.phases(whole) if whole else None,
    )
    pairs = zip(SUMMARY_CHARTS, figures, strict=True)
    saved = [(_save(folder, file, figure), alt) for (file, alt), figure in pairs]
    return [{"file": file, "alt": alt} for file, alt in saved if file]


def _gigabytes(row: Row) -> float | None:
    return None if row.peak_bytes is None else row.peak_bytes / 1e9


def _markdown(frame: Any) -> str | None:
    return None if frame is None else table.markdown(frame)


def _task(task: str, rows: Mapping[str, Row], file: str | None) -> dict[str, Any]:
    claimed = task in article.CLAIMS and any(method in rows for method in article.CLAIMS[task])
    return {
        "title": words.escaped(task),
        "alt": words.escaped(task),
        "table": table.markdown(table.task_table(rows)),
        "findings": findings(rows),
        "chart": file,
        "article": table.markdown(table.article_table(task, rows)) if claimed else None,
    }


def _summary(rows: Board, whole: Board) -> dict[str, str | None]:
    methods = methods_of(whole)
    if len(methods) < 2:
        return {"table": None, "scope": None}
    left_out = [task for task in rows if task not in whole]
    missing = [method for method in methods_of(rows) if method not in methods]
    scope = (
        f"Over the {len(whole)} of {len(rows)} tasks on which all of these {len(methods)} methods ended ok."
    )
    if left_out:
        scope += f" Tasks left out: {words.listed([words.code(task) for task in left_out])}."
    if missing:
        scope += f" Methods left out: {words.listed([words.code(method) for method in missing])}."
    return {"table": table.markdown(table.summary_table(whole)), "scope": scope}


def _lead(results: Sequence[Result]) -> str:
    models = _known(cell.identity.get("model", {}).get("source") for cell in results)
    budgets = _known(cell.identity.get("budget", {}).get("name") for cell in results)
    devices = _known(cell.environment.get("device_name") for cell in results)
    precisions = _known(cell.environment.get("precision") for cell in results)
    statuses = [cell.status for cell in results]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(sorted(statuses)))
    return (
        f"Base model {_either(models)} under the budget {_either(budgets)} on {_either(devices)} "
        f"in {_either(precisions)}: {len({cell.task for cell in results})} tasks, "
        f"{len({cell.method for cell in results})} methods, {len(results)} cells ({counts})."
    )


def _memory(results: Sequence[Result]) -> str:
    if any(cell.environment.get("device") == "cuda" for cell in results):
        return "memory is the peak that torch allocated on the GPU"
    return "memory is the peak resident set of the whole process, its libraries included"


def _reproduce(results: Sequence[Result], rows: Board) -> dict[str, str | None]:
    methods = methods_of(rows)
    budgets = [cell.identity["budget"] for cell in results if cell.identity.get("budget")]
    fields = {
        field: _known(budget.get(field) for budget in budgets) for budget in budgets for field in budget
    }
    generation: dict[str, list[str]] = {}
    for cell in results:
        if cell.generation:
            tasks = generation.setdefault(words.settings(cell.generation), [])
            tasks += [words.code(cell.task)] * (words.code(cell.task) not in tasks)
    return {
        "command": _command(results, list(rows), methods),
        "machine": table.markdown(table.pairs_table(_machine(results), ("machine", "value"))),
        "budget": table.markdown(
            table.pairs_table(
                {words.code(field): _either(values) for field, values in fields.items()}, ("budget", "value")
            )
        ),
        "methods": table.markdown(table.methods_table(results, methods)),
        "generation": table.markdown(
            table.pairs_table(
                {settings: ", ".join(tasks) for settings, tasks in generation.items()},
                ("generation settings", "tasks"),
            )
        )
        if generation
        else None,
    }


def _command(results: Sequence[Result], tasks: Sequence[str], methods: Sequence[str]) -> str:
    budgets = _known(cell.identity.get("budget", {}).get("name") for cell in results)
    models = _known(cell.identity.get("model", {}).get("source") for cell in results)
    parts = ["python -m harness run", f"--tasks {_argument(tasks)}", f"--methods {_argument(order(methods))}"]
    parts += [f"--budget {_argument(budgets[:1])}"] if budgets else []
    parts += [f"--seeds {len({cell.seed for cell in results})}"]
    parts += [f"--model {_argument(models[:1])}"] if models else []
    return " ".join(parts)


def _argument(values: Sequence[str]) -> str:
    return shlex.quote(words.printable(",".join(map(str, values))))


def _machine(results: Sequence[Result]) -> dict[str, str]:
    found: dict[str, list[Any]] = {
        "fingerprint": _known(cell.environment.get("machine") for cell in results),
        "device": _known(cell.environment.get("device_name") for cell in results),
        "precision": _known(cell.environment.get("precision") for cell in results),
        "cores": _known(cell.environment.get("cores") for cell in results),
        "memory": _known(_bytes(cell.environment.get("memory_bytes")) for cell in results),
        "GPU memory": _known(_bytes(cell.environment.get("gpu_memory_bytes")) for cell in results),
        "platform": _known(cell.environment.get("platform") for cell in results),
        "sandbox": _known(cell.environment.get("sandbox") for cell in results),
        "commit": _known(cell.environment.get("commit") for cell in results),
        "model SHA-256": _known(cell.identity.get("model", {}).get("sha256") for cell in results),
        "data": _known(cell.identity.get("data") for cell in results),
    }
    versions = [cell.environment.get("versions") or {} for cell in results]
    for package in dict.fromkeys(package for one in versions for package in one):
        found[package] = _known(one.get(package) for one in versions)
    return {words.escaped(name): _either(values) for name, values in found.items()}


def _bytes(count: float | None) -> str | None:
    return None if count is None else words.gigabytes(count)


def _known(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(value for value in values if value is not None))


def _either(values: Sequence[Any]) -> str:
    return " or ".join(words.escaped(value) for value in values) or words.ABSENT
