"""The commands of `homeport pipeline` about runs: begin them, follow them, see what they gave, end them."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.text import Text

from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, INTERRUPTED, Models, State, console, say
from homeport.pipeline_options import Assigned, PipelineName, RunId, ServiceKey, ServiceUrl, assignments, service_of
from homeport.pipeline_run import PipelineRun
from homeport.pipeline_tables import metrics_table, runs_table
from homeport.run_details import RunDetails
from homeport.run_words import moment, printable

_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}

Watched = Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it is over.")]


def run(
    name: PipelineName,
    experiment: Annotated[str, typer.Option("--experiment", "-e", help="Name that the run is filed under.")] = "",
    assigned: Assigned = None,
    watch: Watched = False,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Run a pipeline. With --watch it ends with 1 if the run did not complete.

    Examples:
    `homeport pipeline run bank --watch`

    `homeport pipeline run bank --experiment long --set Budget=600 --set 'Learners=["lgbm", "catboost"]'`

    """
    found = service_of(url, key, state, models).pipeline(name)
    begun = found.submit(experiment, assignments(assigned))
    if watch:
        _follow(begun)
    else:
        say(f"Run {begun.id} of {found.name} has begun: `homeport pipeline watch {name}` shows it.")


def runs(
    name: PipelineName,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """List the runs of a pipeline, the latest first.

    Example: `homeport pipeline runs bank`
    """
    console.print(runs_table(service_of(url, key, state, models).pipeline(name)))


def watch(
    name: PipelineName,
    run_id: RunId = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Follow a run, step by step, until it is over; Ctrl-C leaves it running. Ends with 1 if it did not complete.

    Examples: `homeport pipeline watch bank`, `homeport pipeline watch bank 0a6c… > run.txt`
    """
    _follow(service_of(url, key, state, models).pipeline(name).run(run_id))


def logs(
    name: PipelineName,
    run_id: RunId = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written, until it is over.")
    ] = False,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Show what the steps of a run wrote.

    Examples: `homeport pipeline logs bank`, `homeport pipeline logs bank --follow`
    """
    try:
        for line in service_of(url, key, state, models).pipeline(name).run(run_id).logs(follow):
            text = f"{moment(line.at)} {line.level:<7} {f'{line.step}: ' if line.step else ''}{line.message}"
            console.print(Text(printable(text), _STYLES.get(line.level, "")), highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def metrics(
    name: PipelineName,
    run_id: RunId = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Show the metrics of a run, step by step.

    Example: `homeport pipeline metrics bank`
    """
    console.print(metrics_table(service_of(url, key, state, models).pipeline(name).run(run_id).get_metrics()))


def outputs(
    name: PipelineName,
    run_id: RunId = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Print what each step of a run gave, as JSON.

    Example: `homeport pipeline outputs bank | jq .promote`
    """
    found = service_of(url, key, state, models).pipeline(name).run(run_id).get_outputs()
    print(msgspec.json.format(msgspec.json.encode(found)).decode())


def cancel(
    name: PipelineName,
    run_id: RunId = None,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """End a run; what its steps have done stays.

    Example: `homeport pipeline cancel bank`
    """
    found = service_of(url, key, state, models).pipeline(name).run(run_id)
    found.cancel()
    say(f"Run {found.id} is {found.status}.")


def rerun(
    name: PipelineName,
    run_id: RunId = None,
    watch: Watched = False,
    url: ServiceUrl = None,
    key: ServiceKey = None,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Go on with a run that failed or was canceled, from the step that failed.

    Examples: `homeport pipeline rerun bank`, `homeport pipeline rerun bank 0a6c… --watch`
    """
    found = service_of(url, key, state, models).pipeline(name).run(run_id)
    found.rerun()
    if watch:
        _follow(found)
    else:
        say(f"Run {found.id} goes on: `homeport pipeline watch {name} {found.id}` shows it.")


def _follow(run: PipelineRun) -> None:
    try:
        status = RunDetails(run).watch(console).status
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if status != "Completed":
        raise typer.Exit(1)
