"""What the service is asked and answers: PascalCase, as Azure's REST API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from pipeline.job import Job
from pipeline.service.registry import Published
from pipeline.steps.record import StepRecord

RunStatus = Literal["Queued", "Running", "Completed", "Failed", "Canceled"]


class _Fields(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_pascal, populate_by_name=True, extra="forbid", use_attribute_docstrings=True
    )


class PublishRequest(_Fields):
    """A pipeline to publish."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["bank"])
    """Name; the same name again publishes its next version."""

    description: str = Field(default="", max_length=2000)
    """For people."""

    version: str = Field(default="", max_length=100)
    """A label of this version; by default the next number."""

    job: Job
    """What it does."""


class Keys(_Fields):
    """The keys of a pipeline, shown once."""

    primary: str
    secondary: str


class Key(_Fields):
    """A new key, shown once."""

    key: str


class PublishedPipeline(_Fields):
    """A published version: all but its status never changes."""

    id: str
    name: str
    version: str
    description: str
    status: Literal["ACTIVE", "DISABLED"]
    created: str
    endpoint: str
    """Post here to run it."""
    job: Job
    keys: Keys | None = None


class PublishedPipelines(_Fields):
    """A list."""

    pipelines: list[PublishedPipeline]


class RunRequest(_Fields):
    """As Azure's published pipelines take it."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"ExperimentName": "nightly", "ParameterAssignments": {"Budget": 120}}}
    )

    experiment_name: str = Field(default="", max_length=250)
    """The run's place in the experiment log; by default the pipeline's name."""

    parameter_assignments: dict[str, Any] = {}
    """Other values for fields of the job, for this run."""


class Created(_Fields):
    """A run that waits for a worker."""

    id: str


class Step(_Fields):
    """One step of a run."""

    name: str
    status: Literal["NotStarted", "Running", "Completed", "Failed", "Skipped"]
    reused: bool
    started: str | None
    ended: str | None
    seconds: float
    progress: Progress | None
    metrics: dict[str, float]
    message: str


class Progress(_Fields):
    """How far it is."""

    share: float | None
    text: str


class Run(_Fields):
    """A run and its steps."""

    id: str
    pipeline: str
    pipeline_id: str
    experiment_name: str
    parameter_assignments: dict[str, Any]
    cause: str
    status: RunStatus
    message: str
    created: str
    started: str | None
    ended: str | None
    seconds: float
    promoted: bool | None
    model_version: str | None
    page: str
    """The run on Prefect's page."""
    steps: list[Step]


class Runs(_Fields):
    """A list, the newest first."""

    runs: list[Run]


class Line(_Fields):
    """A line of the log."""

    at: str
    level: str
    step: str
    message: str


class Log(_Fields):
    """Lines, and where to go on."""

    lines: list[Line]
    next: int


class Metrics(_Fields):
    """By step."""

    metrics: dict[str, dict[str, float]]


class Outputs(_Fields):
    """What each step gave."""

    outputs: dict[str, dict[str, Any]]


class Problem(BaseModel):
    """What is wrong, which value, and what to do."""

    message: str


def show_pipeline(published: Published, address: str, keys: Keys | None = None) -> PublishedPipeline:
    """A published version, as it is answered."""
    fields = {name: getattr(published, name) for name in published.__struct_fields__}
    return PublishedPipeline(**fields, endpoint=f"{address}/pipelines/{published.name}/runs", keys=keys)


def show_step(record: StepRecord) -> Step:
    """A step, as it is answered."""
    progress = Progress(share=record.progress.share, text=record.progress.text) if record.progress else None
    return Step(
        name=record.name, status=record.status, reused=record.reused, started=record.started, ended=record.ended,
        seconds=round(record.seconds, 3), progress=progress, metrics=record.metrics, message=record.message,
    )  # fmt: skip
