"""One cell, start to finish, in its own process; the only module that joins model, data and training."""

from __future__ import annotations

from harness import still  # before all that is large

# isort: split
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import transformers  # noqa: F401 -- so that forked cells find it loaded

from harness import adapter, matching, merging, registry, sandbox, tune
from harness.anatomy import count_parameters
from harness.checkpoints import Checkpoints
from harness.data import Batch, Encoder, head_of
from harness.engine import engine
from harness.examine import Examiner
from harness.extras import Retention
from harness.flops import Cost, StepFlops, forward_formula, train_step_flops, training_cost
from harness.job import Job
from harness.material import read
from harness.method import Method
from harness.model import quieten
from harness.prepare import Send, chat_template, check_adapter, check_unchanged, prepare, probe
from harness.profiler import Profiler, keep_freed_memory
from harness.result import Result, Training, Trial
from harness.retention import compare, measure_base, passage_losses, passages_for
from harness.store import Store
from harness.task import Task
from harness.train import Optimizer, TimeLimit, Trained, train

if torch.version.cuda is None:
    # It takes 1.4 s with all it imports. Where there may be a GPU each cell imports it for itself: what
    # touches the driver before a fork leaves every forked process without one.
    quieten()
    import peft  # noqa: F401

still.over()

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# What the parent has done in workers.
__all__ = ["chat_template", "check_adapter", "measure_base", "prepare", "probe", "run_cell"]


def run_cell(job: Job, send: Send) -> Result:
    """Run one cell and store its result, before anything can happen to this process."""
    quieten()
    keep_freed_memory()
    torch.set_num_threads(job.environment.cores)
    result = _Cell(job, send).run()
    Store(job.results).write(result)
    return result


