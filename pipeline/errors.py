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


class ScheduleInvalid(PipelineError):
    """A schedule or a trigger cannot be followed as it is given."""


class NotOnAgenda(PipelineError):
    """The pipeline has no such schedule or trigger."""


class AgendaUnusable(PipelineError):
    """The file of schedules and triggers cannot be opened."""


class CheckFailed(PipelineError):
    """What a trigger watches cannot be looked at now; it may be at the next look."""
