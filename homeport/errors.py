"""What can go wrong on the command line, beside the errors of the components."""

from __future__ import annotations


class HomeportError(Exception):
    """Base of this package's errors: a message for the person at the terminal."""


class StackError(HomeportError):
    """The embedded stack cannot be started or stopped."""


class EndpointError(HomeportError):
    """The endpoint cannot be reached, or refuses what was sent."""


class PipelineServiceError(HomeportError):
    """The pipeline service refuses what was asked; `status` is its HTTP status code, 0 where there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PipelineServiceAway(PipelineServiceError):
    """Nobody answers at the pipeline service's address; it may come back."""


class PipelineRunFailed(HomeportError):
    """A run that was waited for failed or was canceled."""
