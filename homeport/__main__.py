"""The commands of `homeport`."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bundle import BundleError, Store
from bundle.manifest import Task
from homeport import training
from homeport.endpoint import Endpoint, explain_file, score_file
from homeport.errors import HomeportError
from homeport.stack import Stack
from homeport.up import DEFAULT_STATE, bring_up
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
models = typer.Typer(help="Bundles, and which of them is the champion.", no_args_is_help=True)
keys = typer.Typer(help="The two keys of the endpoint.", no_args_is_help=True)
app.add_typer(models, name="models")
app.add_typer(keys, name="keys")

Models = Annotated[Path, typer.Option("--models", envvar="HOMEPORT_MODELS", help="Folder of the bundles.")]
State = Annotated[Path, typer.Option("--state", envvar="HOMEPORT_STATE", help="Folder of keys, logs and processes.")]
Host = Annotated[str, typer.Option(envvar="HOMEPORT_SERVING_HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, envvar="HOMEPORT_SERVING_PORT", help="Port to listen on.")]
Rows = Annotated[
    str, typer.Argument(help="JSON, JSON lines, CSV or Parquet; - reads JSON from standard input.", metavar="FILE")
]
Url = Annotated[
    str | None, typer.Option("--url", envvar="HOMEPORT_URL", help="Address; by default the embedded stack's.")
]
Key = Annotated[
    str | None, typer.Option("--key", envvar="HOMEPORT_KEY", help="Key; by default the embedded stack's primary one.")
]
ModelName = Annotated[str, typer.Argument(help="Name of the model.", metavar="MODEL")]

DEFAULT_MODELS = Path("models")

console = Console()


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
    metric: Annotated[
        str | None, typer.Option(help="What to optimise, such as roc_auc, log_loss, accuracy, rmse.")
    ] = None,
    learners: Annotated[str | None, typer.Option(help="Learners to search over, separated by commas.")] = None,
    budget: Annotated[float, typer.Option(min=1, help="Seconds of search.")] = 60.0,
    max_trials: Annotated[
        int | None, typer.Option(min=2, help="End by trials instead: reproducible with --seed.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of split, search and folds.")] = 0,
    repeats: Annotated[int, typer.Option(min=0, help="Search anew on so many further splits: mean and sd.")] = 0,
    promote: Annotated[bool, typer.Option(help="Make the new version the champion.")] = False,
    models: Models = DEFAULT_MODELS,
) -> None:
    """Find the best model for a table and write it as a bundle.

    Examples:
    `homeport train bank-marketing`

    `homeport train bank-marketing --file bankmarketing_train.csv.gz`

    `homeport train sales.csv --target churned --budget 120`

    `homeport train prices.parquet -t price --max-trials 50 --seed 7 --repeats 5`

    """
    options = training.Options(
        table, file, target, name, task, positive, tuple(drop or ()), metric,
        tuple(part.strip() for part in (learners or "").split(",") if part.strip()),
        budget, max_trials, seed, repeats,
    )  # fmt: skip
    store = Store(models)
    manifest = training.run(options, store, console)
    if promote:
        store.promote(manifest.name, manifest.version)
    champion = store.champion(manifest.name)
    if champion and champion.version == manifest.version:
        console.print(
            f"{manifest.name} {manifest.version} is the champion. Serve it: `homeport up --model {manifest.name}`."
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
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Start the embedded stack in the background and score two rows through it.

    Trains on Bank Marketing first if there is no model yet. A second call changes nothing.

    Examples: `homeport up`, `homeport up --model sales --port 8001`
    """
    bring_up(Store(models), Stack(state, models), model, host, port, console)


@app.command()
def down(state: State = DEFAULT_STATE) -> None:
    """Stop the embedded stack. Models, keys and logs stay."""
    console.print("Stopped." if Stack(state, DEFAULT_MODELS).stop() else "Nothing was running.")


