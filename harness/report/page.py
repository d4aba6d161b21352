"""The report's page, and the short form of it that a README embeds."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from harness.atomic import write_atomic
from harness.errors import ResultError
from harness.report import answer, article, chart, course, details, losses, merging, reproduce, table, words
from harness.report.comparisons import Comparisons, compare
from harness.report.findings import cautions, findings
from harness.report.rows import Board, Row, board, compared, methods_of
from harness.report.standing import comparison_table, spread, standings
from harness.result import Result

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
SUMMARY_CHARTS = (
    ("quality-vs-seconds", "Mean quality against training seconds"),
    ("quality-vs-memory", "Mean quality against peak memory"),
    ("learning-curves", "Training loss against step, by task"),
    ("where-the-seconds-went", "Seconds of each phase, a bar a method"),
)
DISK = """ "On disk" is the file that training leaves: an adapter alone, or the whole
model; its share is of the base model's weights in the same precision."""
GROWTH = """ Scores on dev come from
checkpoints, off the train clock, on the first development items (where a budget has learning-rate trials,
they chose the rate too): means over seeds, the untrained model first. The items are few: dips and small
leads are chance. Steps double from one checkpoint to the next, so a time to a score is true to a factor
of two."""
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # the page is Markdown, not HTML: harness.report.words escapes what results say
)


def render(results: Sequence[Result], folder: Path, *, name: str, studies: str | None = None) -> Path:
    """Write `report.md` and its figures into `folder`, over an earlier report there.

    Any part of a grid will do: it is called again whenever a cell ends.

    Args:
        results: What to report, in any order.
        folder: Made where it is missing.
        name: Title of the report, usually the run's.
        studies: Markdown that tells of the studies run beside it.

    Returns:
        The path of `report.md`.

    Raises:
        ResultError: There are no results, or the folder cannot be written.
    """
    if not results:
        raise ResultError("a report needs at least one result; run some cells first")
    results = sorted(results, key=lambda cell: (cell.task, cell.method, cell.seed))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Drawn aside and moved when all is there: who stops meanwhile keeps the earlier report whole.
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=folder) as aside:
            page = _page(results, Path(aside), name=name, studies=studies)
            for file in list(Path(aside).iterdir()):
                file.replace(folder / file.name)
    except OSError as error:
        raise ResultError(f"cannot write the report to {folder}: {error.strerror or error}") from error
    path = folder / "report.md"
    write_atomic(path, page)
    return path


def readme_block(results: Sequence[Result], *, folder: str = "reports/reference") -> str:
    """One table, what it shows over all tasks, and the summary's figures, for a README.

    Args:
        results: The same results as the report's.
        folder: Where that report was rendered, relative to the README.
    """
    rows = board(results)
    ran = methods_of(rows)
    methods = [name for name in ran if all(name in own for own in rows.values())] or ran
    comparisons = compare(rows)
    others = [name for name in ran if name not in methods]
    overall = standings(comparisons, None, methods)
    parts = [
        reproduce.lead(results),
        "\n".join(f"- {said}" for said in answer.over_all(compared(rows), comparisons)),
        table.markdown(table.readme_table(rows, methods)),
        f"On some of these tasks also ran {words.names(others)}: see the report." if others else None,
        *(f"> **Caution.** {caution}" for caution in cautions(rows)),
        spread(rows, comparisons) + (" Over all tasks, with that in the error:" if overall else ""),
        "\n".join(f"- {said}" for said in overall),
        *(f"![{alt}]({folder}/{file}.png)" for file, alt in SUMMARY_CHARTS[:2]),
    ]
    return "\n\n".join(part for part in parts if part)


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


def tidy(page: str) -> str:
    """A filled template with no more than one empty line in a row."""
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def slug(name: str) -> str:
    """A file name for a task, unique even where two names differ only in what a file name cannot hold."""
    safe = re.sub(r"[^a-z0-9_-]+", "-", name.lower())[:60]
    return (
        safe
        if safe and safe == name
        else f"{safe}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
    )


