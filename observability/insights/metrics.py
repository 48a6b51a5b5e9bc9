"""Data points to customMetrics: those that say what was added at once, cumulative ones by way of `deltas`."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from observability.insights.attributes import read, read_sender
from observability.insights.batch import Batch
from observability.insights.deltas import Point, Value
from observability.insights.tables import as_json

_MOST = 2**63 - 1
DataPoint = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


def add_metrics(export: ExportMetricsServiceRequest, batch: Batch) -> None:
    """Add what a metrics export holds."""
    for resource in export.resource_metrics:
        sender = read_sender(resource.resource)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                cumulative = _is_cumulative(metric)
                for data, value in _points(metric, cumulative):
                    batch.receive("points", 1)
                    if data.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
                        continue
                    if value.times > _MOST:
                        batch.rejected["a count of 2^63 or more"] += 1
                        continue
                    if not batch.timely(data.time_unix_nano):
                        continue
                    attributes = read(data.attributes)
                    point = Point(
                        data.time_unix_nano // 1000,
                        metric.name,
                        value,
                        as_json(attributes),
                        sender.role,
                        sender.instance,
                    )
                    if not cumulative:
                        batch.add("customMetrics", point.row(value))
                        continue
                    instrument = scope.scope.name, metric.name, metric.unit, metric.WhichOneof("data")
                    known = sender.identity, instrument, sorted(attributes.items()), data.start_time_unix_nano
                    point.series = blake2b(as_json(known).encode(), digest_size=16).hexdigest()
                    batch.points.append(point)


def _is_cumulative(metric: Metric) -> bool:
    """Whether points say what was added since the start. A sum that may fall is a state, like a gauge."""
    kind = metric.WhichOneof("data")
    if kind in ("histogram", "exponential_histogram", "sum"):
        data = getattr(metric, kind)
        grows = kind != "sum" or data.is_monotonic
        temporality = data.aggregation_temporality
        return bool(grows and temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE)
    return kind == "summary"


def _points(metric: Metric, cumulative: bool) -> Iterator[tuple[DataPoint, Value]]:
    match metric.WhichOneof("data"):
        case "gauge" | "sum" as kind:
            for number in getattr(metric, kind).data_points:
                plain = float(number.as_int if number.WhichOneof("value") == "as_int" else number.as_double)
                yield number, Value(0, plain, None, None) if cumulative else Value(1, plain, plain, plain)
        case "histogram" | "exponential_histogram" as kind:
            for data in getattr(metric, kind).data_points:
                low = data.min if data.HasField("min") else None
                high = data.max if data.HasField("max") else None
                yield data, Value(data.count, data.sum, low, high)
        case "summary":
            for summary in metric.summary.data_points:
                yield summary, Value(summary.count, summary.sum, None, None)
