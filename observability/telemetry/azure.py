"""Azure Monitor, by its own exporters: the same telemetry in Azure's Application Insights.

Metrics go once a minute, since Azure bills what it takes, and as what was added since the last time, since it sums
what it takes. Nothing else of that package runs: no statistics of its own, no settings from afar, no files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
)

from observability.telemetry.destination import EXPORT_SECONDS, Exports
from observability.telemetry.errors import AzureUnusable

METRIC_SECONDS = 60.0
_QUIET = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
)  # fmt: skip
Point = NumberDataPoint | HistogramDataPoint


def azure_exports(connection_string: str) -> Exports:
    """Exporters to what a connection string names. Raises AzureUnusable, without quoting the string."""
    os.environ.update(dict.fromkeys(_QUIET, "true"))
    try:
        from azure.monitor.opentelemetry.exporter import (  # noqa: PLC0415 (half a second, and not in every image)
            AzureMonitorLogExporter,
            AzureMonitorMetricExporter,
            AzureMonitorTraceExporter,
        )
    except ImportError as error:
        raise AzureUnusable(
            "APPLICATIONINSIGHTS_CONNECTION_STRING is set, and Azure Monitor's exporter is not installed: "
            "pip install 'homeport[azure]', or let the collector send to Azure."
        ) from error
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # it complains of each try, and logs each request
    how: dict[str, Any] = {
        "connection_string": connection_string,
        "disable_offline_storage": True,
        "timeout": EXPORT_SECONDS,
        "read_timeout": EXPORT_SECONDS,
        "retry_total": 0,  # we try again
    }
    try:
        spans, lines = AzureMonitorTraceExporter(**how), AzureMonitorLogExporter(**how)
        metrics, deltas = AzureMonitorMetricExporter(**how), Deltas()
    except ValueError:
        raise AzureUnusable(
            "APPLICATIONINSIGHTS_CONNECTION_STRING is none: it looks like "
            "InstrumentationKey=…;IngestionEndpoint=https://…, see the resource's overview in Azure's portal."
        ) from None

    def export(data: MetricsData) -> Any:
        result = metrics.export(deltas.of(data))
        if result.name == "SUCCESS":
            deltas.keep()
        return result

    return Exports("azure", "Azure Monitor", METRIC_SECONDS, spans.export, lines.export, export, lambda: False)


class Deltas:
    """From sums since a start to what was added since they were last sent."""

    def __init__(self) -> None:
        self._sent: dict[tuple[Any, ...], Point] = {}
        self._staged: dict[tuple[Any, ...], Point] = {}

    def of(self, data: MetricsData) -> MetricsData:
        """The same metrics as additions; states stay as they are."""
        self._staged = {}
        resources = [
            replace(
                resource,
                scope_metrics=[
                    replace(scope, metrics=[self._added(metric) for metric in scope.metrics])
                    for scope in resource.scope_metrics
                ],
            )
            for resource in data.resource_metrics
        ]
        return MetricsData(resources)

    def keep(self) -> None:
        """What was asked for last was sent."""
        self._sent |= self._staged

    def _added(self, metric: Metric) -> Metric:
        if isinstance(metric.data, Gauge):
            return metric
        points: Any = list(self._points(metric))
        return replace(
            metric,
            data=replace(metric.data, data_points=points, aggregation_temporality=AggregationTemporality.DELTA),
        )

    def _points(self, metric: Metric) -> Iterator[Point]:
        for point in metric.data.data_points:
            assert isinstance(point, Point)
            # a new start is another series, which begins at nothing
            series = metric.name, tuple(sorted((point.attributes or {}).items())), point.start_time_unix_nano
            last = self._sent.get(series)
            self._staged[series] = point
            if isinstance(point, HistogramDataPoint):
                count, total = (last.count, last.sum) if isinstance(last, HistogramDataPoint) else (0, 0.0)
                if point.count > count:
                    yield replace(point, count=point.count - count, sum=point.sum - total)
            else:
                before = last.value if isinstance(last, NumberDataPoint) else 0
                if point.value > before:
                    yield replace(point, value=point.value - before)
