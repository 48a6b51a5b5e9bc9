"""What can go wrong in serving. No HTTP here: `serving.azure` maps these to status codes."""

from __future__ import annotations


class ServingError(Exception):
    """Base of all errors of this package."""


class InvalidRequest(ServingError):
    """The client's request cannot be scored; the message says which part and what is expected."""


class KeysError(ServingError):
    """The file of keys is missing or damaged."""


class NotReady(ServingError):
    """There is no model to score with; the message says why and what to do."""
