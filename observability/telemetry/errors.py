"""What can go wrong when telemetry is set up. Once it runs, nothing of it reaches the service."""

from __future__ import annotations


class TelemetryError(Exception):
    """Base of this package's errors."""


class AzureUnusable(TelemetryError):
    """Telemetry cannot be sent to Azure; the message says why and what to do."""
