"""Evaluation speed: label scoring against lm-evaluation-harness, generation against transformers' `generate`.

    python -m benchmarks.eval_speed compare [--items 64] [--repeats 5]

Both sides get the same model in the same precision and the same token ids. Label scoring is compared with
lm-evaluation-harness's `HFLM` in batches as large as ours; generation with `generate` on left-padded
batches, greedily, to the same number of new tokens. Loading is left out on both sides, and answers that
differ are counted: bfloat16 rounds differently in batches of other shapes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from benchmarks.common import Figures, ratio, report, save, spread, take_turns

LABELS_TASK, TEXT_TASK = "legal_license", "function_completion"
NEW_TOKENS = 48

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def measure(side: str, what: str, items: int) -> None:
    """One side, once, in this process; for `compare`."""
    import torch

    from harness.environment import probe
    from harness.model import quieten, resolve
    from harness.profiler import keep_freed_memory

    quieten()
    environment = probe("auto")
    torch.set_num_threads(environment.cores)
    keep_freed_memory()
    source = resolve("embedded", device=environment.device, precision=environment.precision)
    sides: dict[tuple[str, str], Callable[..., tuple[float, list[str]]]] = {
        ("tuneoff", "labels"): _our_labels,
        ("theirs", "labels"): _harness_labels,
        ("tuneoff", "text"): _our_text,
        ("theirs", "text"): _generate_text,
    }
    seconds, answers = sides[side, what](source, items)
    report({"items_per_second": items / seconds, "answers": answers})


def _prompts(source: Any, name: str, items: int) -> tuple[Any, Any, Any, list[str]]:
    from harness import registry
    from harness.data import Encoder
    from harness.evaluate import encode_prompts

    task = registry.task(name)
    encoder = Encoder(source.tokenizer(), 384)
    texts = [task.prompt(example) for example in task.load().test[:items]]
    return task, encoder, encode_prompts(encoder, texts, ()), texts


def _our(source: Any, encoder: Any) -> Any:
    from harness.engine import engine

    return engine("fast").evaluator(
        source.load(), encoder, device=source.device, progress=lambda done, total: None
    )


def _our_labels(source: Any, items: int) -> tuple[float, list[str]]:
    task, encoder, prompts, texts = _prompts(source, LABELS_TASK, items)
    evaluator = _our(source, encoder)
    joined = [encoder.follow(texts[0], label) for label in task.labels]
    start = time.perf_counter()
    answers = evaluator.choose(prompts, joined, task.labels)
    return time.perf_counter() - start, [answer.text for answer in answers]


def _harness_labels(source: Any, items: int) -> tuple[float, list[str]]:
    from lm_eval.models.huggingface import HFLM

    from harness.evaluate import ROWS

    task, encoder, prompts, texts = _prompts(source, LABELS_TASK, items)
    model = HFLM(
        pretrained=source.path, dtype=source.precision, device=source.device, batch_size=ROWS, max_length=2048
    )
    choices = [encoder.text(encoder.follow(texts[0], label)) for label in task.labels]
    # With token ids of our own both sides score the same; its text interface would tokenise differently.
    requests = [(("", ""), prompt.ids, choice) for prompt in prompts for choice in choices]
    start = time.perf_counter()
    scores = [score for score, _ in model._loglikelihood_tokens(requests, disable_tqdm=True)]
    seconds = time.perf_counter() - start
    rows = [scores[n : n + len(choices)] for n in range(0, len(scores), len(choices))]
    return seconds, [task.labels[max(range(len(row)), key=row.__getitem__)] for row in rows]


def _our_text(source: Any, items: int) -> tuple[float, list[str]]:
    _, encoder, prompts, _ = _prompts(source, TEXT_TASK, items)
    evaluator = _our(source, encoder)
    start = time.perf_counter()
    answers = evaluator.generate(prompts, NEW_TOKENS)
    return time.perf_counter() - start, [answer.text for answer in answers]


def _generate_text(source: Any, items: int) -> tuple[float, list[str]]:
    import torch
    from transformers import AutoModelForCausalLM

    from harness.evaluate import ROWS

    _, encoder, prompts, _ = _prompts(source, TEXT_TASK, items)
    dtype = getattr(torch, source.precision)
    model = AutoModelForCausalLM.from_pretrained(source.path, dtype=dtype).to(source.device).eval()
    answers = []
    start = time.perf_counter()
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
    return time.perf_counter() - start, answers


def _until_end(ids: Sequence[int], encoder: Any) -> str:
    own = list(ids)
    if encoder.end in own:
        own = own[: own.index(encoder.end)]
    return str(encoder.tokenizer.decode(own, skip_special_tokens=True))


@app.command()
def compare(
    items: Annotated[int, typer.Option(help="Test items of each kind.")] = 64,
    repeats: Annotated[int, typer.Option(help="Turns of each side.")] = 5,
) -> None:
    """Time both kinds of evaluation on both sides, in turns; print the table and store the figures."""
    from benchmarks.render import show
    from harness.environment import probe

    rows = []
    for what, against in (("labels", "lm-evaluation-harness"), ("text", "generate")):
        sides = {side: [side, what, str(items)] for side in ("tuneoff", "theirs")}
        turns = take_turns("benchmarks.eval_speed", sides, repeats=repeats, label=what)
        rows.append(_row(what, against, turns, items))
    show(save("eval-speed", probe("auto"), rows, repeats=repeats))


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