@app.command()
def score(
    file: Rows,
    proba: Annotated[bool, typer.Option("--proba", help="Probabilities instead of labels.")] = False,
    url: Url = None,
    key: Key = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Score the rows of a file by the endpoint and print its answer as JSON.

    Examples:
    `homeport score rows.json`

    `homeport score new-clients.csv --proba`

    `echo '{"age": 41, "job": "admin."}' | homeport score -`

    """
    endpoint = _endpoint(url, key, state)
    answers = list(score_file(endpoint, file, "predict_proba" if proba else "predict"))
    answer: Any = answers[0] if len(answers) == 1 else {"result": [row for part in answers for row in part["result"]]}
    print(json.dumps(answer))


@app.command()
def explain(
    file: Rows,
    label: Annotated[
        str | None, typer.Option("--class", help="Explain this class's probability; by default the positive one's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON instead of drawing it.")] = False,
    url: Url = None,
    key: Key = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Draw which column moved the answer to each row of a file, and how far (Shapley values).

    Examples:
    `homeport explain rows.json`

    `homeport explain flowers.csv --class virginica`

    `echo '{"age": 41, "job": "admin."}' | homeport explain - --json`

    """
    from homeport.explain import drawing

    answers: list[Any] = []
    for rows, answer in explain_file(_endpoint(url, key, state), file, label):
        for row, explained in zip(rows, answer["rows"], strict=True):
            if not as_json:
                console.print(drawing(len(answers), row, explained), highlight=False)
            answers.append(explained)
    if as_json:
        print(json.dumps({**answer, "rows": answers}))


@app.command()
def bench(
    users: Annotated[int, typer.Option(min=1, max=1000, help="Connections, each with one request at a time.")] = 16,
    duration: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds.")] = 10.0,
    rows: Annotated[int, typer.Option(min=1, help="Rows of a request.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="Where the plot goes; by default bench.png in --state.")] = None,
    url: Url = None,
    key: Key = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Load the endpoint and show throughput and percentiles of the latency.

    The rows are drawn from the values and ranges that the endpoint describes. Ctrl-C ends it early.

    Examples: `homeport bench`, `homeport bench --users 64 --duration 30 --rows 32`
    """
    from homeport.bench import measure, scoring_request
    from homeport.load_report import as_png, in_terminal
    from homeport.traffic import drawn_bodies

    endpoint = _endpoint(url, key, state)
    bodies = drawn_bodies(endpoint.columns(), rows)
    endpoint.score(json.loads(bodies[0]))  # a key or a row that is refused is said in words
    requests = itertools.cycle([scoring_request(endpoint.url, endpoint.key, body) for body in bodies])
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{users} users", total=duration)
        measured = measure(
            endpoint.url, requests, rows, users, duration, lambda passed: progress.update(task, completed=passed)
        )  # fmt: skip
    console.print(in_terminal(measured))
    if measured.latencies:
        plot = plot or state / "bench.png"
        as_png(measured, plot)
        console.print(f"Plot: {plot}")


def _endpoint(url: str | None, key: str | None, state: Path) -> Endpoint:
    """The endpoint that is named, or the embedded stack's."""
    stack = Stack(state, DEFAULT_MODELS)
    running = stack.running()
    if url is None and running is None:
        raise HomeportError("No endpoint runs here: start it with `homeport up`, or name one with --url and --key.")
    if key is None and url is not None:
        raise HomeportError("Give the key of that endpoint with --key: this machine's own goes nowhere else.")
    return Endpoint(url or (running.url if running else ""), key or read_keys(stack.keys).primary)


@models.command("list")
def models_list(models: Models = DEFAULT_MODELS) -> None:
    """List all versions of all models; a star marks the champions."""
    from homeport.tables import versions_table

    console.print(versions_table(Store(models)))


@models.command("show")
def models_show(
    name: ModelName,
    version: Annotated[str | None, typer.Argument(help="By default the champion.", metavar="VERSION")] = None,
    models: Models = DEFAULT_MODELS,
) -> None:
    """Show what is known of a model: metrics, columns, parity, data, search."""
    from homeport.tables import manifest_table

    store = Store(models)
    path = store.path(name, version) if version else store.champion_path(name)
    console.print(manifest_table(store.manifest(name, path.name), path))


@models.command("promote")
def models_promote(
    name: ModelName,
    version: Annotated[str, typer.Argument(help="The version.", metavar="VERSION")],
    models: Models = DEFAULT_MODELS,
) -> None:
    """Make a version the champion, once its files are verified."""
    Store(models).promote(name, version)
    console.print(f"{name} {version} is the champion. An endpoint that serves {name} takes it over within a second.")


@models.command("rollback")
def models_rollback(name: ModelName, models: Models = DEFAULT_MODELS) -> None:
    """Return to the champion before this one."""
    version = Store(models).rollback(name)
    console.print(
        f"{name} {version} is the champion again. An endpoint that serves {name} takes it over within a second."
    )


@models.command("shadow")
def models_shadow(
    name: ModelName,
    version: Annotated[
        str | None, typer.Argument(help="The challenger; without it the report is shown.", metavar="VERSION")
    ] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the requests that it scores too.")] = 0.1,
    stop: Annotated[bool, typer.Option("--stop", help="Let the challenger go.")] = False,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Let a challenger score a share of the traffic, unseen by clients, and report how it compares.

    `homeport models promote` takes it over; its share of the traffic then ends.

    Examples:
    `homeport models shadow bank-marketing 2 --share 0.5`

    `homeport models shadow bank-marketing`

    `homeport models shadow bank-marketing --stop`

    """
    from homeport.challenger import report

    store = Store(models)
    if stop:
        console.print(f"{name} has no challenger any more." if store.dismiss(name) else f"{name} had no challenger.")
    elif version is not None:
        store.challenge(name, version, share)
        console.print(
            f"{name} {version} scores {share:.0%} of the traffic of an endpoint that serves {name}. "
            f"See how it compares: `homeport models shadow {name}`."
        )
    else:
        console.print(report(store, name, Stack(state, models).shadow))


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
    except (BundleError, HomeportError, ServingError, TrainerError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
