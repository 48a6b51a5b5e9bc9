"""What can go wrong in insights. No HTTP here: `intake` and `app` map these to status codes."""

from __future__ import annotations


class InsightsError(Exception):
    """Base of all errors of this package."""


class StoreUnusable(InsightsError):
    """The database cannot be opened or written; the message says why and what to do."""


class DatabaseFailed(InsightsError):
    """The database refuses everything since something went wrong; only a new start helps."""


class RulesInvalid(InsightsError):
    """A file of alert rules cannot be read; the message says which rule and why."""


class AddressRefused(InsightsError):
    """Nothing can listen on the address."""


class Full(InsightsError):
    """As much waits to be stored as the limit allows, or nothing can be stored at the moment; come back later."""


class Busy(InsightsError):
    """As many queries wait as the limit allows; come back later."""


class QueryRefused(InsightsError):
    """The query is wrong, is not allowed, or took too long; mostly in DuckDB's words."""


class InvalidExport(InsightsError):
    """The body is no OTLP of the kind that its path takes."""


class BodyTooLarge(InvalidExport):
    """The body is longer than the limit, as it came or once it was decompressed."""


class MediaUnsupported(InvalidExport):
    """The body is declared as something that OTLP over HTTP does not know."""


class MethodNotAllowed(InvalidExport):
    """OTLP is sent by POST."""


class TooSlow(InvalidExport):
    """The body did not arrive in time."""
