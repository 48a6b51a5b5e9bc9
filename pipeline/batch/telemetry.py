"""A batch as telemetry: a trace of it, how many rows it scored, and how it ended. No value of a row."""

from __future__ import annotations

import logging

from opentelemetry.sdk.metrics.export import Metric

from bundle import Manifest, __version__
from bundle.read import read_manifest
from observability.telemetry import Job, Outlet, Settings, counter
from pipeline.batch.checkpoint import Progress
from pipeline.batch.run import Request, Result, Watcher, run

log = logging.getLogger("homeport.batch")


def run_told(request: Request, watcher: Watcher, settings: Settings) -> Result:
    """`pipeline.batch.run.run`, which also tells what it does if there is anywhere to send it.

    Raises TelemetryError beside what that raises.
    """
    if not settings.is_sent:
        return run(request, watcher)
    manifest = read_manifest(request.bundle)
    told = ToldWatcher(manifest, watcher)
    with Outlet(settings, "batch", __version__).sending(told), told:
        try:
            result = run(request, told)
        except Exception as error:
            log.error("the batch ended", exc_info=error, extra={"span": told.here})
            raise
        record = result.record
        if result.done == "now":
            told.event(
                "batch.scored",
                {"ml.batch.rows": record.rows, "ml.batch.bad": record.bad, "ml.batch.seconds": record.seconds},
            )
        return result


class ToldWatcher(Job):
    """A `Watcher` that hands on to another what it is told, and keeps it for telemetry."""

    def __init__(self, manifest: Manifest, watcher: Watcher) -> None:
        self._model = {"ml.model.name": manifest.name, "ml.model.version": manifest.version}
        super().__init__(f"batch {manifest.name}", self._model)
        self._watcher = watcher
        self._start = self._now = Progress()
        log.setLevel(logging.INFO)

    def began(self, manifest: Manifest, total: int, progress: Progress, differs: str) -> None:
        """Begin the step, at what was done before."""
        self._watcher.began(manifest, total, progress, differs)
        self._start = self._now = progress
        self.step("Score")
        log.info(
            "batch of %s bytes begins after %s rows", f"{total:,}", f"{progress.rows:,}", extra={"span": self.here}
        )

    def advanced(self, progress: Progress) -> None:
        """Make it a part of the step."""
        self._watcher.advanced(progress)
        rows, seconds = progress.rows - self._now.rows, progress.seconds - self._now.seconds
        if rows:
            found = {"ml.batch.rows": rows, "ml.batch.bad": progress.bad - self._now.bad}
            self.part("rows", max(0.0, seconds), found)
        self._now = progress

    def metrics(self, since: int, now: int) -> list[Metric]:
        """Rows that were scored, and bad ones."""
        rows = [(self._model, self._now.rows - self._start.rows)]
        bad = [(self._model, self._now.bad - self._start.bad)]
        return [
            counter("ml.batch.rows", "{row}", "Rows that batches scored.", rows, since, now),
            counter("ml.batch.bad", "{row}", "Rows that batches could not score.", bad, since, now),
        ]

    def restart(self) -> None:
        """Count anew."""
        super().restart()
        self._start = self._now
