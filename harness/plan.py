"""Tasks x methods x seeds -> cells to run and cells to skip, each with its reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.budget import CHECKPOINT_ITEMS, Budget, cost
from harness.environment import Environment
from harness.method import Method

# Fitted to stored runs on two cores, and a test holds the estimate to some of them; of GPUs it is a guess.
READING_SHARE = 0.6
"""Share of the probed matrix speed that reading prompts reaches; writing answers reaches half of it."""
ROWS = 32
"""Answers written together, as `evaluate` does it."""
LONGER = 2
"""How much longer than a target an answer is: a model that has not learned to end goes on to the limit."""

BANDWIDTH = {"cpu": 2e10, "mps": 1e11, "cuda": 1e12}
"""Bytes a second that go through whatever is no matrix product."""
STEP_BYTES, TOKEN_BYTES = 52, 0.15
"""Bytes that training moves beside its products, a parameter: in each step, and for each token."""
WRITE_BYTES, WRITE_SECONDS = 3, 0.045
"""Bytes a parameter that are read for one more token of a batch, and what its many small operators take."""

FIXED_SECONDS = 2.0
"""What a cell takes to start, load its model and end."""
BESIDE_TOKENS = 2000
"""Tokens that a trained model reads beside the task: passages, and prompts once it is merged."""
CHARACTERS_A_TOKEN = 3.5
PARAMETER_GUESS = 135e6
"""Parameters of a model whose files do not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSize:
    """What an estimate needs of a task: pool sizes and mean lengths in characters."""

    train: int
    test: int
    prompt: float
    target: float
    generates: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One (task, method, seed): names as references that `registry` resolves.

    Attributes:
        skip: Why the cell will not run, or None.
        seconds: Rough estimate of its wall-clock, 0 for a skip.
    """

    task: str
    method: str
    seed: int
    skip: str | None
    seconds: float


def plan(
    tasks: Mapping[str, TaskSize],
    methods: Mapping[str, Method],
    budget: Budget,
    environment: Environment,
    parameters: float | None,
) -> list[Cell]:
    """The grid: all methods of a task before the next task, seeds outermost.

    A method that neither trains nor shows examples has one seed: another would only repeat its answers.
    `parameters` are the model's, for the estimates of time; None where they are not known.
    """
    known = parameters or PARAMETER_GUESS
    cells = []
    for seed in range(budget.seeds):
        for task, size in tasks.items():
            for name, method in methods.items():
                if seed and not method.learning_rates and not method.shots:
                    continue
                skip = method.skip(environment)
                seconds = 0.0 if skip else estimate(size, method, budget, environment, known)
                cells.append(Cell(task=task, method=name, seed=seed, skip=skip, seconds=seconds))
    return cells


def estimate(
    size: TaskSize, method: Method, budget: Budget, environment: Environment, parameters: float
) -> float:
    """Seconds of one cell from token counts and the probed matrix speed; good to a factor of two or so."""
    prompt = min(size.prompt / CHARACTERS_A_TOKEN, budget.max_length)
    target = min(size.target / CHARACTERS_A_TOKEN, budget.max_new_tokens)
    items = min(budget.test_examples, size.test)
    product, moved = 2 * parameters / environment.matmul_flops, parameters / BANDWIDTH[environment.device]
    written = min(LONGER * target, budget.max_new_tokens) * size.generates
    write = WRITE_SECONDS + WRITE_BYTES * moved + ROWS * product / (READING_SHARE / 2)

    def asked(count: int) -> float:
        return count * (prompt + target) * product / READING_SHARE + -(-count // ROWS) * written * write

    seconds = FIXED_SECONDS + asked(items)
    if method.learning_rates:
        if budget.checkpoints:
            seconds += (1 + budget.checkpoints) * asked(min(CHECKPOINT_ITEMS, budget.dev_examples))
        runs = 1 + cost(budget.trials)
        examples = min(budget.train_examples, size.train) * budget.epochs
        # Equal operations are full fine-tuning's, which is what this counts for every method anyway.
        tokens = examples * (prompt + target) * (3 * product + TOKEN_BYTES * moved)
        steps = -(-examples // budget.batch_size) * STEP_BYTES * moved
        seconds += runs * (budget.train_seconds or tokens + steps) + BESIDE_TOKENS * product / READING_SHARE
    return seconds


def total_seconds(cells: Sequence[Cell]) -> float:
    """Estimated seconds of all cells together."""
    return sum(cell.seconds for cell in cells)
