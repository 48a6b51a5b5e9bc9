"""The commands of `homeport`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bundle import BundleError, Store
from bundle.manifest import Task
from homeport import training
from homeport.batch import batch
from homeport.client import bench, explain, score
from homeport.deploy import deploy
from homeport.errors import HomeportError
from homeport.experiments import experiments
from homeport.logs import logs
from homeport.options import (
    DEFAULT_MODELS,
    DEFAULT_STATE,
    Host,
    InsightsPort,
    Models,
    PipelinePort,
    Port,
    State,
    console,
)
from homeport.pipeline_commands import pipeline
from homeport.stack import Stack
from homeport.up import Ports, bring_up
from homeport.versions import models
from pipeline.errors import PipelineError
from serving.errors import ServingError
from serving.keys import KeyName, read_keys, regenerate
from trainer.errors import TrainerError

app = typer.Typer(
    help="From a table to a production endpoint, at home first.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="The two keys of the endpoint.", no_args_is_help=True)
app.add_typer(models, name="models")
app.add_typer(keys, name="keys")
app.add_typer(pipeline, name="pipeline")
app.add_typer(deploy, name="deploy")


@app.command()
def train(
    table: Annotated[
        str, typer.Argument(help="A CSV or Parquet file, a data-set file (.toml), or the name of one.", metavar="TABLE")
    ],
    file: Annotated[str | None, typer.Option(help="Use this file for the data set, instead of a download.")] = None,
    target: Annotated[str | None, typer.Option("--target", "-t", help="Column to predict.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; by default the table's.")] = None,
    task: Annotated[Task | None, typer.Option(help="By default what the target looks like.")] = None,
    positive: Annotated[str | None, typer.Option(help="Positive class of a binary target.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column to leave out; may be repeated.")] = None,
    time_column: Annotated[
        str | None, typer.Option(help="Column of time: test on the latest fifth of the rows; it is left out itself.")
    ] = None,
    test: Annotated[str | None, typer.Option(help="File of rows to test on, instead of a fifth of the table.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="What to optimise, such as roc_auc, log_loss, accuracy, rmse.")
    ] = None,
    learners: Annotated[str | None, typer.Option(help="Learners to search over, separated by commas.")] = None,
    budget: Annotated[float, typer.Option(min=1, help="Seconds of search.")] = 60.0,
    max_trials: Annotated[
        int | None, typer.Option(min=2, help="End by trials instead: reproducible with --seed.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of search and folds; the untouched rows are always the same ones.")
    ] = 0,
    repeats: Annotated[int, typer.Option(min=0, help="Search anew on so many further splits: mean and sd.")] = 0,
    max_latency_us: Annotated[
        float | None, typer.Option(min=0.0, help="What the model may take: µs a row of the exported graph, at most.")
    ] = None,
    max_size_mb: Annotated[float | None, typer.Option(min=0.0, help="Size of the exported graph, at most.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Name in the experiment log; by default the model's.")] = None,
    log: Annotated[bool, typer.Option(envvar="HOMEPORT_LOG", help="Write an experiment log (MLflow).")] = True,
    promote: Annotated[bool, typer.Option(help="Make the new version the champion.")] = False,
    if_no_model: Annotated[bool, typer.Option("--if-no-model", help="Do nothing if there is a model already.")] = False,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Find the best model for a table and write it as a bundle.

    Examples:
    `homeport train bank-marketing`

    `homeport train bank-marketing --file bankmarketing_train.csv.gz`

    `homeport train sales.csv --target churned --budget 120`

    `homeport train prices.parquet -t price --max-trials 50 --seed 7 --repeats 5`

    `homeport train sales.csv -t churned --max-latency-us 2 --max-size-mb 1`

    `homeport train sales.csv -t churned --time-column month --repeats 2`

    `homeport train sales-2023.csv -t churned --test sales-2024.csv`

    """
    options = training.Options(
        table, file, target, name, task, positive, tuple(drop or ()), metric,
        tuple(part.strip() for part in (learners or "").split(",") if part.strip()),
        budget, max_trials, seed, repeats, max_latency_us, max_size_mb, experiment, log, time_column, test,
    )  # fmt: skip
    store = Store(models)
    if if_no_model and (names := store.names()):
        console.print(f"There is a model already ({', '.join(names)}): nothing to do.")
        return
    manifest = training.run(options, store, Stack(state, models), console)
    if promote:
        store.promote(manifest.name, manifest.version)
    champion = store.champion(manifest.name)
    if champion and champion.version == manifest.version:
        console.print(
            f"{manifest.name} {manifest.version} is the champion. An endpoint that runs takes it over; "
            f"`homeport up --model {manifest.name}` starts one."
        )
    else:
        console.print(
            f"The champion stays version {champion.version if champion else '-'}. "
            f"Promote the new one: `homeport models promote {manifest.name} {manifest.version}`."
        )


@app.command()
def up(
    model: Annotated[str | None, typer.Option(help="Model to serve; by default the one promoted last.")] = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    insights_port: InsightsPort = 8080,
    pipeline_port: PipelinePort = 8010,
    insights: Annotated[bool, typer.Option(help="Run insights, which takes the endpoint's telemetry.")] = True,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Start the embedded stack in the background and score two rows through it.

    Trains on Bank Marketing first if there is no model yet. A second call changes nothing.

    Examples: `homeport up`, `homeport up --model sales --port 8001`
    """
    ports = Ports(port, insights_port if insights else None, pipeline_port)
    bring_up(Store(models), Stack(state, models), model, host, ports, console)


@app.command()
def down(state: State = DEFAULT_STATE) -> None:
    """Stop the embedded stack. Models, keys and logs stay."""
    console.print("Stopped." if Stack(state, DEFAULT_MODELS).stop() else "Nothing was running.")


app.command()(score)
app.command()(explain)
app.command()(bench)
app.command()(batch)
app.command()(logs)
app.command()(experiments)


@keys.command("show")
def keys_show(name: Annotated[KeyName, typer.Argument(help="Which of the two.")], state: State = DEFAULT_STATE) -> None:
    """Print one key, and nothing else: `KEY=$(homeport keys show primary)`."""
    print(getattr(read_keys(Stack(state, DEFAULT_MODELS).keys), name))


@keys.command("regenerate")
def keys_regenerate(
    name: Annotated[KeyName, typer.Argument(help="Which of the two.")], state: State = DEFAULT_STATE
) -> None:
    """Replace one key and print the new one; the other stays valid, so that clients can move over first.

    All workers of a running endpoint know the new key at once and forget the old one within a second.
    """
    print(regenerate(Stack(state, DEFAULT_MODELS).keys, name))


def main() -> None:
    """Run a command; a user's mistake ends with a message, not with a stack trace."""
    try:
        app()
    except (BundleError, HomeportError, PipelineError, ServingError, TrainerError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
