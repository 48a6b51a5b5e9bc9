"""Python's log records as OTLP's."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from random import getrandbits

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context
from opentelemetry.util.types import AnyValue

_SEVERITY = {
    "DEBUG": SeverityNumber.DEBUG,
    "INFO": SeverityNumber.INFO,
    "WARNING": SeverityNumber.WARN,
    "ERROR": SeverityNumber.ERROR,
    "CRITICAL": SeverityNumber.FATAL,
}


def event(
    name: str, time: int, attributes: Mapping[str, AnyValue], resource: Resource, trace: int = 0
) -> ReadableLogRecord:
    """A custom event of Application Insights, at nanoseconds of the epoch, within a trace if there is one."""
    told = LogRecord(
        timestamp=time,
        observed_timestamp=time,
        context=set_span_in_context(NonRecordingSpan(SpanContext(trace, getrandbits(64), False))) if trace else None,
        severity_text="INFO",
        severity_number=SeverityNumber.INFO,
        body=name,
        attributes={"microsoft.custom_event.name": name, **attributes},
    )
    return ReadableLogRecord(told, resource)


class LogTap(logging.Handler):
    """Hands each line on as a log record.

    One with `extra={"span": SpanContext}` belongs to that span; `extra={"attributes": …}` adds to its attributes.
    """

    def __init__(self, resource: Resource, put: Callable[[ReadableLogRecord], None]) -> None:
        super().__init__(logging.INFO)
        self._resource = resource
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        attributes: dict[str, AnyValue] = {"logger": record.name, **getattr(record, "attributes", {})}
        if record.exc_info and record.exc_info[0]:
            attributes["exception.type"] = record.exc_info[0].__qualname__
            # where, not what: the message of an exception may quote a row
            attributes["exception.stacktrace"] = "".join(traceback.format_tb(record.exc_info[2]))
        span: SpanContext | None = getattr(record, "span", None)
        now = int(record.created * 1e9)
        told = LogRecord(
            timestamp=now,
            observed_timestamp=now,
            context=set_span_in_context(NonRecordingSpan(span)) if span else None,
            severity_text=record.levelname,
            severity_number=_SEVERITY.get(record.levelname, SeverityNumber.INFO),
            body=record.getMessage(),
            attributes=attributes,
        )
        self._put(ReadableLogRecord(told, self._resource))
