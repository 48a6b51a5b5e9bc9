"""Log records to traces, exceptions, customEvents and availabilityResults."""

from __future__ import annotations

from time import time_ns

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from observability.insights.attributes import Attributes, Sender, item_count, read, read_sender, text, value_of
from observability.insights.batch import Batch
from observability.insights.spans import exception
from observability.insights.tables import as_json

_EVENT = "microsoft.custom_event.name"
_AVAILABILITY = "microsoft.availability."


def add_logs(export: ExportLogsServiceRequest, batch: Batch) -> None:
    """Add what a logs export holds."""
    for resource in export.resource_logs:
        sender = read_sender(resource.resource)
        for scope in resource.scope_logs:
            batch.receive("logs", len(scope.log_records))
            for record in scope.log_records:
                happened = record.time_unix_nano or record.observed_time_unix_nano or time_ns()
                if batch.timely(happened):
                    _add(record, happened // 1000, sender, batch)


def _add(record: LogRecord, happened: int, sender: Sender, batch: Batch) -> None:
    attributes = read(record.attributes)
    trace_id = record.trace_id.hex() if len(record.trace_id) == 16 else None
    parent = record.span_id.hex() if trace_id and len(record.span_id) == 8 else None
    common = (
        as_json(attributes), None, trace_id, parent, sender.role, sender.instance, item_count(attributes)
    )  # fmt: skip
    level = _severity(record.severity_number)
    if (event := attributes.get(_EVENT)) is not None:
        batch.add("customEvents", (happened, text(event), *common))
    elif f"{_AVAILABILITY}name" in attributes:
        batch.add("availabilityResults", (happened, *_availability(attributes), *common))
    elif "exception.type" in attributes or "exception.message" in attributes:
        batch.add("exceptions", (happened, *exception(attributes), level, *common))
    else:
        message = text(value_of(record.body))
        batch.add("traces", (happened, record.event_name if message is None else message, level, *common))


def _severity(number: int) -> int | None:
    """Application Insights' levels, 0 (verbose) to 4 (critical), from OpenTelemetry's 24."""
    return min(max((number - 1) // 4 - 1, 0), 4) if number > 0 else None


def _availability(attributes: Attributes) -> tuple[str | None, str | None, str | None, bool, str | None, float | None]:
    """The columns id, name, location, success, message and duration."""
    found = {name: attributes.get(f"{_AVAILABILITY}{name}") for name in ("id", "name", "runLocation", "message")}
    success = str(attributes.get(f"{_AVAILABILITY}success")).lower() in {"true", "1"}
    duration = _milliseconds(attributes.get(f"{_AVAILABILITY}duration"))
    return text(found["id"]), text(found["name"]), text(found["runLocation"]), success, text(found["message"]), duration


def _milliseconds(duration: object) -> float | None:
    """A number is milliseconds already; text is .NET's `[d.]hh:mm:ss[.fffffff]`."""
    if isinstance(duration, int | float):
        return float(duration)
    try:
        hours, minutes, seconds = str(duration).split(":")
        days, _, hours = hours.rpartition(".")
        return 1000 * (((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds))
    except ValueError:
        return None
