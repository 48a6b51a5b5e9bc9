"""What can go wrong in a pipeline. Every message says what, which value, and what to do."""

from __future__ import annotations


class PipelineError(Exception):
    """Base of all errors of this package."""


class InputUnusable(PipelineError):
    """The input cannot be found or read, or has not the model's columns."""


class OutputUnusable(PipelineError):
    """The output is there already, is somebody else's, or cannot hold the rows."""


class TooManyBadRows(PipelineError):
    """More rows could not be scored than are tolerated. What was done stays, and can be gone on with."""


class SchedulerUnusable(PipelineError):
    """Dask is not installed, does not answer, or cannot score."""


class JobUnusable(PipelineError):
    """A pipeline's job, or what a run assigns of it, makes no sense."""


class DataRefused(PipelineError):
    """The table does not fit the model that serves. Nothing was trained."""


class NotProven(PipelineError):
    """A new version is not what its bundle says. It was not promoted."""


class SmokeTestFailed(PipelineError):
    """The endpoint does not answer as the promoted version should."""


class NotPublished(PipelineError):
    """There is no such pipeline."""


class VersionTaken(PipelineError):
    """A version of that label is published, and versions never change."""


class PipelineDisabled(PipelineError):
    """A pipeline that is DISABLED takes no runs."""


class RunUnknown(PipelineError):
    """There is no such run of that pipeline."""


class RunNotOver(PipelineError):
    """What is asked of a run cannot be done in the state that it is in."""


class EngineAway(PipelineError):
    """Prefect does not answer, or not as it should."""


class ServiceUnusable(PipelineError):
    """The service cannot start."""


class ScheduleInvalid(PipelineError):
    """A schedule or a trigger cannot be followed as it is given."""


class NotOnAgenda(PipelineError):
    """The pipeline has no such schedule or trigger."""


class AgendaUnusable(PipelineError):
    """The file of schedules and triggers cannot be opened."""


class CheckFailed(PipelineError):
    """What a trigger watches cannot be looked at now; it may be at the next look."""
