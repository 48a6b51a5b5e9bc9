"""What the pipeline service says, as types: its JSON has the same names in PascalCase, as Azure's."""

from __future__ import annotations

from typing import Any

import msgspec

from bundle.manifest import Label, Task

ENDED = frozenset({"Completed", "Failed", "Canceled"})


class Record(msgspec.Struct, frozen=True, rename="pascal", kw_only=True):
    """Base of all of them. What a newer service adds is passed over."""


class Job(Record, frozen=True, kw_only=False, omit_defaults=True):
    """What a pipeline does: `Job("bank-marketing", budget=30)`. A run may be given other values of any of them.

    `table` is the name of a data set, or a path that the service can read.
    """

    table: str
    target: str | None = None
    model: str | None = None  # name of the model; by default the table's
    task: Task | None = None
    positive: Label | None = None
    drop: tuple[str, ...] = ()
    metric: str | None = None
    learners: tuple[str, ...] = ()  # all of them if empty
    budget: float = 60.0
    max_trials: int | None = None
    seed: int = 0
    margin: float = 0.0  # by which the new model must beat the champion
    allow_reuse: bool = True  # of what steps gave to the same inputs before
    serve: bool = True  # whether the endpoint is tried once the model is promoted
    batch_input: str | None = None
    batch_output: str | None = None
    time_column: str | None = None  # the latest rows by it are the untouched ones


class Keys(Record, frozen=True):
    """A pipeline's two keys."""

    primary: str
    secondary: str

    def __repr__(self) -> str:
        return "Keys(primary=…, secondary=…)"  # what a notebook shows is soon shown to others


class Published(Record, frozen=True):
    """A version of a pipeline; `status` is ACTIVE or DISABLED. Keys are there when its name was published first."""

    id: str
    name: str
    version: str
    description: str
    status: str
    created: str
    endpoint: str
    job: Job
    keys: Keys | None = None


class Progress(Record, frozen=True):
    """How far a running step is: a share of 0 to 1 if that is known, and words."""

    share: float | None = None
    text: str = ""


class Step(Record, frozen=True):
    """A step of a run; `status` is NotStarted, Running, Completed, Failed or Skipped. Those to come are there too."""

    name: str
    status: str
    reused: bool = False
    started: str | None = None
    ended: str | None = None
    seconds: float = 0.0
    progress: Progress | None = None
    metrics: dict[str, Any] = {}
    message: str = ""


class Run(Record, frozen=True):
    """A run as it stood when it was asked for; `status` is Queued, Running, Completed, Failed or Canceled."""

    id: str
    pipeline: str
    pipeline_id: str
    experiment_name: str
    status: str
    cause: str
    created: str
    parameter_assignments: dict[str, Any] = {}
    message: str = ""
    started: str | None = None
    ended: str | None = None
    seconds: float = 0.0
    promoted: bool | None = None
    model_version: str | None = None
    page: str = ""
    steps: tuple[Step, ...] = ()  # none in a list of runs

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen, unless somebody reruns it."""
        return self.status in ENDED

    def step(self, name: str) -> Step | None:
        """The step of that name, if the run has it."""
        return next((step for step in self.steps if step.name == name), None)


class Line(Record, frozen=True):
    """A line of a run's log; `step` is empty where it is about the run as a whole."""

    at: str
    level: str
    message: str
    step: str = ""


class Fired(Record, frozen=True):
    """What came of the last time that a schedule or a trigger fired."""

    at: str
    outcome: str
    run_id: str | None = None


class Schedule(Record, frozen=True):
    """When a pipeline runs by itself: `every` such as 2h, or five fields of `cron`, in a time zone."""

    id: str
    every: str | None = None
    cron: str | None = None
    start: str | None = None
    time_zone: str | None = None
    misfire: str = "once"
    overlap: str = "skip"
    enabled: bool = True
    parameter_assignments: dict[str, Any] = {}
    next: str | None = None
    last: Fired | None = None


class Trigger(Record, frozen=True):
    """What makes a pipeline run: new `data`, `drift` of the traffic, or `accuracy` on rows with known answers."""

    id: str
    kind: str
    path: str | None = None
    above: float | None = None
    metric: str | None = None
    below: float | None = None
    every_seconds: float = 30.0
    parameter_assignments: dict[str, Any] = {}
    last: Fired | None = None
