"""Evaluation speed: label scoring against lm-evaluation-harness, generation against transformers' `generate`.

    python -m benchmarks.eval_speed compare [--items 64] [--repeats 5]

Both sides get the same model in the same precision and the same token ids. Label scoring is compared with
lm-evaluation-harness's `HFLM` in batches as large as ours; generation with `generate` on left-padded
batches, greedily, to the same number of new tokens. Loading is left out on both sides, and equal answers are
counted. As bfloat16 rounds differently in batches of other shapes, and float32 hardly does, a machine that is
fast in bfloat16 takes another turn in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
import typer

from benchmarks.common import Figures, begin, embedded, ratio, report, save, spread, take_turns
from benchmarks.render import show
from harness import registry
from harness.answers import Answers, Prompt, encode_prompts
from harness.budget import preset
from harness.data import Encoder
from harness.engine import engine
from harness.environment import Environment, probe
from harness.errors import UsageError
from harness.evaluate import ROWS
from harness.model import ModelSource
from harness.profiler import keep_freed_memory
from harness.task import Task

LABELS_TASK, TEXT_TASK = "legal_license", "function_completion"
NEW_TOKENS = 48

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def measure(side: str, what: str, items: int, precision: str) -> None:
    """One side, once, in this process; for `compare`."""
    environment = begin()
    keep_freed_memory()
    answer = SIDES[side, what](replace(embedded(environment), precision=precision), items)
    start = time.perf_counter()
    answers = answer()
    report({"items_per_second": items / (time.perf_counter() - start), "answers": answers})


Answering = Callable[[], list[str]]
"""Answers all items, with everything loaded before."""


def _prompts(source: ModelSource, name: str, items: int) -> tuple[Task, Encoder, list[Prompt], list[str]]:
    """The task, and the prompts of its first test items as ids and as text."""
    task = registry.task(name)
    encoder = Encoder(source.tokenizer(), preset("quick").max_length)
    texts = [task.prompt(example) for example in task.load().test[:items]]
    if len(texts) < items:
        raise UsageError(f"task {name!r} has {len(texts)} test items, not {items}")
    return task, encoder, encode_prompts(encoder, texts, ()), texts


def _labels(source: ModelSource, items: int) -> tuple[Encoder, list[Prompt], tuple[str, ...], list[str]]:
    """Encoder, prompts, labels, and the labels as they follow a prompt."""
    task, encoder, prompts, texts = _prompts(source, LABELS_TASK, items)
    labels = tuple(task.labels or ())
    return encoder, prompts, labels, [encoder.follow(texts[0], label) for label in labels]


def _ours(source: ModelSource, encoder: Encoder) -> Answers:
    return engine("fast").evaluator(
        source.load(), encoder, device=source.device, progress=lambda done, total: None
    )


def our_labels(source: ModelSource, items: int) -> Answering:
    """Our label scoring."""
    encoder, prompts, labels, joined = _labels(source, items)
    evaluator = _ours(source, encoder)
    return lambda: [answer.text for answer in evaluator.choose(prompts, joined, labels)]


def harness_labels(source: ModelSource, items: int) -> Answering:
    """The log-likelihoods of lm-evaluation-harness, and the label where they are highest."""
    from lm_eval.models.huggingface import HFLM

    encoder, prompts, labels, joined = _labels(source, items)
    model = HFLM(
        pretrained=source.path, dtype=source.precision, device=source.device, batch_size=ROWS, max_length=2048
    )
    choices = [encoder.text(text) for text in joined]
    # With token ids of our own both sides score the same; its text interface would tokenise differently.
    requests = [(("", ""), prompt.ids, choice) for prompt in prompts for choice in choices]

    def answer() -> list[str]:
        scores = [score for score, _ in model._loglikelihood_tokens(requests, disable_tqdm=True)]
        rows = [scores[n : n + len(choices)] for n in range(0, len(scores), len(choices))]
        return [labels[max(range(len(row)), key=row.__getitem__)] for row in rows]

    return answer


def our_text(source: ModelSource, items: int) -> Answering:
    """Our generation."""
    _, encoder, prompts, _ = _prompts(source, TEXT_TASK, items)
    evaluator = _ours(source, encoder)
    return lambda: [answer.text for answer in evaluator.generate(prompts, NEW_TOKENS)]


def generate_text(source: ModelSource, items: int) -> Answering:
    """Transformers' `generate`, with the library's default attention, in batches as they come."""
    _, encoder, prompts, _ = _prompts(source, TEXT_TASK, items)
    model: Any = source.load()
    model.set_attn_implementation("sdpa")

    def answer() -> list[str]:
        answers = []
        for first in range(0, len(prompts), ROWS):
            rows = [prompt.ids for prompt in prompts[first : first + ROWS]]
            width = max(map(len, rows))
            ids = torch.tensor([[encoder.end] * (width - len(row)) + row for row in rows])
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
            with torch.inference_mode():
                out = model.generate(
                    input_ids=ids.to(source.device), attention_mask=mask.to(source.device), do_sample=False,
                    max_new_tokens=NEW_TOKENS, eos_token_id=encoder.end, pad_token_id=encoder.end,
                )  # fmt: skip
            answers += [_until_end(row[width:].tolist(), encoder) for row in out]
        return answers

    return answer


SIDES: dict[tuple[str, str], Callable[[ModelSource, int], Answering]] = {
    ("tuneoff", "labels"): our_labels,
    ("theirs", "labels"): harness_labels,
    ("tuneoff", "text"): our_text,
    ("theirs", "text"): generate_text,
}


def _until_end(ids: Sequence[int], encoder: Encoder) -> str:
    own = list(ids)
    if encoder.end in own:
        own = own[: own.index(encoder.end)]
    return str(encoder.tokenizer.decode(own, skip_special_tokens=True))


@app.command()
def compare(
    items: Annotated[int, typer.Option(help="Test items of each kind.")] = 64,
    repeats: Annotated[int, typer.Option(help="Turns of each side.")] = 5,
    precision: Annotated[
        str | None, typer.Option(help="bfloat16 or float32 alone; else the device's own, and float32 once.")
    ] = None,
) -> None:
    """Time both kinds of evaluation on both sides, in turns; print the tables and store the figures."""
    environment = probe("auto")
    kinds = {"float32": 1, environment.precision: repeats} if precision is None else {precision: repeats}
    for kind, turns in kinds.items():
        _compare(kind, items, turns, environment)
    show("eval-speed")


def _compare(kind: str, items: int, repeats: int, environment: Environment) -> None:
    rows = []
    for what, against in (("labels", "lm-evaluation-harness"), ("text", "generate")):
        sides = {side: [side, what, str(items), kind] for side in ("tuneoff", "theirs")}
        turns = take_turns("benchmarks.eval_speed", sides, repeats=repeats, label=what)
        rows.append(_row(what, against, turns, items))
    save("eval-speed", kind, environment, rows, {"repeats": repeats, "precision": kind})


def _row(what: str, against: str, turns: dict[str, list[Figures]], items: int) -> Figures:
    speeds = {side: [run["items_per_second"] for run in runs] for side, runs in turns.items()}
    ours, theirs = (turns[side][0]["answers"] for side in ("tuneoff", "theirs"))
    return {
        "what": what,
        "against": against,
        "items": items,
        "equal": sum(one == other for one, other in zip(ours, theirs, strict=True)),
        "items_per_second": {side: spread(values) for side, values in speeds.items()},
        "ratio": ratio(speeds["tuneoff"], speeds["theirs"]),
    }


if __name__ == "__main__":
    app()
