"""What every method gets. A plugin can read a budget and cannot alter one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace

from harness.errors import UsageError, unknown

CHECKPOINT_ITEMS = 24
"""Dev items of one checkpoint at most: at quick, all of a cell's are about half as many as its test items."""

MAY_BE_ZERO = ("checkpoints", "merge_prompts")
"""Fields of what is measured beside the task, where 0 leaves it out."""

MATCHES = ("examples", "seconds", "flops")
"""What a budget can make the same for every method; see `Budget.match`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The resources of one cell, the same for every method. All counts are whole numbers.

    Attributes:
        name: Preset name, or "custom".
        train_examples: Examples seen in one epoch, drawn from the train pool by the seed.
        epochs: Passes over those examples.
        batch_size: Examples in one optimizer step.
        max_length: Tokens of one training example, prompt and target together; a longer prompt
            loses its middle.
        max_new_tokens: Tokens generated for one item at most.
        dev_examples: Items for choosing a learning rate.
        test_examples: Items of the final evaluation.
        seeds: Seeds a (task, method) pair runs with, counted from 0.
        trials: Learning rates tried on dev (see `tune`); 1 means the method's default is used untested.
        timeout_seconds: Wall-clock after which a cell is stopped.
        checkpoints: Times that the model is scored on dev items while it trains, the end included.
        merge_prompts: Prompts with which an adapter is compared before and after it is merged.
        match: What of training is the same for every method: "examples", those above `epochs` times over;
            "seconds" of the train clock; or "flops", the operations that full fine-tuning spends on those
            examples. Under the last two a method passes over the examples until it has spent what it gets.
        train_seconds: How many, under "seconds"; else None.
    """

    name: str
    train_examples: int
    epochs: int
    batch_size: int
    max_length: int
    max_new_tokens: int
    dev_examples: int
    test_examples: int
    seeds: int
    trials: int
    timeout_seconds: int
    checkpoints: int = 0
    merge_prompts: int = 0
    match: str = "examples"
    train_seconds: int | None = None

    def __post_init__(self) -> None:
        if self.match not in MATCHES:
            raise unknown("kind of budget", self.match, MATCHES)
        timed = self.match == "seconds"
        if timed != (self.train_seconds is not None):
            raise UsageError('a budget has train_seconds if it matches "seconds", and only then')
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in MAY_BE_ZERO else 1
            if field.name in ("name", "match") or (field.name == "train_seconds" and not timed):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(
                    f"budget field {field.name} must be a whole number of at least {least}, not {value!r}"
                )
        runs = 1 + cost(self.trials)
        if self.train_seconds is not None and runs * self.train_seconds >= self.timeout_seconds:
            tried = f" and {self.trials} trials" if self.trials > 1 else ""
            raise UsageError(
                f"{self.train_seconds} seconds of training{tried} do not fit into a cell, which this budget "
                f"stops after {self.timeout_seconds}; allow less, or take a larger budget"
            )

    @property
    def steps(self) -> int:
        """Optimizer steps of one training run on a full train subset, as many as "examples" allows."""
        return self.epochs * -(-self.train_examples // self.batch_size)

    def to_dict(self) -> dict[str, int | str | None]:
        """Plain fields, for a result file."""
        return asdict(self)


def rungs(trials: int) -> Iterator[tuple[int, float]]:
    """How many rates each rung of `tune` tries, and for what share of a full run; none without a choice."""
    count = max(trials - 1, 0).bit_length()
    for rung in range(count):
        yield -(-trials // 2**rung), 0.5 ** (count - rung)


def cost(trials: int) -> float:
    """All trials of a cell together in units of one full run."""
    return sum(count * share for count, share in rungs(trials))


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How every method is trained. AdamW; the rate rises and falls linearly, to zero after the last step."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    warmup_share: float = 0.1

    def to_dict(self) -> dict[str, float | list[float]]:
        """Plain fields, for a result's identity."""
        return {**asdict(self), "betas": list(self.betas)}


RECIPE = Recipe()

# The limit is for what hangs: a processor without fast bfloat16 may take many times what others take.
_QUICK = Budget(
    name="quick", train_examples=224, epochs=1, batch_size=8, max_length=384, max_new_tokens=128,
    dev_examples=100, test_examples=200, seeds=1, trials=1, timeout_seconds=7200,
    checkpoints=4, merge_prompts=3,
)  # fmt: skip
_TASK_ALONE = replace(_QUICK, checkpoints=0, merge_prompts=0)

PRESETS = {
    budget.name: budget
    for budget in (
        Budget(
            name="smoke", train_examples=16, epochs=1, batch_size=8, max_length=256, max_new_tokens=32,
            dev_examples=8, test_examples=16, seeds=1, trials=1, timeout_seconds=300,
            checkpoints=2, merge_prompts=1,
        ),
        # What the regression gate runs (docs/gate.md): two tasks under the core methods, in a
        # quarter of an hour on two cores. benchmarks/gate_power.py compares splits into items and seeds.
        replace(_TASK_ALONE, name="ci", train_examples=128, test_examples=300, seeds=4, timeout_seconds=600),
        _QUICK,
        # What the default learning rates are chosen with: quick, with every rate of the grid tried on dev.
        replace(_TASK_ALONE, name="sweep", dev_examples=200, trials=4),
        Budget(
            name="standard", train_examples=2000, epochs=2, batch_size=16, max_length=512, max_new_tokens=256,
            dev_examples=200, test_examples=500, seeds=3, trials=3, timeout_seconds=14400,
            checkpoints=8, merge_prompts=5,
        ),
    )
}  # fmt: skip

TRAIN_SECONDS = {"smoke": 5, "ci": 40, "quick": 60, "sweep": 60, "standard": 1800}
"""What `seconds` alone gives, by preset: about what full fine-tuning takes on two cores."""


def preset(name: str) -> Budget:
    """The preset of that name.

    Raises:
        UsageError: There is none; the message lists those there are.
    """
    if name not in PRESETS:
        raise unknown("budget", name, PRESETS)
    return PRESETS[name]


def parse_match(text: str) -> tuple[str, int | None]:
    """What `--match` says: one of `MATCHES`, and how many seconds if it says so ("seconds=90").

    Raises:
        UsageError: It says neither.
    """
    match, equals, number = text.partition("=")
    if match not in MATCHES or (equals and (match != "seconds" or not number.isdecimal())):
        raise UsageError(
            f"--match {text!r} is none of {', '.join(MATCHES)}, or seconds=N with a whole number of seconds"
        )
    return match, int(number) if equals else None


def matched(budget: Budget, match: str, seconds: int | None) -> Budget:
    """A preset under another kind of budget; without `seconds`, the preset's own where it needs them.

    Raises:
        UsageError: So many seconds do not fit into a cell.
    """
    if match == "seconds" and seconds is None:
        seconds = TRAIN_SECONDS[budget.name]
    return replace(budget, match=match, train_seconds=seconds)
