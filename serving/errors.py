"""What can go wrong in serving. No HTTP here: `serving.gate` maps these to status codes."""

from __future__ import annotations


class ServingError(Exception):
    """Base of all errors of this package."""


class KeysError(ServingError):
    """The file of keys is missing or damaged."""


class AddressRefused(ServingError):
    """Nothing can listen on the address."""


class NotReady(ServingError):
    """There is no model to score with; the message says why and what to do."""


class NotExplainable(ServingError):
    """The bundle has no background rows to explain against; the message says what to do."""


class Busy(ServingError):
    """As many requests as the limit allows are under way."""


class DeadlineExceeded(ServingError):
    """The request took longer than the limit."""


class Disconnected(ServingError):
    """The client went away before its body was whole."""


class InvalidRequest(ServingError):
    """The client's request cannot be scored; the message says which part and what is expected."""


class MethodNotAllowed(InvalidRequest):
    """The path does not know the method."""


class KeyRefused(InvalidRequest):
    """The key is missing or wrong."""


class MediaUnsupported(InvalidRequest):
    """The body is declared as something that the dialect does not read."""


class BodyTooLarge(InvalidRequest):
    """The body is longer than the limit."""


class TooManyRows(InvalidRequest):
    """The request has more rows than the limit."""


class RequestIdTooLong(InvalidRequest):
    """The request's id is longer than the limit."""
