"""The study's own figures, as it states them.

Source: Yuki Chen, "LoRA vs Full Fine-Tuning vs PEFT: When to Use Each Method and Why It Matters",
24 June 2026, section "Real Production Data". They are its claims, for 7B models; it names neither the
model nor the data, gives no intervals, and does not say what "compute" is a share of.
"""

from __future__ import annotations

from dataclasses import dataclass

TITLE = "LoRA vs Full Fine-Tuning vs PEFT"
AUTHOR = "Yuki Chen"
DATE = "24 June 2026"
MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One line of the article's tables.

    Attributes:
        quality: Accuracy or pass rate, from 0 to 1.
        seconds: Training time.
        compute: Share of full fine-tuning's compute, None for full fine-tuning itself.
    """

    quality: float
    seconds: float
    compute: float | None


CLAIMS = {
    "legal_license": {
        "full": Claim(quality=0.883, seconds=4 * HOUR, compute=None),
        "lora-r16": Claim(quality=0.869, seconds=24 * MINUTE, compute=0.02),
        "qlora-r16": Claim(quality=0.867, seconds=36 * MINUTE, compute=0.005),
        "prompt-tuning": Claim(quality=0.821, seconds=12 * MINUTE, compute=0.001),
    },
    "function_completion": {
        "full": Claim(quality=0.724, seconds=6 * HOUR, compute=None),
        "lora-r16": Claim(quality=0.711, seconds=36 * MINUTE, compute=0.02),
        "qlora-r16": Claim(quality=0.708, seconds=54 * MINUTE, compute=0.005),
        "prompt-tuning": Claim(quality=0.642, seconds=18 * MINUTE, compute=0.001),
    },
}
"""By the task of ours that stands for the article's, then by method."""
