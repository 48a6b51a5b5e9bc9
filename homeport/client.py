"""The commands that ask an endpoint: `homeport score`, `explain` and `bench`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from homeport.endpoint import Endpoint, explain_file, score_file
from homeport.errors import HomeportError
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, Key, Rows, State, Url, console
from homeport.stack import Stack
from serving.keys import read_keys


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
