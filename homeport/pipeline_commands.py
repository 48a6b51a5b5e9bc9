"""`homeport pipeline`: publish, run and follow pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from bundle.manifest import Task
from homeport.errors import HomeportError
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, Models, State, console
from homeport.stack import Stack

INTERRUPTED = 130  # as shells have it


def id_column(title: str) -> Column:
    """A column of ids, which are there to be copied: never cut short, however narrow the terminal."""
    return Column(title, no_wrap=True, min_width=36)


pipeline = typer.Typer(help="Pipelines: published, run, scheduled and watched.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the pipeline, or the id of a version.", metavar="NAME")]
RunId = Annotated[str | None, typer.Argument(help="Id of the run; by default the latest.", metavar="RUN")]
ServiceUrl = Annotated[
    str | None, typer.Option("--url", envvar="HOMEPORT_PIPELINE_URL", help="Address; by default the embedded stack's.")
]
ServiceKey = Annotated[
    str | None, typer.Option("--key", envvar="HOMEPORT_PIPELINE_KEY", help="Key; by default the embedded service's.")
]


def service(url: str | None, key: str | None, state: Path, models: Path = DEFAULT_MODELS) -> Any:
    """The service that is named, or the embedded stack's, started if it does not run. Raises HomeportError."""
    from homeport.pipelines import PipelineService

    if url is None:
        stack = Stack(state, models)
        if stack.pipeline.running() is None:
            with console.status("Starting the pipeline service"):
                stack.start_pipeline()
        return PipelineService.local(state, key)
    if key is None:
        raise HomeportError("Give the key of that service with --key: this machine's own goes nowhere else.")
    return PipelineService(url, key)