class _Cell:
    """The steps of one cell and what they share."""

    def __init__(self, job: Job, send: Send) -> None:
        self.job = job
        self.send = send
        self.budget = job.budget
        self.device = job.environment.device
        self.task: Task = registry.task(job.task, hub=job.hub)
        self.method: Method = registry.method(job.method)
        check_unchanged(self.task, self.method, job)
        self.engine = engine(job.engine)
        self.profiler = Profiler(self.device)
        self.batches: Sequence[Batch] = ()

    def run(self) -> Result:
        """Encode, load, train where the method does, evaluate; every phase measured."""
        job = self.job
        with self._phase("encode"):
            self._encode()
        if self.batches and self.budget.match != "examples":
            with self._phase("calibrate"):
                self.batches = self.material.supply.first(self._calibrated())
        with self._phase("load"):
            self.model = self._fresh_model(self.batches)
        base = Result(
            status="ok",
            reason=None,
            task=self.task.name,
            method=self.method.name,
            seed=job.seed,
            identity=job.identity,
            family=self.task.family,
            parameters=count_parameters(self.model),
            baselines=job.baselines,
            environment={
                **job.environment.to_dict(),
                "sandbox": sandbox.described(),
                "engine": {"name": self.engine.name},
            },
        )
        if self.method.learning_rates:
            base = self._trained(base)
            if base.status != "ok":
                return self._finish(base)
        with self._phase("evaluate"):
            tested = self.examiner.examine(self.model, self.material.test, "evaluate")
        base = replace(
            base,
            items=tested.items,
            metric=self.examiner.metric(tested.items, self.material.test),
            generation=self.examiner.settings(self.method.shots),
            flops={**(base.flops or {"train": None, "train_formula": None}),
                   "evaluate": forward_formula(self.model, tested.tokens)},
        )  # fmt: skip
        return self._finish(self._merged(base))

    def _trained(self, base: Result) -> Result:
        """Count a step, choose a rate where the budget has trials, and train."""
        optimizer = self._optimizer(self.model)
        with self._phase("flops"):
            flops, cost = self._counted(self.model)
        self.work = cost.of(len(self.batches), matching.positions(self.batches))
        rate, trials = self.method.learning_rates[0], tuple[Trial, ...]()
        if self.budget.trials > 1:
            del self.model, optimizer  # the trials need their room
            with self._phase("tune"):
                rates = self.method.learning_rates[: self.budget.trials]
                rate, trials = tune.choose(rates, self._attempt)
                self.model = self._fresh_model(self.batches)
                optimizer = self._optimizer(self.model)
        with self._phase("compile"):
            compiled = self.engine.compile(self.model, self.batches, self.work)
        checkpoints = self._checkpoints()
        with self._phase("train"):
            seconds = self.budget.train_seconds
            trained = self._train(self.model, optimizer, self.batches, rate, "train", seconds, checkpoints)
        self.engine.release(self.model)
        with self._phase("retention"):
            kept = self._retention()
        with self._phase("save"):
            saved = adapter.size_on_disk(self.model)
        return replace(
            base,
            environment={**base.environment, "engine": {"name": self.engine.name, **compiled.to_dict()}},
            status="degenerate" if trained.degenerate else "ok",
            reason=trained.degenerate,
            curve=trained.curve,
            checkpoints=tuple(checkpoints.found),
            adapter_bytes=saved,
            model_bytes=self.job.base.model_bytes if self.job.base else None,
            retention=kept,
            train=self._training(trained, rate, trials),
            flops={
                "train": cost.of(len(trained.curve), trained.positions),
                "train_formula": flops.formula * trained.positions / self.material.twice.ids.shape[1],
                "evaluate": None,
            },
        )

    def _encode(self) -> None:
        self.encoder = Encoder(self.job.source.tokenizer(), self.budget.max_length, chat=self.job.chat)
        self.material = read(self.job, self.task, self.method, self.encoder)
        self.own_budget = replace(self.budget, train_examples=len(self.material.train))
        self.examiner = Examiner(
            task=self.task,
            encoder=self.encoder,
            engine=self.engine,
            shots=self.material.shots,
            max_new_tokens=self.material.max_new_tokens,
            device=self.device,
            send=self.send,
        )
        if self.method.learning_rates:
            self.batches = self.material.supply.first(self.own_budget.steps)

    def _phase(self, name: str) -> Any:
        self.send((name, 0, 1))
        return self.profiler.phase(name)

    def _finish(self, result: Result) -> Result:
        joules = [phase.energy_joules for phase in self.profiler.phases.values()]
        known = [value for value in joules if value is not None]
        return replace(
            result,
            phases=dict(self.profiler.phases),
            energy_joules=sum(known) if known and len(known) == len(joules) else None,
        )

    def _fresh_model(self, made: Sequence[Batch]) -> PreTrainedModel:
        """A newly loaded model, adapted for a step on each of the batches; the same for the same seed."""
        budget = self.own_budget
        if made and len(made) != budget.steps:
            budget = replace(budget, epochs=1, train_examples=len(made) * budget.batch_size)
        return adapter.make(self.method, self.job.source, budget, self.job.seed)

    def _optimizer(self, model: PreTrainedModel) -> Optimizer:
        return self.engine.optimizer(model, self.job.source.precision)

    def _calibrated(self) -> int:
        """Steps that equal operations or equal seconds give the method, found on a throwaway model."""
        model, seconds = self._fresh_model(self.batches), self.budget.train_seconds
        if seconds is None:
            one = head_of(self.material.twice, 1)
            full = matching.full_flops(self.job.source, one) / one.ids.shape[1]
            allowed = full * matching.positions(self.batches)
            return matching.steps_of_equal_flops(self.material.supply, allowed, self._counted(model)[1])
        few, optimizer = self.material.supply.first(matching.CALIBRATION_STEPS), self._optimizer(model)
        self.engine.compile(model, few, matching.TRAINING_SHARE * self.job.environment.matmul_flops * seconds)
        trained = self._train(model, optimizer, few, min(self.method.learning_rates), "calibrate")
        return matching.steps_of_equal_seconds(seconds, self.batches, few, trained.curve)

    def _counted(self, model: PreTrainedModel) -> tuple[StepFlops, Cost]:
        """The operations of a step on one typical sequence, and what steps cost."""
        twice = self.material.twice.to(self.device)
        one = train_step_flops(model, head_of(twice, 1))
        return one, training_cost(model, twice, one)

    def _retention(self) -> dict[str, Retention] | None:
        """What the trained model still knows beside what the base knew, where that was measured."""
        if self.job.base is None:
            return None
        count = passages_for(self.budget.test_examples)
        after = passage_losses(self.model, self.encoder, self.engine.loss, device=self.device, count=count)
        return compare(self.job.base.losses, after)

    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(
            model=self.model,
            examiner=self.examiner,
            examples=self.material.dev,
            batches=self.batches,
            count=self.budget.checkpoints,
            clock=self.profiler.apart,
        )

    def _merged(self, base: Result) -> Result:
        """With the adapter in the weights against the adapter beside them, where the budget asks for it."""
        if not self.budget.merge_prompts or not merging.mergeable(self.model):
            return base
        with self._phase("merge"):
            prompts = self.examiner.prompts(self.material.test[: self.budget.merge_prompts])
            try:
                found = merging.measure(self.model, [prompt.ids for prompt in prompts])
            except merging.UnmergedError as error:
                return replace(base, unmerged=str(error))
        return replace(base, merged=found)

    def _train(
        self,
        model: PreTrainedModel,
        optimizer: Optimizer,
        made: Sequence[Batch],
        rate: float,
        label: str,
        seconds: float | None = None,
        pause: Checkpoints | None = None,
    ) -> Trained:
        torch.manual_seed(self.job.seed)
        return train(
            model,
            optimizer,
            made,
            loss_of=self.engine.loss,
            learning_rate=rate,
            device=self.device,
            penalty=self.method.penalty,
            after_step=self.method.after_step,
            progress=lambda done, total: self.send((label, done, total)),
            limit=TimeLimit(seconds=seconds, more=self.material.supply.after(len(made))) if seconds else None,
            pause=pause,
        )

    def _training(self, trained: Trained, rate: float, trials: tuple[Trial, ...]) -> Training:
        return Training(
            steps=len(trained.curve),
            examples=trained.examples,
            tokens=trained.tokens,
            tokens_per_second=trained.tokens / self.profiler.phases["train"].seconds,
            learning_rate=rate,
            truncated=self.material.truncated,
            trials=trials,
            drawn=len(self.material.train),
        )

    def _attempt(self, rate: float, share: float, label: str) -> tuple[float | None, int]:
        """Mean score on dev after a share of a run at a rate, None where it did not train; and its steps."""
        made = self.batches[: max(1, int(share * len(self.batches)))]
        seconds = None if self.budget.train_seconds is None else share * self.budget.train_seconds
        model = self._fresh_model(made)
        optimizer = self._optimizer(model)
        self.engine.compile(model, made, self.work * len(made) / len(self.batches))
        trained = self._train(model, optimizer, made, rate, label, seconds)
        self.engine.release(model)
        if trained.degenerate is not None:
            return None, len(trained.curve)
        return self.examiner.examine(model, self.material.dev, label).mean, len(trained.curve)
