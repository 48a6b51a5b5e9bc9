"""Schedules and triggers as they are asked for and answered: PascalCase, as Azure's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from pipeline.service.agenda import Last, Scheduled, Watched
from pipeline.service.schedules import Misfire, Overlap, Schedule, next_after
from pipeline.service.triggers import METRICS, DataTrigger, DriftTrigger

_Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-12-01T06:00:00+00:00"])]
_Path = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]


class _Fields(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, extra="forbid", use_attribute_docstrings=True)


class _Shown(_Fields):
    model_config = ConfigDict(validate_by_name=True)


class Problem(BaseModel):
    """What is wrong, with which value, and what to do."""

    message: str


class LastShown(_Shown):
    """What came of the last fire time or look."""

    at: _Time
    """The fire time of a schedule, the time of a trigger's look; UTC."""

    run_id: str | None
    """The run that it began. A trigger, which looks often, shows the last run that it began."""

    outcome: str
    """In words: started, skipped, missed, refused, or what the look found."""


class ScheduleAsked(_Fields):
    """Either an interval or a cron expression."""

    every: str | None = Field(None, examples=["2h"])
    """Interval from `1m` to `366d`, in s, m, h or d. Days keep the time of day when clocks change."""

    cron: str | None = Field(None, examples=["0 6 * * mon-fri"])
    """Minute, hour, day of the month, month, weekday, as in crontab."""

    start: str | None = Field(None, examples=["2026-12-01T06:00"])
    """First time of an interval, earliest of a cron expression: ISO 8601, in the time zone unless it has an offset.
    An interval without it first fires one interval after its creation."""

    time_zone: str = Field("UTC", examples=["Europe/Lisbon"])
    """Name in the IANA database."""

    misfire: Misfire = "once"
    """What is missed while the service is down: made up for by one run, or skipped."""

    overlap: Overlap = "skip"
    """While a run of the pipeline is queued or under way: fire times are skipped, or one waits."""

    run_now: bool = False
    """Also fire at once."""

    enabled: bool = True
    """Whether it fires."""

    parameter_assignments: dict[str, Any] = Field({}, examples=[{"Budget": 120}])
    """For its runs."""


class ScheduleShown(ScheduleAsked, _Shown):
    """A schedule."""

    id: str
    created: _Time
    next: _Time | None
    """The next fire time, in the schedule's time zone; null while it is disabled."""

    last: LastShown | None


class Schedules(_Shown):
    """Of a pipeline, the oldest first."""

    schedules: list[ScheduleShown]


class _TriggerAsked(_Fields):
    every_seconds: float = Field(30.0, ge=1, le=86_400)
    """Time between two looks."""

    parameter_assignments: dict[str, Any] = Field({}, examples=[{"Budget": 120}])
    """For its runs."""


class DataAsked(_TriggerAsked):
    """Fires when the content of files changes and nobody writes them any more."""

    kind: Literal["data"]
    path: _Path = Field(examples=["new/*.csv"])
    """A file or a glob; `**` stands for any folders."""


class DriftAsked(_TriggerAsked):
    """Fires when the endpoint's inputs have moved away from those that the champion was trained on."""

    kind: Literal["drift"]
    above: float = Field(0.2, gt=0, allow_inf_nan=False)
    """Population stability index of the column that moved furthest."""


class AccuracyAsked(_TriggerAsked):
    """Fires when the champion is past the gate on a labelled file."""

    kind: Literal["accuracy"]
    path: _Path = Field(examples=["labelled.csv"])
    """A file with the target column."""

    metric: str = Field("accuracy", json_schema_extra={"enum": list(METRICS)})
    below: float = Field(examples=[0.9], allow_inf_nan=False)
    """The gate: the trigger fires below it, but above it for log_loss, rmse and mae, of which less is better."""


class _TriggerShown(_Shown):
    id: str
    created: _Time
    last: LastShown | None


class DataShown(DataAsked, _TriggerShown):
    """A trigger."""


class DriftShown(DriftAsked, _TriggerShown):
    """A trigger."""


class AccuracyShown(AccuracyAsked, _TriggerShown):
    """A trigger."""


TriggerShown = Annotated[DataShown | DriftShown | AccuracyShown, Field(discriminator="kind")]


class Triggers(_Shown):
    """Of a pipeline, the oldest first."""

    triggers: list[TriggerShown]


_SCHEDULES: Any = {
    "interval": {"value": {"Every": "2h", "Start": "2026-12-01T06:00", "TimeZone": "Europe/Lisbon"}},
    "cron": {
        "value": {"Cron": "0 6 * * mon-fri", "TimeZone": "Europe/Lisbon", "ParameterAssignments": {"Budget": 120}}
    },
}
_TRIGGERS: Any = {
    "data": {"value": {"Kind": "data", "Path": "new/*.csv"}},
    "drift": {"value": {"Kind": "drift", "Above": 0.2}},
    "accuracy": {"value": {"Kind": "accuracy", "Path": "labelled.csv", "Metric": "accuracy", "Below": 0.9}},
}
ScheduleBody = Annotated[ScheduleAsked, Body(openapi_examples=_SCHEDULES)]
TriggerBody = Annotated[DataAsked | DriftAsked | AccuracyAsked, Body(openapi_examples=_TRIGGERS, discriminator="kind")]


def show_schedule(record: Scheduled) -> ScheduleShown:
    """A schedule as it is answered."""
    schedule = record.schedule
    return ScheduleShown(
        id=record.id,
        created=_utc(schedule.created),
        every=schedule.every,
        cron=schedule.cron,
        start=_local(schedule, schedule.start),
        time_zone=schedule.time_zone,
        misfire=schedule.misfire,
        overlap=schedule.overlap,
        run_now=record.run_now,
        enabled=record.enabled,
        parameter_assignments=record.assignments,
        next=_local(schedule, next_after(schedule, record.handled)) if record.enabled else None,
        last=_last(record.last),
    )


def show_trigger(record: Watched) -> DataShown | DriftShown | AccuracyShown:
    """A trigger as it is answered."""
    trigger = record.trigger
    common: dict[str, Any] = {
        "id": record.id,
        "created": _utc(record.created),
        "every_seconds": trigger.every_seconds,
        "parameter_assignments": record.assignments,
        "last": _last(record.last),
    }
    if isinstance(trigger, DataTrigger):
        return DataShown(kind="data", path=trigger.path, **common)
    if isinstance(trigger, DriftTrigger):
        return DriftShown(kind="drift", above=trigger.above, **common)
    return AccuracyShown(kind="accuracy", path=trigger.path, metric=trigger.metric, below=trigger.below, **common)


def _last(last: Last | None) -> LastShown | None:
    return LastShown(at=_utc(last.at), run_id=last.run_id, outcome=last.outcome) if last else None


def _local(schedule: Schedule, time: datetime | None) -> str | None:
    return time.astimezone(schedule.zone).isoformat() if time else None


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
