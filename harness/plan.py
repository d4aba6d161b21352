"""Tasks x methods x seeds -> cells to run and cells to skip, each with its reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.budget import CHECKPOINT_ITEMS, Budget
from harness.environment import Environment
from harness.method import Method
from harness.tune import cost

EVALUATION_SHARE = 0.35
TRAINING_SHARE = 0.2
"""Shares of the probed matrix speed that evaluation and training were seen to reach on two CPU cores."""

FIXED_SECONDS = 4.0
CHARACTERS_A_TOKEN = 3.5
PARAMETER_GUESS = 135e6


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
    *,
    parameters: float = PARAMETER_GUESS,
) -> list[Cell]:
    """The grid: all methods of a task before the next task, seeds outermost.

    A method that neither trains nor shows examples has one seed: another would only repeat its answers.
    """
    cells = []
    for seed in range(budget.seeds):
        for task, size in tasks.items():
            for name, method in methods.items():
                if seed and not method.learning_rates and not method.shots:
                    continue
                skip = method.skip(environment)
                seconds = 0.0 if skip else estimate(size, method, budget, environment, parameters)
                cells.append(Cell(task=task, method=name, seed=seed, skip=skip, seconds=seconds))
    return cells


def estimate(
    size: TaskSize, method: Method, budget: Budget, environment: Environment, parameters: float
) -> float:
    """Seconds of one cell from token counts and the probed matrix speed; good to a factor of two or so."""
    prompt = min(size.prompt / CHARACTERS_A_TOKEN, budget.max_length)
    target = min(size.target / CHARACTERS_A_TOKEN, budget.max_new_tokens)
    items = min(budget.test_examples, size.test)
    if method.learning_rates and budget.checkpoints:
        items += (1 + budget.checkpoints) * min(CHECKPOINT_ITEMS, budget.dev_examples)
    # Generated tokens come one at a time and use the matrix unit badly: about four times dearer.
    tested = items * (prompt + target + 4 * target * size.generates)
    seconds = 2 * parameters * tested / (EVALUATION_SHARE * environment.matmul_flops)
    if method.learning_rates:
        runs = 1 + cost(budget.trials)
        trained = min(budget.train_examples, size.train) * budget.epochs * (prompt + target)
        # Equal operations are full fine-tuning's, which is what this counts for every method anyway.
        whole = 6 * parameters * trained / (TRAINING_SHARE * environment.matmul_flops)
        seconds += runs * (budget.train_seconds or whole)
    return FIXED_SECONDS + seconds


def total_seconds(cells: Sequence[Cell]) -> float:
    """Estimated seconds of all cells together."""
    return sum(cell.seconds for cell in cells)
