"""Azure Monitor, by its own exporters: the same telemetry in Azure's Application Insights.

Metrics go once a minute, since Azure bills what it takes, and as what was added since the last time, since it sums
what it takes. Nothing else of that package runs: no statistics of its own, no settings from afar, no files, no limit
past which it drops.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import Metric, MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from observability.telemetry.deltas import Deltas
from observability.telemetry.destination import Exports, Sent
from observability.telemetry.errors import AzureUnusable

METRIC_SECONDS = 60.0
EXPORT_SECONDS = 5.0  # Azure is far away, and what it answers later than that it is sent, and counts, twice
BATCH = 500  # a kilobyte each, uncompressed: so many leave within that time
_QUIET = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED", "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)  # fmt: skip
_AGAIN = frozenset({401, 403, 408, 429, 500, 502, 503, 504})  # as Azure's exporter has them
_SAMPLED_OUT = "telemetry sampled out."  # by a setting at Azure
_Item = TypeVar("_Item")


def azure_exports(connection_string: str) -> Exports:
    """Exporters to what a connection string names. Raises AzureUnusable, without quoting the string."""
    os.environ.update(dict.fromkeys(_QUIET, "true"))
    try:
        from azure.monitor.opentelemetry.exporter import (  # noqa: PLC0415 (half a second, and tens of megabytes)
            AzureMonitorLogExporter,
            AzureMonitorMetricExporter,
            AzureMonitorTraceExporter,
        )
    except ImportError as error:
        raise AzureUnusable(
            "APPLICATIONINSIGHTS_CONNECTION_STRING is set, and Azure Monitor's exporter is not installed: "
            "pip install 'homeport[azure]', or unset it here and let the collector send to Azure."
        ) from error
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # it complains of each try, and logs each request
    answer = _Answer()
    how: dict[str, Any] = {
        "connection_string": connection_string,
        "disable_offline_storage": True,
        "max_envelopes_per_second": 0,  # no limit: what is past it would be dropped, and reported as sent
        "timeout": EXPORT_SECONDS,
        "read_timeout": EXPORT_SECONDS,
        "retry_total": 0,  # we try again
        "redirect_max": 3,
        "raw_response_hook": answer.keep,
    }
    try:
        _see_address(connection_string)
        spans, lines = AzureMonitorTraceExporter(**how), AzureMonitorLogExporter(**how)
        metrics = AzureMonitorMetricExporter(**how)
    except ValueError:
        raise AzureUnusable(
            "APPLICATIONINSIGHTS_CONNECTION_STRING is malformed: it looks like "
            "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=https://…, in lower case and "
            "without a semicolon at its end. The resource's overview in Azure's portal has it."
        ) from None
    deltas = Deltas()

    def export_spans(batch: Sequence[ReadableSpan]) -> Sent[ReadableSpan]:
        return answer.on(batch, spans.export([_counted(span) for span in batch]))

    def export_lines(batch: Sequence[ReadableLogRecord]) -> Sent[ReadableLogRecord]:
        return answer.on(batch, lines.export(batch))

    def export_metrics(data: MetricsData) -> Sent[Metric]:
        added = deltas.of(data)
        found = [one for part in added.resource_metrics for scope in part.scope_metrics for one in scope.metrics]
        points: list[Any] = [point for one in found for point in one.data.data_points]
        sent = answer.on(points, metrics.export(added))
        deltas.keep(not_taken=[*sent.again, *sent.refused])
        again, refused = set(map(id, sent.again)), set(map(id, sent.refused))
        return Sent(
            [one for one in found if any(id(point) in again for point in one.data.data_points)],
            [one for one in found if any(id(point) in refused for point in one.data.data_points)],
            sent.why,
        )

    return Exports("azure", "Azure Monitor", METRIC_SECONDS, export_spans, export_lines, export_metrics, BATCH)


class _Answer:
    """The last answer of Azure: its exporters tell success from failure, but not what became of which item."""

    def __init__(self) -> None:
        self._status = 0
        self._errors: list[Any] | None = None  # of a batch of which only a part was taken

    def keep(self, response: Any) -> None:
        """Called by azure.core with each answer."""
        self._status, self._errors = response.http_response.status_code, None
        if self._status == 206:
            with suppress(ValueError, LookupError, TypeError):
                self._errors = list(response.http_response.json()["errors"])

    def on(self, batch: Sequence[_Item], result: Any) -> Sent[_Item]:
        """What became of a batch, of which each item was one envelope."""
        status, errors = self._status, self._errors
        self._status, self._errors = 0, None
        if result.name == "SUCCESS":
            return Sent()
        why = f"status {status}" if status else "no answer"
        if errors is None:
            return Sent(again=batch, why=why) if not status or status in _AGAIN else Sent(refused=batch, why=why)
        again: list[_Item] = []
        refused: list[_Item] = []
        for error in errors:
            if str(error.get("message")).lower() != _SAMPLED_OUT:
                (again if error.get("statusCode") in _AGAIN else refused).append(batch[error["index"]])
        return Sent(again, refused, why if again or refused else "")


def _see_address(connection_string: str) -> None:
    """Raises ValueError if telemetry is to go to what is no address, which Azure's exporter takes."""
    parts = dict(part.partition("=")[::2] for part in connection_string.split(";"))
    address = {name.lower(): value for name, value in parts.items()}.get("ingestionendpoint")
    if address is None:
        return
    found = urlsplit(address)
    if found.scheme not in ("http", "https") or not found.hostname or found.port == 0:  # `port` raises, too
        raise ValueError


def _counted(span: ReadableSpan) -> ReadableSpan:
    """A span as Azure's exporter needs it: it takes a path for a URL only if a host comes with it, and Azure counts
    requests from their spans if it is not told that a metric counts them.
    """
    known = span.attributes or {}
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={**known, "url.full": known.get("url.path", ""), "_MS.ProcessedByMetricExtractors": "True"},
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