def assignments(given: list[str] | None) -> dict[str, Any]:
    """`Budget=30` → {"Budget": 30}: JSON where it is that, text otherwise. Raises HomeportError."""
    found: dict[str, Any] = {}
    for one in given or []:
        name, equals, value = one.partition("=")
        if not equals:
            raise HomeportError(f"'{one}' assigns nothing: write it as NAME=VALUE, such as --set Budget=30.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


@pipeline.command()
def publish(
    name: Annotated[str, typer.Argument(help="Name of the pipeline.", metavar="NAME")],
    table: Annotated[str, typer.Argument(help="A data set's name, or a CSV, Parquet or .toml file.", metavar="TABLE")],
    target: Annotated[str | None, typer.Option("--target", "-t", help="Column to predict.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model; by default the pipeline's.")] = None,
    task: Annotated[Task | None, typer.Option(help="By default what the target looks like.")] = None,
    positive: Annotated[str | None, typer.Option(help="Positive class of a binary target.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column to leave out; may be repeated.")] = None,
    metric: Annotated[str | None, typer.Option(help="What to optimise and to compare by.")] = None,
    learners: Annotated[str | None, typer.Option(help="Learners to search over, separated by commas.")] = None,
    budget: Annotated[float, typer.Option(min=1, help="Seconds of search.")] = 60.0,
    max_trials: Annotated[int | None, typer.Option(min=2, help="End by trials instead.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of search and folds.")] = 0,
    margin: Annotated[float, typer.Option(min=0, help="How much better than the champion a model has to be.")] = 0.0,
    reuse: Annotated[bool, typer.Option(help="Take over results of unchanged steps.")] = True,
    serve: Annotated[bool, typer.Option(help="Try a promoted version on the endpoint.")] = True,
    batch_input: Annotated[str | None, typer.Option(help="Rows to score at the end.")] = None,
    batch_output: Annotated[str | None, typer.Option(help="File that they are written to.")] = None,
    version: Annotated[str | None, typer.Option(help="Label of this version; by default the next number.")] = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Publish a pipeline, or its next version, and print how it is triggered.

    Examples:
    `homeport pipeline publish bank bank-marketing --budget 60`

    `homeport pipeline publish sales sales.csv --target churned --margin 0.002`

    """
    from homeport.pipelines import Job

    job = Job(
        table=_absolute(table), target=target, model=model, task=task, positive=positive, drop=tuple(drop or ()),
        metric=metric, learners=tuple(part.strip() for part in (learners or "").split(",") if part.strip()),
        budget=budget, max_trials=max_trials, seed=seed, margin=margin, allow_reuse=reuse, serve=serve,
        batch_input=batch_input and _absolute(batch_input),
        batch_output=batch_output and str(Path(batch_output).absolute()),
    )  # fmt: skip
    made = service(url, key, state, models).publish(name, job, version, description)
    console.print(f"{made.name} {made.version} is published. Id: {made.id}", highlight=False)
    console.print(f"Endpoint: {made.endpoint}", highlight=False)
    if made.keys:
        console.print("Its keys, shown this once:", highlight=False)
        console.print(f"  primary   {made.keys.primary}\n  secondary {made.keys.secondary}", highlight=False)
    shown = made.keys.primary if made.keys else "KEY"
    body = "-H 'Content-Type: application/json' -d '{\"ExperimentName\": \"by-hand\"}'"
    console.print(
        f"Trigger it: curl -X POST {made.endpoint} -H 'Authorization: Bearer {shown}' {body}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    console.print(f"Or: `homeport pipeline run {made.name} --watch`", highlight=False)


@pipeline.command("list")
def list_(
    all_versions: Annotated[bool, typer.Option("--all", help="All versions, not the newest of each name.")] = False,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    state: State = DEFAULT_STATE,
) -> None:
    """List what is published, newest first."""
    table = Table("name", "version", "status", "table", "published", "description", box=None)
    for one in service(url, key, state).pipelines(all_versions):
        table.add_row(
            one.name, one.version, one.status, escape(one.job.table), one.created[:19], escape(one.description)
        )
    console.print(table)


@pipeline.command()
def show(name: Name, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE) -> None:
    """Show a pipeline: its status, endpoint and job as JSON."""
    import msgspec

    found = service(url, key, state).pipeline(name)
    console.print(f"{found.name} {found.version} {found.status}  Id: {found.id}", highlight=False)
    console.print(f"Endpoint: {found.endpoint}", highlight=False)
    console.print_json(msgspec.json.encode(found.job).decode())


@pipeline.command()
def run(
    name: Name,
    experiment: Annotated[str, typer.Option(help="Its place in the experiment log.")] = "",
    assigned: Annotated[
        list[str] | None, typer.Option("--set", help="Another value for this run, such as Budget=30.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until it is over.")] = False,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Run a pipeline.

    Examples: `homeport pipeline run bank --watch`, `homeport pipeline run bank --set Budget=120 --set Seed=3`
    """
    begun = service(url, key, state).pipeline(name).submit(experiment, assignments(assigned))
    if watch:
        return _watch(begun)
    console.print(f"Run {begun.id}. Follow it: `homeport pipeline watch {name}`.", highlight=False)
    return None


@pipeline.command()
def runs(name: Name, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE) -> None:
    """List the runs of a pipeline, the latest first."""
    from homeport.run_words import duration, moment, verdict

    table = Table(id_column("run"), "status", "created", "took", "cause", "what came of it", box=None)
    for one in service(url, key, state).pipeline(name).runs():
        told = one.details
        end = escape(verdict(told)) if told.is_over else ""
        table.add_row(one.id, told.status, moment(told.created), duration(told.seconds), escape(told.cause), end)
    console.print(table)


@pipeline.command()
def watch(
    name: Name, run: RunId = None, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE
) -> None:
    """Follow a run: its steps, their time, how far the search is. Ctrl-C leaves the view, not the run."""
    _watch(service(url, key, state).pipeline(name).run(run))


@pipeline.command()
def logs(
    name: Name,
    run: RunId = None,
    follow: Annotated[bool, typer.Option("--follow", help="Also what is to come.")] = False,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Print the log of a run."""
    try:
        for line in service(url, key, state).pipeline(name).run(run).logs(follow):
            where = f"{line.step}: " if line.step else ""
            text = f"{line.at[11:19]} {line.level:<7} {where}{line.message}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@pipeline.command()
def metrics(
    name: Name, run: RunId = None, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE
) -> None:
    """Show what the steps of a run have measured."""
    from homeport.run_words import figure

    table = Table("step", "metric", "value", box=None)
    for step, measured in service(url, key, state).pipeline(name).run(run).get_metrics().items():
        for metric, value in measured.items():
            table.add_row(step, escape(metric), figure(value))
    console.print(table)


@pipeline.command()
def outputs(
    name: Name, run: RunId = None, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE
) -> None:
    """Print what the steps of a run have given, as JSON."""
    print(json.dumps(service(url, key, state).pipeline(name).run(run).get_outputs(), indent=1))


@pipeline.command()
def cancel(
    name: Name, run: RunId = None, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE
) -> None:
    """End a run. What its steps have done stays, and `homeport pipeline rerun` goes on from there."""
    found = service(url, key, state).pipeline(name).run(run)
    found.cancel()
    console.print(f"Run {found.id} is cancelled.", highlight=False)


@pipeline.command()
def rerun(
    name: Name, run: RunId = None, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE
) -> None:
    """Let a run that failed or was cancelled go on from the step that did not complete."""
    found = service(url, key, state).pipeline(name).run(run)
    found.rerun()
    console.print(f"Run {found.id} goes on. Follow it: `homeport pipeline watch {name} {found.id}`.", highlight=False)


@pipeline.command()
def enable(name: Name, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE) -> None:
    """Make a pipeline ACTIVE: it takes runs."""
    found = service(url, key, state).pipeline(name)
    found.enable()
    console.print(f"{found.name} {found.version} is {found.status}.")


@pipeline.command()
def disable(name: Name, url: ServiceUrl = None, key: ServiceKey = None, state: State = DEFAULT_STATE) -> None:
    """Make a pipeline DISABLED: it refuses runs, also those of schedules and triggers."""
    found = service(url, key, state).pipeline(name)
    found.disable()
    console.print(f"{found.name} {found.version} is {found.status}.")


def _watch(found: Any) -> None:
    from homeport.run_details import RunDetails

    try:
        ended = RunDetails(found).watch(console)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if ended.status != "Completed":
        raise typer.Exit(1)


def _absolute(path: str) -> str:
    """A path as the service sees it; what is no file here is a name, a pattern or an address, and stays."""
    return str(Path(path).absolute()) if Path(path).exists() else path
