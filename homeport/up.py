"""`homeport up`: from nothing to a scored answer."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bundle import Store
from homeport import training
from homeport.endpoint import Endpoint
from homeport.options import DEFAULT_STATE
from homeport.stack import Stack
from serving.keys import read_keys

DEFAULT_DATASET = "bank-marketing"


class Ports(NamedTuple):
    """Where services listen; None: insights is not started."""

    endpoint: int
    insights: int | None
    pipeline: int


def bring_up(store: Store, stack: Stack, model: str | None, host: str, ports: Ports, console: Console) -> None:
    """Train if there is no model, serve the champion, score the bundle's examples through HTTP.

    Raises HomeportError, BundleError, and the trainer's errors.
    """
    started = time.monotonic()
    names = store.names()
    if not names and model is None:
        console.print(f"No model yet: training on {DEFAULT_DATASET}.")
        training.run(training.Options(DEFAULT_DATASET), store, stack, console)
        names = store.names()
    name = model or names[0]
    folder = store.champion_path(name)
    manifest = store.manifest(name, folder.name)
    service = stack.start(folder, host, *ports)
    key = read_keys(stack.keys).primary
    examples = json.loads((folder / "examples.json").read_bytes())
    endpoint = Endpoint(service.url, key)
    answer = endpoint.score({"data": examples})["result"]

    rows = Table("row", "answer", *(escape(str(label)) for label in manifest.classes), box=None)
    shares = [] if manifest.regression else endpoint.score({"data": examples, "method": "predict_proba"})["result"]
    for place, label in enumerate(answer):
        first = ", ".join(f"{column}={value}" for column, value in list(examples[place].items())[:4])
        probabilities = (f"{share:.4f}" for share in (shares[place] if shares else ()))
        rows.add_row(f"{escape(first)}, …", f"[bold]{escape(str(label))}[/]", *probabilities)
    console.print(f"\n[bold]{name} {manifest.version}[/] answers over HTTP ({escape(manifest.target)}):")
    console.print(rows, "")
    metrics = "  ".join(f"{metric} {manifest.metrics[metric]:.4f}" for metric in manifest.headline[:4])
    source = f"on {manifest.training.test_rows:,} untouched rows of: {manifest.fingerprint.source}"
    for fact, text in (
        ("Metrics", f"{metrics}  ({source})"),
        ("Endpoint", f"{service.url}/score   Swagger {service.url}/docs"),
        ("Key", key),
        ("Report", str(folder / "report.html")),
        *((("Insights", insights.url),) if (insights := stack.insights.running()) else ()),
        *((("Pipelines", f"{pipeline.url}/docs"),) if (pipeline := stack.pipeline.running()) else ()),
        ("Log", f"{stack.serving.log}   `homeport logs --follow`"),
    ):
        console.print(f"{fact:<9} {text}", highlight=False, markup=False)
    option = "" if stack.state == DEFAULT_STATE.absolute() else f" --state {stack.state}"
    console.print(
        f"\nUp in {time.monotonic() - started:.1f} s. "
        f"Score your own rows: `homeport score rows.json{option}`. Stop: `homeport down{option}`.",
        highlight=False,
    )
