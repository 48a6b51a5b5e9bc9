"""`homeport pipeline`: what is published, and who may run it."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import typer

from bundle.manifest import Task
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, Models, State, console, say
from homeport.pipeline_options import PipelineName, ServiceKey, ServiceUrl, absolute, service_of, table_of
from homeport.pipeline_run_commands import cancel, logs, metrics, outputs, rerun, run, runs, watch
from homeport.pipeline_schedule_commands import schedule, schedules, trigger, triggers, unschedule, untrigger
from homeport.pipeline_tables import pipeline_table, pipelines_table
from homeport.pipelines import Job, PublishedPipeline

pipeline = typer.Typer(
    help="Pipelines: from a table to a promoted model, published behind a key, by hand, time or event.",
    no_args_is_help=True,
)


@pipeline.command()
def publish(
    name: Annotated[str, typer.Argument(help="Name of the pipeline.", metavar="NAME")],
    table: Annotated[
        str, typer.Argument(help="A CSV or Parquet file, a data-set file (.toml), or the name of one.", metavar="TABLE")
    ],
    version: Annotated[str | None, typer.Option(help="Version of the pipeline; by default the next.")] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    target: Annotated[str | None, typer.Option("--target", "-t", help="Column to predict.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model; by default the table's.")] = None,
    task: Annotated[Task | None, typer.Option(help="By default what the target looks like.")] = None,
    positive: Annotated[str | None, typer.Option(help="Positive class of a binary target.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column to leave out; may be repeated.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Compare on the latest rows by this column.")] = None,
    metric: Annotated[str | None, typer.Option(help="What to optimise, such as roc_auc, log_loss, rmse.")] = None,
    learners: Annotated[str | None, typer.Option(help="Learners to search over, separated by commas.")] = None,
    budget: Annotated[float, typer.Option(min=1, help="Seconds of search.")] = 60.0,
    max_trials: Annotated[
        int | None, typer.Option(min=2, help="End by trials instead: reproducible with --seed.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of split, search and folds.")] = 0,
    margin: Annotated[float, typer.Option(min=0, help="By how much a new model must beat the champion.")] = 0.0,
    batch_input: Annotated[str | None, typer.Option(help="Files to score with the champion at the end.")] = None,
    batch_output: Annotated[str | None, typer.Option(help="File to write the scored rows to.")] = None,
    reuse: Annotated[bool, typer.Option(help="Reuse what a step gave to the same inputs before.")] = True,
    serve: Annotated[bool, typer.Option(help="Try the endpoint once a model is promoted.")] = True,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Publish a pipeline, or a further version of it, behind an address with two keys.

    The keys are shown the first time alone.

    Examples:
    `homeport pipeline publish bank bank-marketing --budget 120`

    `homeport pipeline publish churn sales.csv --target churned --version 2.0 --margin 0.005`

    `homeport pipeline publish nightly sales.csv -t churned --batch-input 'new/*.csv' --batch-output scored.parquet`

    """
    job = Job(
        table_of(table), target, model, task, positive, tuple(drop or ()), metric,
        tuple(part.strip() for part in (learners or "").split(",") if part.strip()),
        budget, max_trials, seed, margin, reuse, serve,
        absolute(batch_input) if batch_input else None, absolute(batch_output) if batch_output else None, time_column,
    )  # fmt: skip
    published = service_of(url, key, state, models).publish(name, job, version, description)
    _tell(published)


@pipeline.command("list")
def pipelines_list(
    all_versions: Annotated[bool, typer.Option("--all", help="All versions, not only the newest of each.")] = False,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """List the pipelines, those published last first.

    Examples: `homeport pipeline list`, `homeport pipeline list --all`
    """
    console.print(pipelines_table(service_of(url, key, state, models).pipelines(all_versions)))


@pipeline.command()
def show(
    name: PipelineName,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Show a pipeline: Id, version, status, address, and what it does.

    Example: `homeport pipeline show bank`
    """
    console.print(pipeline_table(service_of(url, key, state, models).pipeline(name)))


@pipeline.command()
def enable(
    name: PipelineName,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Let a pipeline be run again.

    Example: `homeport pipeline enable bank`
    """
    found = service_of(url, key, state, models).pipeline(name)
    found.enable()
    console.print(f"{found.name} {found.version} is {found.status}.", highlight=False, markup=False)


@pipeline.command()
def disable(
    name: PipelineName,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Refuse all runs of a pipeline, also those of schedules and triggers. What runs goes on.

    Example: `homeport pipeline disable bank`
    """
    found = service_of(url, key, state, models).pipeline(name)
    found.disable()
    console.print(
        f"{found.name} {found.version} is {found.status}: `homeport pipeline enable {name}` lets it run again.",
        highlight=False,
        markup=False,
    )


@pipeline.command("key")
def make_key(
    name: PipelineName,
    which: Annotated[Literal["primary", "secondary"], typer.Argument(help="Which of the two.")],
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Replace one key of a pipeline and print the new one, and nothing else; the other stays valid.

    Example: `KEY=$(homeport pipeline key bank secondary)`
    """
    print(service_of(url, key, state, models).pipeline(name).regenerate_key(which))


for command in (
    run, runs, watch, logs, metrics, outputs, cancel, rerun,
    schedule, schedules, unschedule, trigger, triggers, untrigger,
):  # fmt: skip
    pipeline.command()(command)


def _tell(published: PublishedPipeline) -> None:
    """Say what somebody needs who will run it."""
    lines = [
        f"{published.name} {published.version} is published and {published.status}.",
        f"Id             {published.id}",
        f"endpoint       {published.endpoint}",
    ]
    if published.keys:
        lines += [
            f"primary key    {published.keys.primary}",
            f"secondary key  {published.keys.secondary}",
            "The keys are shown this once; `homeport pipeline key` makes one anew.",
        ]
    else:
        lines.append("Its keys are those of the versions before.")
    key = published.keys.primary if published.keys else "$KEY"
    headers = f"""-H "Authorization: Bearer {key}" -H 'Content-Type: application/json'"""
    lines += [
        "Run it:",
        f'  curl {shlex.quote(published.endpoint)} {headers} -d \'{{"ExperimentName": "by-rest"}}\'',
        f"  homeport pipeline run {published.name} --watch",
    ]
    for line in lines:
        say(line)
