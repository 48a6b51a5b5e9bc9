"""Pipelines, their runs, schedules and triggers as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from homeport.pipeline_records import Fired, Job, Schedule, Trigger
from homeport.pipelines import PublishedPipeline
from homeport.run_view import STYLES
from homeport.run_words import duration, figure, moment, printable, tone


def pipelines_table(pipelines: Sequence[PublishedPipeline]) -> Table | str:
    """Versions of pipelines, one a line."""
    if not pipelines:
        return "No pipelines yet: `homeport pipeline publish NAME TABLE`."
    table = _table("name", "version", "status", "table", "published", "Id")
    for each in pipelines:
        status = Text(each.status, "green" if each.status == "ACTIVE" else "yellow")
        table.add_row(each.name, each.version, status, _text(each.job.table), moment(each.created), _text(each.id))
    return table


def pipeline_table(pipeline: PublishedPipeline) -> Table:
    """One pipeline: facts, and those of its job that are not as they are by default."""
    table = Table(show_header=False, box=None)
    facts = {
        "name": pipeline.name, "version": pipeline.version, "status": pipeline.status, "Id": pipeline.id,
        "description": pipeline.description, "published": moment(pipeline.created), "endpoint": pipeline.endpoint,
    }  # fmt: skip
    default = Job(pipeline.job.table)
    for field in msgspec.structs.fields(Job):
        value = getattr(pipeline.job, field.name)
        if field.name == "table" or value != getattr(default, field.name):
            facts[field.encode_name] = _plain(value)
    for name, fact in facts.items():
        if fact:
            table.add_row(name, _text(fact))
    return table


def runs_table(pipeline: PublishedPipeline) -> Table | str:
    """Runs of a pipeline, one a line."""
    runs = [run.details for run in pipeline.runs()]
    if not runs:
        return f"{pipeline.name} has not run yet: `homeport pipeline run {pipeline.name}`."
    table = _table("run", "status", "begun", "took", "champion", "experiment", "cause")
    for run in runs:
        status = Text(run.status, STYLES.get(tone(run), ""))
        began, took = moment(run.started or run.created), duration(run.seconds)
        champion = f"now {run.model_version}" if run.promoted else "" if run.promoted is None else "stays"
        experiment, cause = _text(run.experiment_name), _text(run.cause)
        table.add_row(_text(run.id), status, began, took, champion, experiment, cause)
    return table


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table | str:
    """The metrics of a run, one a line."""
    if not any(metrics.values()):
        return "No step of this run has metrics yet."
    table = _table("step", "metric", "value")
    for step, values in metrics.items():
        for name, value in values.items():
            table.add_row(_text(step), _text(name), figure(value))
    return table


def schedules_table(name: str, schedules: Sequence[Schedule]) -> Table | str:
    """Schedules of a pipeline, one a line."""
    if not schedules:
        return f"{name} has no schedules: `homeport pipeline schedule {name} --every 2h`."
    table = _table("schedule", "when", "zone", "status", "next", "last")
    for each in schedules:
        status = Text("enabled", "green") if each.enabled else Text("disabled", "yellow")
        when = f"every {each.every}" if each.every else each.cron or ""
        zone, following = _text(each.time_zone or ""), moment(each.next)
        table.add_row(_text(each.id), _text(when), zone, status, following, _last(each.last))
    return table


def triggers_table(name: str, triggers: Sequence[Trigger]) -> Table | str:
    """Triggers of a pipeline, one a line."""
    if not triggers:
        return f"{name} has no triggers: `homeport pipeline trigger {name} --on-drift 0.2`."
    table = _table("trigger", "runs it on", "last")
    for each in triggers:
        table.add_row(_text(each.id), _text(_event(each)), _last(each.last))
    return table


def _event(trigger: Trigger) -> str:
    match trigger.kind:
        case "data":
            return f"new data: {trigger.path}"
        case "drift":
            return f"drift above {trigger.above}"
        case "accuracy":
            return f"{trigger.metric} below {trigger.below} on {trigger.path}"
    return trigger.kind


def _last(fired: Fired | None) -> Text:
    return _text(f"{moment(fired.at)}: {fired.outcome}" if fired else "-")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _table(*columns: str) -> Table:
    table = Table(box=None)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)  # an Id that is copied is on one line
    return table


def _text(value: str) -> Text:
    """Text from elsewhere, which is no markup and moves no cursor."""
    return Text(printable(value))
