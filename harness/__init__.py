"""Tuneoff: which fine-tuning method should I use, for my task, my model, my hardware?

Plugins import from here; everything else is internal.
"""

from harness.budget import Budget
from harness.errors import TuneoffError
from harness.method import Method
from harness.result import Result
from harness.task import Example, Splits, Task

__all__ = ["Budget", "Example", "Method", "Result", "Splits", "Task", "TuneoffError"]
