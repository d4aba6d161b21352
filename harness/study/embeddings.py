"""Does it help to adapt the embeddings too?"""

from __future__ import annotations

from harness.study.design import (
    MARGIN,
    Check,
    Conclusion,
    Found,
    Place,
    Study,
    by_method,
    same_budget,
)
from harness.study.evidence import contrast, side, slowdown, step_time, verdict

WITH, WITHOUT = "lora-r16-emb", "lora-r16"


def conclude(found: Found) -> Conclusion | None:
    """LoRA on the input embeddings as well against LoRA on the linear layers alone."""
    gain = contrast(found, Place(WITH), Place(WITHOUT))
    if gain is None:
        return None
    # A gain is a gain, however small; no gain is one that is certainly marginal.
    helps = gain.sign if gain.sign > 0 else side(gain.between, MARGIN, MARGIN)
    slower = slowdown(found, Place(WITH), Place(WITHOUT))
    return Conclusion(
        sentence=f"With adapters on the embeddings too, LoRA scores "
        f"{gain.against('LoRA on the linear layers alone')}, and {step_time(slower)}.",
        checks=(Check(claim="adapters on embeddings do not help", verdict=verdict(-helps)),),
    )


STUDY = Study(
    name="embeddings",
    title="Adapters on embeddings",
    advice="Adapters on embedding layers rarely help. Focus on attention and feed-forward layers.",
    where="Common Mistakes, 3",
    mistake=3,
    method="LoRA of rank 16 on all linear layers but the head, with and without the input embeddings. "
    "Where no gain is shown, and one of 2 points is ruled out, that counts as no help.",
    points=same_budget(WITHOUT, WITH),
    place=by_method,
    series=(WITHOUT, WITH),
    chart="dots",
    against=lambda found: Place(WITHOUT),
    conclude=conclude,
)
