"""OTLP over HTTP: to a collector, or straight to insights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import Metric, MetricsData

from observability.telemetry.destination import EXPORT_SECONDS, Exports, Sent

_Item = TypeVar("_Item")


def otlp_exports(endpoint: str) -> Exports:
    """Exporters to an address such as `http://127.0.0.1:4318`."""
    where = endpoint.rstrip("/")
    status = 0  # of the last answer; the exporters tell success from failure, but not which

    def answered(response: requests.Response, **_: Any) -> None:
        nonlocal status
        status = response.status_code

    def became(items: Sequence[_Item], result: Any) -> Sent[_Item]:
        """OTLP's senders try again after 429 and 5xx, not after another 4xx."""
        nonlocal status
        last, status = status, 0
        if result.name == "SUCCESS":
            return Sent()
        if 400 <= last < 500 and last != 429:
            return Sent(refused=items, why=f"status {last}")
        return Sent(again=items, why=f"status {last}" if last else "no answer")

    def exporting(export: Callable[[Sequence[_Item]], Any]) -> Callable[[Sequence[_Item]], Sent[_Item]]:
        return lambda items: became(items, export(items))

    def export_metrics(data: MetricsData) -> Sent[Metric]:
        metrics = [one for part in data.resource_metrics for scope in part.scope_metrics for one in scope.metrics]
        return became(metrics, metric_exporter.export(data))

    session = requests.Session()
    session.hooks["response"].append(answered)
    how: dict[str, Any] = {"timeout": EXPORT_SECONDS, "compression": Compression.Gzip, "session": session}
    metric_exporter = OTLPMetricExporter(f"{where}/v1/metrics", **how)
    return Exports(
        "otlp", endpoint, 0.0,
        exporting(OTLPSpanExporter(f"{where}/v1/traces", **how).export),
        exporting(OTLPLogExporter(f"{where}/v1/logs", **how).export),
        export_metrics,
    )  # fmt: skip
