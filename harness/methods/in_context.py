"""Methods that train nothing: the untouched base model, and a few solved examples in the prompt."""

from __future__ import annotations

from harness.method import Method


class ZeroShot(Method):
    """The base model as it is: what every other method's gain is measured from."""

    name = "zero-shot"
    description = "base model, prompt only"
    core = True


class FewShot(Method):
    """The base model with four solved train examples before each prompt (Brown et al., 2020)."""

    name = "few-shot"
    description = "base model, 4 solved train examples in every prompt"
    shots = 4
    core = True
