"""What a reader sees of studies: a page each, and a section of the run's report. Results in, Markdown out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.atomic import write_atomic
from harness.errors import ResultError
from harness.report import article, chart, details, reproduce, table, words
from harness.report.page import TEMPLATES, slug, tidy
from harness.report.palette import order
from harness.report.rows import mean
from harness.result import Result
from harness.store import Store
from harness.study import STUDIES
from harness.study.chart import figure
from harness.study.design import Conclusion, Found, Study
from harness.study.evidence import contrast, count
from harness.text import printable

FOLDER = "studies"
"""Of a run's results and of its report: where its studies are."""

SIZED = re.compile(r"-\d+-examples$")
"""What a study adds to a budget's name."""
ONE_BUDGET = "results of several budgets, and a study compares those of one; move the others away"

RATE = "learning rate"
OPEN = "the figures do not settle it"
UNTOLD = "What it takes for a conclusion has not run."
VERDICTS = {
    "agrees": "the measurement **agrees**",
    "disagrees": "the measurement **disagrees**",
    "not shown": OPEN,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class OnTask:
    """What a study found on one task: its results, its conclusion if there is one, and its chart's file."""

    task: str
    results: Sequence[Result]
    found: Found
    conclusion: Conclusion | None
    chart: str | None


def section(results: Path, reports: Path) -> str | None:
    """Draw every study of a run, and return the section of its report that tells of them; None without any.

    Studies that cannot be read or drawn are no reason to leave a run without its report: it says why.
    """
    try:
        drawn = draw(results, reports / FOLDER)
    except ResultError as error:
        return f"The studies cannot be shown: {words.escaped(error)}"
    return _overview(drawn, f"{FOLDER}/") if drawn else None


def draw(results: Path, pages: Path) -> dict[str, list[OnTask]]:
    """Draw every study of a run that has results into `pages`, and `report.md`, which sums them up.

    Raises:
        ResultError: A result cannot be read or is none of the study's, or a page cannot be written.
    """
    drawn = {}
    for study in STUDIES.values():
        folders = stored(results / FOLDER / study.name)
        if len(budgets := budgets_of(folders)) > 1:
            raise ResultError(f"{folders[0].parent} holds {ONE_BUDGET} ({', '.join(budgets)})")
        if cells := [cell for folder in folders for cell in Store(folder).load()]:
            drawn[study.name] = _draw_study(study, cells, pages)
    if drawn:
        write_atomic(pages / "report.md", f"# Studies\n\n{_overview(drawn, '')}")
    return drawn


def sentences(study: Study, folder: Path) -> dict[str, str]:
    """What a study found, by task, from the folder that holds its results.

    Raises:
        ResultError: A result cannot be read.
    """
    cells = [cell for own in stored(folder) for cell in Store(own).load()]
    found = {
        task: study.conclude(Found([one for one in cells if one.task == task], study.place))
        for task in sorted({one.task for one in cells})
    }
    return {task: _sentence(conclusion) for task, conclusion in found.items()}


def stored(folder: Path) -> list[Path]:
    """The folders of a study that hold results, one for each budget that it made."""
    return [own for own in sorted(folder.glob("*/")) if any(Store(own).paths())]


def budgets_of(folders: Sequence[Path]) -> list[str]:
    """The presets that a study's folders were made from."""
    return sorted({SIZED.sub("", folder.name) for folder in folders})


def _draw_study(study: Study, results: Sequence[Result], pages: Path) -> list[OnTask]:
    try:
        pages.mkdir(parents=True, exist_ok=True)
        tasks = [
            _on_task(study, [one for one in results if one.task == task], pages)
            for task in sorted({one.task for one in results})
        ]
        shown = [_shown(study, one, "") for one in tasks]
    except OSError as error:
        raise ResultError(f"cannot write a study to {pages}: {error.strerror or error}") from error
    except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ResultError(
            f"a result of the study {study.name!r} lacks what it needs ({error!r:.80}); delete what was not "
            "put there by it"
        ) from error
    values = {
        "study": study,
        "article": article,
        "lead": reproduce.lead(results),
        "tasks": shown,
        "command": _command(study, results),
        "settings": reproduce.settings(results, order({cell.method for cell in results})),
    }
    write_atomic(pages / f"{study.name}.md", tidy(TEMPLATES.get_template("study.md.jinja").render(values)))
    return tasks


def _on_task(study: Study, results: Sequence[Result], pages: Path) -> OnTask:
    task = results[0].task
    try:
        found = Found(results, study.place)
        strange = [place.series for place in found if place.series not in study.series]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        strange = [repr(error)]
    if strange:
        raise ResultError(
            f"a result of {task!r:.80} is none of the study {study.name!r} ({strange[0]:.80}); "
            "delete what was not put there by it"
        )
    made, file = figure(study, task, found), f"{study.name}-{slug(task)}.png"
    if made is not None:
        chart.save(made, pages / file)
    return OnTask(
        task=task,
        results=results,
        found=found,
        conclusion=study.conclude(found),
        chart=file if made is not None else None,
    )


def _shown(study: Study, one: OnTask, prefix: str) -> dict[str, Any]:
    """What the templates show of a study on one task."""
    conclusion = one.conclusion
    return {
        "name": words.code(one.task),
        "chart": f"{prefix}{one.chart}" if one.chart else None,
        "sentence": _sentence(conclusion),
        "checks": [f"{check.claim}: {VERDICTS[check.verdict]}" for check in conclusion.checks]
        if conclusion
        else [],
        "table": table.markdown(_table(study, one.found)) if one.found.cells else None,
        "diverged": _diverged(study, one.found),
        "clock": _clock(one.found),
        "unfinished": table.text_or_none(details.unfinished_table(one.results)),
    }


def _sentence(conclusion: Conclusion | None) -> str:
    return conclusion.sentence if conclusion else UNTOLD


def _diverged(study: Study, found: Found) -> str | None:
    """Which places lost seeds to a training that diverged."""
    if not found.diverged:
        return None
    lost = [
        f"{words.escaped(place.series)}"
        + (f" at {study.axis} {study.tick(place.x)}" if place.x is not None else "")
        + f" ({count(len(seeds), 'seed')} of {len(found.runs(place))})"
        for place, seeds in found.diverged.items()
    ]
    return f"Training diverged, which counts as a quality of 0%: {words.listed(lost)}."


def _clock(found: Found) -> str | None:
    """Which seeds the training times are of, where others ran on another machine."""
    timed = {cell.seed for place in found.cells for cell in found.timed(place)}
    if all(seed in timed for own in found.cells.values() for seed in own):
        return None
    return f"Seeds ran on several machines: training times are of {words.seeds(timed)} alone."


def _table(study: Study, found: Found) -> pd.DataFrame:
    """Every place with its quality, the difference from what it is compared with, and how it was trained."""
    lines = []
    for place in sorted(found, key=lambda place: (study.series.index(place.series), place.x or 0)):
        cells = found.cells.get(place, {}).values()
        other = study.against(place)
        against = contrast(found, place, other) if other != place else None
        trained = [cell.train for cell in cells if cell.train]
        lines.append(
            {
                "variant": words.code(place.series) if place.x is None else words.escaped(place.series),
                **({study.axis: study.tick(place.x)} if place.x is not None else {}),
                **({} if study.axis == RATE else {RATE: words.rates(one.learning_rate for one in trained)}),
                "quality": words.interval(found.quality(place)),
                "difference": words.points(against.between) if against else words.ABSENT,
                "steps": f"{mean([one.steps for one in trained]):.0f}" if trained else words.ABSENT,
                "loss at the end": words.nats(mean([_last_loss(cell) for cell in cells])),
                "training time": words.seconds(
                    min((cell.phases["train"].seconds for cell in found.timed(place)), default=None)
                ),
                "seeds": str(len(found.runs(place))),
            }
        )
    frame = pd.DataFrame(lines)
    return frame.drop(columns="difference") if (frame["difference"] == words.ABSENT).all() else frame


def _last_loss(cell: Result) -> float | None:
    """Mean training loss over the last tenth of the steps, which one batch moves less than its last."""
    return mean([point.loss for point in cell.curve[-max(1, len(cell.curve) // 10) :]])


def _overview(drawn: dict[str, list[OnTask]], prefix: str) -> str:
    """The four common mistakes with the measurement's word on each, then every study in brief."""
    mistakes = [
        {
            "number": study.mistake,
            "title": study.title,
            "advice": study.advice,
            "measured": _measured(study, drawn.get(study.name)),
        }
        for study in STUDIES.values()
        if study.mistake is not None
    ]
    studies = [
        {
            "title": STUDIES[name].title,
            "file": f"{prefix}{name}.md",
            "tasks": [_shown(STUDIES[name], one, prefix) for one in tasks],
        }
        for name, tasks in drawn.items()
    ]
    values = {"article": article, "mistakes": mistakes, "studies": studies}
    return tidy(TEMPLATES.get_template("overview.md.jinja").render(values))


def _measured(study: Study, tasks: Sequence[OnTask] | None) -> str:
    """What the measurement says of a claim, in a table cell."""
    known = [(one.task, one.conclusion) for one in tasks or () if one.conclusion]
    if not known:
        return f"not measured (`python -m harness study {study.name}`)"
    return "; ".join(
        f"{check.claim}: {VERDICTS[check.verdict]} ({words.code(task)})"
        for task, conclusion in known
        for check in conclusion.checks
    )


def _command(study: Study, results: Sequence[Result]) -> str:
    """The command line that runs the study again."""
    budget = next(
        (str(cell.identity["budget"]["name"]) for cell in results if cell.identity.get("budget")), ""
    )
    model = next(
        (str(cell.identity["model"]["source"]) for cell in results if cell.identity.get("model")), ""
    )
    data = next((str(cell.identity["data"]) for cell in results if cell.identity.get("data")), "")
    options = {
        "--tasks": ",".join(sorted({cell.task for cell in results})),
        "--budget": SIZED.sub("", budget),
        "--seeds": str(len({cell.seed for cell in results})),
        "--model": model,
        "--data": data if data == "hub" else "",
    }
    given = [
        f"{name} {shlex.quote(printable(value)[: words.LONGEST])}" for name, value in options.items() if value
    ]
    return " ".join([f"python -m harness study {study.name}", *given])
