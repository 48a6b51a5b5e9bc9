"""The order of the steps, once, for whoever calls them: this process alone, or an engine's tasks."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import msgspec

from pipeline.job import Job
from pipeline.steps.batch import BATCH_SCORE, Batch
from pipeline.steps.compare import COMPARE, EVALUATE, Comparison, Evaluation
from pipeline.steps.data import INGEST, Named
from pipeline.steps.release import PROMOTE, PROVE, SMOKE_TEST, Promotion
from pipeline.steps.step import Context, Step
from pipeline.steps.train import TRAIN, Training
from pipeline.steps.validate import VALIDATE, Validation

Output = TypeVar("Output", bound=msgspec.Struct)


class Call(Protocol):
    """How a step is called."""

    def __call__(self, step: Step[Any, Output], inputs: msgspec.Struct) -> Output:
        """Raises what the step raises."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a run: the new version, and whether it was promoted, and why or why not."""

    model: str
    version: str
    promoted: bool
    why: str


def directly(job: Job, context: Context) -> Call:
    """Call steps as functions of this process."""

    def call(step: Step[Any, Output], inputs: msgspec.Struct) -> Output:
        return step(inputs, context, allow_reuse=job.allow_reuse)

    return call


def run_steps(job: Job, pipeline: str, context: Context, call: Call) -> Outcome:
    """Run a pipeline's job from its first step; those that have a result which still holds take it over.

    Raises PipelineError, TrainerError, BundleError, OSError: what the step that failed has said.
    """
    model = job.model or pipeline
    context.folder.begin()
    begin = call(INGEST, Named(model, job.table, job.target, job.task, job.positive, job.drop, job.time_column))
    data, champion = begin.data, begin.champion
    call(VALIDATE, Validation(data, champion))
    candidate = call(TRAIN, Training(data, model, job.metric, job.learners, job.budget, job.max_trials, job.seed))
    evaluated = call(EVALUATE, Evaluation(data, candidate, champion, job.metric, job.seed))
    verdict = call(COMPARE, Comparison(evaluated, candidate, champion, job.margin))
    if verdict.better:
        call(PROVE, candidate)
        promotion = Promotion(candidate, champion)
        call(PROMOTE, promotion)
        if job.serve:
            call(SMOKE_TEST, promotion)
        else:
            context.skip("smoke-test", "Serve is false")
    else:
        for name in ("prove", "promote", "smoke-test"):
            context.skip(name, verdict.why)
    if job.batch_input and job.batch_output:
        call(
            BATCH_SCORE,
            Batch(job.batch_input, job.batch_output, candidate if verdict.better else champion or candidate),
        )
    else:
        context.skip("batch-score", "no BatchInput")
    return Outcome(model, candidate.version, verdict.better, verdict.why)
