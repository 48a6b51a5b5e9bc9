"""The commands of `homeport pipeline` that let one run by itself: by time, or when something happens."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from homeport.errors import HomeportError
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, Models, State, console, say
from homeport.pipeline_options import Assigned, PipelineName, ServiceKey, ServiceUrl, absolute, assignments, service_of
from homeport.pipeline_tables import schedules_table, triggers_table
from homeport.run_words import moment


def schedule(
    name: PipelineName,
    every: Annotated[str | None, typer.Option(help="Time between two runs: 30m, 2h, 1d.", metavar="TIME")] = None,
    cron: Annotated[str | None, typer.Option(help="Five fields of cron, in quotes.", metavar="FIELDS")] = None,
    start: Annotated[str | None, typer.Option(help="Not before this time: 2026-12-01T06:00.", metavar="TIME")] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Zone of the times, such as Europe/Lisbon; by default UTC.")
    ] = None,
    misfire: Annotated[
        Literal["once", "skip"], typer.Option(help="What is done about times at which the service did not run.")
    ] = "once",
    overlap: Annotated[
        Literal["skip", "queue"], typer.Option(help="What is done if the run before has not ended.")
    ] = "skip",
    now: Annotated[bool, typer.Option("--now", help="Run it now, too.")] = False,
    assigned: Assigned = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Run a pipeline by time: --every so often, or by --cron. Nothing runs at once, unless --now is given.

    Examples:
    `homeport pipeline schedule bank --every 2h`

    `homeport pipeline schedule bank --cron '0 6 * * mon-fri' --time-zone Europe/Lisbon --set Budget=300`

    """
    if (every is None) == (cron is None):
        raise HomeportError("Give one of --every and --cron: `--every 2h`, `--cron '0 6 * * mon-fri'`.")
    made = (
        service_of(url, key, state, models)
        .pipeline(name)
        .schedule(
            every=every,
            cron=cron,
            start=start,
            time_zone=time_zone,
            misfire=misfire,
            overlap=overlap,
            run_now=now,
            pipeline_parameters=assignments(assigned),
        )
    )
    say(f"{name} is scheduled ({made.id}); it runs next at {moment(made.next)}.")


def schedules(
    name: PipelineName,
    enable: Annotated[str | None, typer.Option(help="Let a schedule run it again.", metavar="ID")] = None,
    disable: Annotated[str | None, typer.Option(help="Let a schedule rest.", metavar="ID")] = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """List the schedules of a pipeline: when they run next, and what came of the last time.

    Examples: `homeport pipeline schedules bank`, `homeport pipeline schedules bank --disable 0a6c…`
    """
    found = service_of(url, key, state, models).pipeline(name)
    if disable:
        found.disable_schedule(disable)
    if enable:
        found.enable_schedule(enable)
    console.print(schedules_table(name, found.schedules()))


def unschedule(
    name: PipelineName,
    schedule_id: Annotated[str, typer.Argument(help="Id of the schedule.", metavar="ID")],
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Delete a schedule.

    Example: `homeport pipeline unschedule bank 0a6c…`
    """
    service_of(url, key, state, models).pipeline(name).unschedule(schedule_id)
    say(f"Schedule {schedule_id} of {name} is gone.")


def trigger(
    name: PipelineName,
    on_new_data: Annotated[
        str | None, typer.Option(help="Run it when the files of this pattern (in quotes) change.", metavar="PATH")
    ] = None,
    on_drift: Annotated[
        float | None, typer.Option(help="Run it when the traffic drifts by more than this (PSI).", metavar="PSI")
    ] = None,
    on_accuracy: Annotated[
        str | None, typer.Option(help="Run it when the champion does worse on these labelled rows.", metavar="FILE")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="With --on-accuracy: what is measured.")] = None,
    below: Annotated[
        float | None, typer.Option(help="With --on-accuracy: the gate; above it for log_loss, rmse, mae.")
    ] = None,
    assigned: Assigned = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Run a pipeline when something happens: new data, drift of the traffic, or a model that has become worse.

    Examples:
    `homeport pipeline trigger bank --on-new-data 'new/*.csv'`

    `homeport pipeline trigger bank --on-drift 0.2`

    `homeport pipeline trigger bank --on-accuracy labelled.csv --metric accuracy --below 0.9`

    """
    if sum(each is not None for each in (on_new_data, on_drift, on_accuracy)) != 1:
        raise HomeportError("Give one of --on-new-data PATH, --on-drift PSI and --on-accuracy FILE.")
    if (on_accuracy is None) != (metric is None) or (on_accuracy is None) != (below is None):
        raise HomeportError("--on-accuracy FILE, --metric and --below belong together: give all three or none.")
    found = service_of(url, key, state, models).pipeline(name)
    parameters = assignments(assigned)
    if on_new_data is not None:
        made = found.run_on_data(absolute(on_new_data), parameters)
    elif on_drift is not None:
        made = found.run_on_drift(on_drift, parameters)
    else:
        assert on_accuracy is not None
        assert metric is not None
        assert below is not None
        made = found.run_on_accuracy(absolute(on_accuracy), metric, below, parameters)
    say(f"{name} has a trigger on {made.kind} ({made.id}).")


def triggers(
    name: PipelineName,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """List the triggers of a pipeline, and what came of the last time.

    Example: `homeport pipeline triggers bank`
    """
    console.print(triggers_table(name, service_of(url, key, state, models).pipeline(name).triggers()))


def untrigger(
    name: PipelineName,
    trigger_id: Annotated[str, typer.Argument(help="Id of the trigger.", metavar="ID")],
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Delete a trigger.

    Example: `homeport pipeline untrigger bank 0a6c…`
    """
    service_of(url, key, state, models).pipeline(name).untrigger(trigger_id)
    say(f"Trigger {trigger_id} of {name} is gone.")
