"""What the commands of `homeport pipeline` have in common: options, values, and the service that they ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from homeport.errors import HomeportError
from homeport.pipelines import PipelineService
from homeport.stack import Stack

PipelineName = Annotated[str, typer.Argument(help="Name of the pipeline, or the Id of a version.", metavar="NAME")]
RunId = Annotated[str | None, typer.Argument(help="Id of the run; by default the latest.", metavar="RUN")]
Assigned = Annotated[
    list[str] | None,
    typer.Option("--set", help="Another value for one of the job's fields; may be repeated.", metavar="NAME=VALUE"),
]
ServiceUrl = Annotated[
    str | None,
    typer.Option("--url", envvar="HOMEPORT_PIPELINE_URL", help="Address; by default the embedded stack's service."),
]
ServiceKey = Annotated[
    str | None,
    typer.Option("--key", envvar="HOMEPORT_PIPELINE_KEY", help="Key; by default the embedded service's own."),
]


def service_of(url: str | None, key: str | None, state: Path, models: Path) -> PipelineService:
    """The service at an address, or the embedded stack's, which is started if it does not run.

    Raises HomeportError if it cannot be started, or if there is no key for another address.
    """
    if url is not None:
        if key is None:
            raise HomeportError(
                "With --url give --key (or HOMEPORT_PIPELINE_KEY) too: the embedded service's own goes nowhere else."
            )
        return PipelineService(url, key)
    Stack(state, models).start_pipeline()
    return PipelineService.local(state, key)


def assignments(given: Sequence[str] | None) -> dict[str, Any]:
    """`["Budget=30", "Metric=roc_auc"]` → `{"Budget": 30, "Metric": "roc_auc"}`: a value is JSON, or else text.

    Raises HomeportError.
    """
    values: dict[str, Any] = {}
    for each in given or ():
        name, equals, text = each.partition("=")
        if not (name and equals):
            raise HomeportError(f"--set takes NAME=VALUE, such as Budget=30; this is '{each}'.")
        try:
            values[name] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            values[name] = table_of(text) if name == "Table" else absolute(text) if name.startswith("Batch") else text
    return values


def table_of(text: str) -> str:
    """A file as the service finds it, wherever that was started; the name of a data set as it is."""
    return absolute(text) if Path(text).is_file() else text


def absolute(path: str) -> str:
    """A path or pattern as the service finds it; an address such as `s3://…` as it is."""
    return path if "://" in path else str(Path(path).absolute())
