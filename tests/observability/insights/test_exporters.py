"""OpenTelemetry's own exporters, which is what services send with."""

import logging

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

RESOURCE = Resource({"service.namespace": "homeport", "service.name": "sdk", "service.instance.id": "i"})


def test_spans_and_metrics_of_the_sdk(store, caplog):
    caplog.set_level(logging.WARNING)
    spans = OTLPSpanExporter(f"{store.url}/v1/traces", compression=Compression.Gzip)
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with provider.get_tracer("test").start_as_current_span("GET /sdk", kind=SpanKind.SERVER) as span:
        span.record_exception(ValueError("seen"))
    trace_id = f"{span.get_span_context().trace_id:032x}"
    provider.shutdown()

    exporter = OTLPMetricExporter(f"{store.url}/v1/metrics", compression=Compression.Gzip)
    meters = MeterProvider([PeriodicExportingMetricReader(exporter, 3_600_000)], resource=RESOURCE)
    duration = meters.get_meter("test").create_histogram("sdk.duration", unit="s")
    for seconds in (0.25, 0.5):
        duration.record(seconds, {"http.route": "/sdk"})
        assert meters.force_flush()
    meters.shutdown()

    kinds = [item["itemType"] for item in store.client.get(f"/api/transactions/{trace_id}").json()["items"]]
    assert kinds == ["request", "exception"]
    assert store.rows("SELECT cloud_RoleName FROM requests WHERE name = 'GET /sdk'") == [["homeport.sdk"]]
    query = "SELECT sum(valueCount), sum(valueSum) FROM customMetrics WHERE name = 'sdk.duration'"
    assert store.rows(query) == [[2, 0.75]]
    assert not caplog.records
