"""Options that several commands have, and the console that all write to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Models = Annotated[Path, typer.Option("--models", envvar="HOMEPORT_MODELS", help="Folder of the bundles.")]
State = Annotated[Path, typer.Option("--state", envvar="HOMEPORT_STATE", help="Folder of keys, logs and processes.")]
Host = Annotated[str, typer.Option(envvar="HOMEPORT_SERVING_HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, envvar="HOMEPORT_SERVING_PORT", help="Port to listen on.")]
InsightsPort = Annotated[
    int, typer.Option(min=1, max=65535, envvar="HOMEPORT_INSIGHTS_PORT", help="Port of insights and its page.")
]
PipelinePort = Annotated[
    int,
    typer.Option(min=1, max=65535, envvar="HOMEPORT_PIPELINE_PORT", help="Port of pipelines, once one is published."),
]
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
DEFAULT_STATE = Path(".homeport")

_WIDTH_OF_A_PIPE = 1000  # columns: what is piped to another program is never cut or wrapped to fit a screen

INTERRUPTED = 130  # what a command that Ctrl-C ended ends with, as shells have it

console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE)


def say(text: str) -> None:
    """Print a line as it is: nothing in it is markup, coloured or wrapped."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
