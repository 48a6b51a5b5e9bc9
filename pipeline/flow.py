"""The flow that Prefect's worker runs in a process of its own: the steps as tasks.

`pipeline.start` becomes Prefect's engine, which finds it by the deployment's entry point, `pipeline.flow.run_pipeline`.
"""

from __future__ import annotations

import logging
from typing import Any, TypeVar

import msgspec
from prefect import Task, flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from observability.telemetry import Settings as TelemetrySettings
from pipeline.job import Job
from pipeline.steps.record import RunFolder, lock
from pipeline.steps.sequence import run_steps
from pipeline.steps.settings import Places
from pipeline.steps.step import Context, Step
from pipeline.telemetry import told

log = logging.getLogger("homeport.pipeline")

NAME = "homeport-pipeline"
RETRY_SECONDS = 5.0

Output = TypeVar("Output", bound=msgspec.Struct)


@flow(name=NAME, persist_result=False, validate_parameters=False)
def run_pipeline(
    pipeline: str, job: dict[str, Any], experiment: str, cause: str = "", pipeline_id: str = "", assignments: Any = None
) -> State[None]:
    """Run a pipeline's job. `job` is whole: what the run has assigned is in it already.

    Raises what the step that fails has said.
    """
    logging.getLogger("homeport").setLevel(logging.INFO)
    log.info("pipeline %s (%s), %s; experiment %s; assigned: %s", pipeline, pipeline_id, cause, experiment, assignments)
    places, asked = Places(), Job.read(job)
    context = Context(places, RunFolder(places.data, str(flow_run.id)), experiment)
    model = asked.model or pipeline
    waits = places.data / "locks" / model
    waits.parent.mkdir(parents=True, exist_ok=True)
    with lock(waits), told(pipeline, str(flow_run.id), TelemetrySettings()) as tell:

        def call(step: Step[Any, Output], inputs: msgspec.Struct) -> Output:
            tell.step(step.name)
            return as_task(step, inputs, context, asked.allow_reuse)

        outcome = run_steps(asked, pipeline, context, call)
        tell.outcome(outcome)
    return Completed(message=outcome.why)


def as_task(step: Step[Any, Output], inputs: msgspec.Struct, context: Context, allow_reuse: bool) -> Output:
    """Run one step as a task: what was taken over is Cached on Prefect's page, what failed is tried again."""
    given: list[Output] = []

    def body() -> State[None]:
        given.append(step(inputs, context, allow_reuse=allow_reuse))
        return Completed(name="Cached" if context.folder.step(step.name).reused else "Completed")

    run = Task(
        body,
        name=step.name,
        retries=step.retries,
        retry_delay_seconds=RETRY_SECONDS,
        timeout_seconds=step.timeout,
        persist_result=False,
    )
    run()
    return given[-1]