def _page(results: Sequence[Result], folder: Path, *, name: str, studies: str | None) -> str:
    """The page's text, with its figures in `folder`."""
    rows = board(results)
    whole = compared(rows)
    comparisons = compare(rows)
    quality = {
        task: _save(folder, f"quality-{slug(task)}", chart.quality(task, own)) for task, own in rows.items()
    }
    growths = {
        task: _save(folder, f"checkpoints-{slug(task)}", course.figure(task, own))
        for task, own in rows.items()
    }
    charts = _summary_charts(rows, whole, folder)
    text = TEMPLATES.get_template("report.md.jinja").render(
        title=f"Tuneoff report: {words.escaped(name)}",
        lead=reproduce.lead(results),
        answer=answer.over_all(whole, comparisons),
        answers_by_task=table.text_or_none(answer.by_task(rows, comparisons)),
        kind=reproduce.kind(results),
        memory=_memory(results),
        gain=table.GAIN,
        disk=DISK if any(cell.model_bytes for cell in results) else "",
        growth=GROWTH if any(cell.checkpoints for cell in results) else "",
        cautions=cautions(rows),
        spread=spread(rows, comparisons),
        compared=bool(comparisons.found),
        tasks=[_task(task, own, quality[task], growths[task], comparisons) for task, own in rows.items()],
        article=article,
        summary=_summary(rows, whole),
        overall=_overall(rows, comparisons),
        charts=charts,
        studies=studies,
        unfinished=table.text_or_none(details.unfinished_table(results)),
        truncation=table.text_or_none(details.truncation_table(rows)),
        answers=table.text_or_none(details.answers_table(rows)),
        passages=details.passages(rows),
        unrecorded=words.names(old) if (old := details.unrecorded(rows)) else None,
        retention=table.text_or_none(details.retention_table(rows)),
        merged=table.text_or_none(merging.merged_table(rows)),
        unmerged=merging.unmerged(rows),
        beyond=merging.beyond_rounding(rows),
        trials=table.text_or_none(details.trials_table(results)),
        commands=reproduce.commands(results, list(rows), methods_of(rows)),
        settings=reproduce.settings(results, methods_of(rows)),
    )
    return tidy(text)


def _save(folder: Path, file: str, figure: Any) -> str | None:
    if figure is None:
        return None
    chart.save(figure, folder / f"{file}.png")
    return f"{file}.png"


def _summary_charts(rows: Board, whole: Board, folder: Path) -> list[dict[str, str]]:
    figures = (
        chart.trade_off(whole, lambda row: row.seconds, "training seconds") if whole else None,
        chart.trade_off(whole, _gigabytes, "peak memory, GB") if whole else None,
        losses.figure(rows),
        chart.phases(whole) if whole else None,
    )
    pairs = zip(SUMMARY_CHARTS, figures, strict=True)
    saved = [(_save(folder, file, figure), alt) for (file, alt), figure in pairs]
    return [{"file": file, "alt": alt} for file, alt in saved if file]


def _gigabytes(row: Row) -> float | None:
    return None if row.peak_bytes is None else row.peak_bytes / 1e9


def _task(
    task: str, rows: Mapping[str, Row], file: str | None, growth: str | None, comparisons: Comparisons
) -> dict[str, Any]:
    claimed = task in article.CLAIMS and any(method in rows for method in article.CLAIMS[task])
    return {
        "name": words.code(task),
        "table": table.markdown(table.task_table(rows)),
        "findings": findings(task, rows, comparisons),
        "comparisons": table.text_or_none(comparison_table(comparisons, task, list(rows))),
        "chart": file,
        "growth": growth,
        "growth_said": course.said(rows),
        "article": table.markdown(table.article_table(task, rows, comparisons)) if claimed else None,
    }


def _summary(rows: Board, whole: Board) -> dict[str, str | None]:
    methods = methods_of(whole)
    if len(methods) < 2:
        return {"table": None, "scope": None}
    left_out = [task for task in rows if task not in whole]
    missing = [method for method in methods_of(rows) if method not in methods]
    scope = f"Over {len(whole)} of {len(rows)} tasks: those on which all of these methods ended ok."
    if left_out:
        scope += f" Tasks left out: {words.names(left_out)}."
    if missing:
        scope += f" Methods left out: {words.names(missing)}."
    return {"table": table.markdown(table.summary_table(whole)), "scope": scope}


def _overall(rows: Board, comparisons: Comparisons) -> dict[str, Any]:
    methods = methods_of(rows)
    known = comparisons.found.get(None, {})
    return {
        "tasks": max((one.tasks for one in known.values()), default=0),
        "findings": standings(comparisons, None, methods),
        "table": table.text_or_none(comparison_table(comparisons, None, methods)),
    }


def _memory(results: Sequence[Result]) -> str:
    if any(cell.environment.get("device") == "cuda" for cell in results):
        return "memory is the peak that torch allocated on the GPU"
    return "memory is the peak resident set of the whole process, its libraries included"
