"""What can be wrong with a bundle. Every message says what, which file or value, and what to do."""

from __future__ import annotations


class BundleError(Exception):
    """Base of all errors of this package."""


class BundleNotFound(BundleError):
    """No such model, version or champion."""


class BundleCorrupt(BundleError):
    """A file of the bundle is missing, truncated, edited, or was never part of it."""


class BundleForeign(BundleError):
    """The folder was not written by Homeport, or by a version with another protocol."""


class BackgroundMissing(BundleError):
    """The bundle was written before models were explained: it has no background rows."""


class GoldenMismatch(BundleError):
    """The graph, run here, does not give the answers that were recorded when it was written."""
