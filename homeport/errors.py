"""What can go wrong on the command line, beside the errors of the components."""

from __future__ import annotations


class HomeportError(Exception):
    """Base of this package's errors: a message for the person at the terminal."""


class StackError(HomeportError):
    """The embedded stack cannot be started or stopped."""


class EndpointError(HomeportError):
    """The endpoint cannot be reached, or refuses what was sent."""
