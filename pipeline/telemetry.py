"""A run as telemetry: a trace of its steps, and how it ended. No value of a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bundle import __version__
from observability.telemetry import Job, Outlet, Settings
from pipeline.steps.sequence import Outcome


class ToldRun(Job):
    """The trace of one run."""

    def __init__(self, pipeline: str, run: str) -> None:
        super().__init__(f"pipeline {pipeline}", {"ml.pipeline.name": pipeline, "ml.pipeline.run": run})

    def outcome(self, outcome: Outcome) -> None:
        """It has completed."""
        found = {"ml.model.name": outcome.model, "ml.model.version": outcome.version}
        self.event("pipeline.completed", {**found, "ml.pipeline.promoted": outcome.promoted})
        if outcome.promoted:
            self.event("model.promoted", found)


@contextmanager
def told(pipeline: str, run: str, settings: Settings) -> Iterator[ToldRun]:
    """Tell of a run once it has ended, if there is anywhere to send it; what its steps send themselves is sent already.

    Raises TelemetryError.
    """
    job = ToldRun(pipeline, run)
    try:
        with job:
            yield job
    except Exception as error:
        job.event("pipeline.failed", {"error.type": type(error).__qualname__})
        raise
    finally:
        if settings.is_sent:
            with Outlet(settings, "pipeline", __version__).sending(job):
                pass
