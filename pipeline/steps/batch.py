"""batch-score: a file of rows by the champion, at the end of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from bundle import Manifest
from observability.telemetry import Settings as TelemetrySettings
from pipeline.batch.checkpoint import Progress
from pipeline.batch.run import Request
from pipeline.batch.telemetry import run_told
from pipeline.steps.step import Context, Step
from pipeline.steps.version import Version

log = logging.getLogger("homeport.pipeline")


class Batch(msgspec.Struct, frozen=True):
    """What to score, by which version."""

    input: str
    output: str
    version: Version


class Scored(msgspec.Struct, frozen=True):
    """What was written."""

    output: str
    rows: int
    bad: int
    errors: str | None


def batch_score(inputs: Batch, context: Context) -> Scored:
    """Score it; a batch that was cut short goes on. Raises PipelineError, BundleError."""
    bundle = context.store.path(inputs.version.model, inputs.version.version)
    asked = Request(inputs.input, inputs.output, bundle, overwrite=True, state=Path(context.places.data))
    result = run_told(asked, Told(context), TelemetrySettings())
    record = result.record
    context.measured(
        {"rows": record.rows, "bad": record.bad, "rows_per_second": record.rows / max(record.seconds, 1e-9)}
    )
    log.info("%s rows scored by version %s: %s", f"{record.rows:,}", inputs.version.version, inputs.output)
    return Scored(inputs.output, record.rows, record.bad, result.errors)


class Told:
    """A `pipeline.batch.run.Watcher` that makes what it is told the progress of the step."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._total = 0

    def began(self, manifest: Manifest, total: int, progress: Progress, anew: str) -> None:
        """It goes on from there, of so many bytes."""
        self._total = total
        self.advanced(progress)

    def advanced(self, progress: Progress) -> None:
        """Some mini-batches further."""
        share = progress.position / self._total if self._total else None
        self._context.tell(f"{progress.rows:,} rows", share, rows=progress.rows)


BATCH_SCORE = Step("batch-score", batch_score, Scored, ("pipeline.batch",), "this run", timeout=86_400)
