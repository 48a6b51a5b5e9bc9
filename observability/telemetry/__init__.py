"""What a service uses to tell what it does: traces, metrics and logs over OTLP, never in the way of its work."""

from observability.telemetry.errors import TelemetryError
from observability.telemetry.job import Job
from observability.telemetry.lines import LogTap, event
from observability.telemetry.metrics import counter, gauge, histogram
from observability.telemetry.outlet import STOP_SECONDS, Outlet, Source, check
from observability.telemetry.settings import Settings

__all__ = [
    "STOP_SECONDS",
    "Job",
    "LogTap",
    "Outlet",
    "Settings",
    "Source",
    "TelemetryError",
    "check",
    "counter",
    "event",
    "gauge",
    "histogram",
]
