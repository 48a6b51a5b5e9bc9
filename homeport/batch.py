"""`homeport batch`: a file of any size, scored without the endpoint."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from bundle import BundleNotFound, Manifest, Store
from homeport.errors import HomeportError
from homeport.options import DEFAULT_MODELS, DEFAULT_STATE, INTERRUPTED, Models, State, console
from homeport.stack import Stack
from homeport.training import telemetry_settings

if TYPE_CHECKING:
    from pipeline.batch import checkpoint


def batch(
    source: Annotated[
        str,
        typer.Argument(help="CSV or Parquet: a file, a folder, a pattern in quotes or an address.", metavar="INPUT"),
    ],
    output: Annotated[str, typer.Argument(help="The file to write: .csv, .csv.gz or .parquet.", metavar="OUTPUT")],
    model: Annotated[str | None, typer.Option(help="Model to score with; by default the one promoted last.")] = None,
    version: Annotated[str | None, typer.Option(help="Version of the model; by default its champion.")] = None,
    mini_batch_size: Annotated[
        int | None, typer.Option(min=1, max=10_000_000, help="Rows scored at a time; by default 32,768.")
    ] = None,
    error_threshold: Annotated[
        int, typer.Option(min=-1, help="Rows that may be bad until the batch ends; -1 is any number.")
    ] = -1,
    scheduler: Annotated[
        str | None, typer.Option(help="Score on Dask, such as tcp://127.0.0.1:8786.", metavar="ADDRESS")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False,
    models: Models = DEFAULT_MODELS,
    state: State = DEFAULT_STATE,
) -> None:
    """Score all rows of a file and write them, in order, with the answers appended.

    A batch that was cut short, by whatever, goes on with the same command. Bad rows go to OUTPUT.errors.csv.

    Examples:
    `homeport batch clients.parquet scored.parquet`

    `homeport batch 'new/*.csv.gz' scored.csv --error-threshold 100`

    `homeport batch s3://bucket/new/ s3://bucket/scored.parquet --scheduler tcp://dask:8786`

    """
    sys.meta_path.insert(0, _WithoutPandas())

    from observability.telemetry import TelemetryError
    from pipeline.batch.run import Request
    from pipeline.batch.telemetry import run_told

    store = Store(models)
    request = Request(
        source, output, _bundle(store, model, version), mini_batch_size, error_threshold, scheduler, overwrite, state
    )
    shown = Shown()
    try:
        with shown:
            result = run_told(request, shown, telemetry_settings(Stack(state, models)))
    except TelemetryError as error:
        raise HomeportError(str(error)) from error
    except KeyboardInterrupt:
        console.print(
            f"Stopped after {shown.progress.rows:,} rows. The same command goes on from there.", highlight=False
        )
        raise typer.Exit(INTERRUPTED) from None
    record = result.record
    if result.done == "before":
        console.print(f"{output} is there already, of this input and model: nothing to do. --overwrite makes it anew.")
    else:
        took = f"{record.seconds:,.1f} s, {record.rows / max(record.seconds, 1e-9):,.0f} rows/s"
        console.print(
            f"{record.rows:,} rows scored by {record.plan.model} {record.plan.version} ({took}): {output}",
            highlight=False,
        )
    if result.errors:
        console.print(f"[yellow]{record.bad:,} rows could not be scored[/]: {result.errors} says why.", highlight=False)


class _WithoutPandas(MetaPathFinder):
    """Arrow imports pandas, where it is installed, to ask whether a value is one of its: 0.8 s for nothing."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """To whoever asks, it is not installed."""
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


class Shown:
    """A watcher that draws a bar where there is a terminal."""

    def __init__(self) -> None:
        from pipeline.batch.checkpoint import Progress as Far

        self.progress = Far()
        self._bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} a second"),
            TextColumn("[yellow]{task.fields[bad]}[/]"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", rows=0, rate=0.0, bad="", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def began(self, manifest: Manifest, total: int, progress: checkpoint.Progress, differs: str) -> None:
        """Say where it begins."""
        if differs:
            console.print(f"Starting anew: {differs} changed since this output was begun.")
        elif progress.rows or progress.bad:
            console.print(f"Going on after {progress.rows + progress.bad:,} rows.")
        self._bar.update(self._task, total=total)
        self.advanced(progress)

    def advanced(self, progress: checkpoint.Progress) -> None:
        """Draw it."""
        self.progress = progress
        rate = progress.rows / progress.seconds if progress.seconds else 0.0
        bad = f"{progress.bad:,} bad" if progress.bad else ""
        self._bar.update(self._task, completed=progress.position, rows=progress.rows, rate=rate, bad=bad)


def _bundle(store: Store, model: str | None, version: str | None) -> Path:
    """The bundle that is named, or the champion promoted last. Raises BundleError."""
    if model is None:
        names = store.names()
        if not names:
            raise BundleNotFound(f"There are no models in {store.root}. Train one with `homeport train`.")
        model = names[0]
    return store.champion_path(model) if version is None else store.path(model, version)
