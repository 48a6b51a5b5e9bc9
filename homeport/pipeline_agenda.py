"""`homeport pipeline schedule`, `trigger` and their kin: when a pipeline runs by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from homeport.errors import HomeportError
from homeport.options import DEFAULT_STATE, State, console
from homeport.pipeline_commands import Name, ServiceKey, ServiceUrl, assignments, id_column, pipeline, service

__all__ = ["pipeline"]  # with the commands of this module

Assigned = Annotated[list[str] | None, typer.Option("--set", help="Another value for its runs, such as Budget=30.")]
Id = Annotated[str, typer.Argument(help="Its id.", metavar="ID")]


@pipeline.command()
def schedule(
    name: Name,
    every: Annotated[str | None, typer.Option(help="So often: 30m, 2h, 1d.")] = None,
    cron: Annotated[str | None, typer.Option(help="Five fields, as in crontab: '0 6 * * mon-fri'.")] = None,
    start: Annotated[str | None, typer.Option(help="Not before, such as 2026-12-01T06:00.")] = None,
    time_zone: Annotated[str, typer.Option(help="Such as Europe/Lisbon.")] = "UTC",
    misfire: Annotated[Literal["once", "skip"], typer.Option(help="What becomes of missed times.")] = "once",
    overlap: Annotated[Literal["skip", "queue"], typer.Option(help="While a run is under way.")] = "skip",
    now: Annotated[bool, typer.Option("--now", help="Also run now; otherwise nothing does.")] = False,
    assigned: Assigned = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Run a pipeline by the clock.

    Examples: `homeport pipeline schedule bank --every 2h`,
    `homeport pipeline schedule bank --cron '0 6 * * mon-fri' --time-zone Europe/Lisbon`
    """
    made = (
        service(url, key, state)
        .pipeline(name)
        .schedule(
            every=every, cron=cron, start=start, time_zone=time_zone, misfire=misfire, overlap=overlap, run_now=now,
            pipeline_parameters=assignments(assigned),
        )
    )  # fmt: skip
    console.print(f"Schedule {made.id}. Next: {made.next or '-'}", highlight=False)


@pipeline.command()
def schedules(name: Name, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE) -> None:
    """List the schedules of a pipeline: when they fire next, and what came of the last time."""
    table = Table(id_column("id"), "when", "time zone", "next", "last", box=None)
    for one in service(url, key, state).pipeline(name).schedules():
        last = f"{one.last.at}: {one.last.outcome}" if one.last else "-"
        following = (one.next or "-") if one.enabled else "disabled"
        table.add_row(one.id, escape(one.every or one.cron or ""), one.time_zone or "", following, escape(last))
    console.print(table)


@pipeline.command()
def unschedule(
    name: Name,
    which: Id,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Delete a schedule."""
    service(url, key, state).pipeline(name).unschedule(which)
    console.print(f"Schedule {which} is deleted.", highlight=False)


@pipeline.command()
def trigger(
    name: Name,
    on_new_data: Annotated[str | None, typer.Option(help="A file, or a pattern in quotes, to look at.")] = None,
    on_drift: Annotated[float | None, typer.Option(help="Greatest PSI of a column, from insights.")] = None,
    on_accuracy: Annotated[str | None, typer.Option(help="A file of rows with known answers.")] = None,
    metric: Annotated[str, typer.Option(help="Metric of --on-accuracy.")] = "accuracy",
    below: Annotated[float | None, typer.Option(help="Gate of --on-accuracy.")] = None,
    assigned: Assigned = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Run a pipeline when something happens: new data, drift, or a champion that got worse.

    Examples: `homeport pipeline trigger bank --on-new-data 'new/*.csv'`,
    `homeport pipeline trigger bank --on-drift 0.2`,
    `homeport pipeline trigger bank --on-accuracy labelled.csv --below 0.9`
    """
    if [on_new_data, on_drift, on_accuracy].count(None) != 2:
        raise HomeportError("Name one of --on-new-data, --on-drift and --on-accuracy.")
    found, values = service(url, key, state).pipeline(name), assignments(assigned)
    if on_new_data is not None:
        made = found.run_on_data(str(Path(on_new_data).absolute()), values)
    elif on_drift is not None:
        made = found.run_on_drift(on_drift, values)
    elif below is None:
        raise HomeportError("Give the gate: --below VALUE.")
    else:
        made = found.run_on_accuracy(str(Path(str(on_accuracy)).absolute()), metric, below, values)
    console.print(f"Trigger {made.id} on {made.kind}.", highlight=False)


@pipeline.command()
def triggers(name: Name, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE) -> None:
    """List the triggers of a pipeline, and what their last look found."""
    table = Table(id_column("id"), "kind", "looks at", "last", box=None)
    for one in service(url, key, state).pipeline(name).triggers():
        last = f"{one.last.at}: {one.last.outcome}" if one.last else "-"
        table.add_row(one.id, one.kind, escape(one.path or f"PSI above {one.above}"), escape(last))
    console.print(table)


@pipeline.command()
def untrigger(
    name: Name,
    which: Id,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Delete a trigger."""
    service(url, key, state).pipeline(name).untrigger(which)
    console.print(f"Trigger {which} is deleted.", highlight=False)


@pipeline.command("key")
def make_key(
    name: Name,
    slot: Annotated[Literal["primary", "secondary"], typer.Argument(help="Which of the two.")],
    url: ServiceUrl = None,
    key: ServiceKey = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Make one of a pipeline's keys anew and print it, and nothing else; the old one ends at once."""
    print(service(url, key, state).pipeline(name).regenerate_key(slot))
