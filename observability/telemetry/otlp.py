"""OTLP over HTTP: to a collector, or straight to insights."""

from __future__ import annotations

from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from observability.telemetry.destination import EXPORT_SECONDS, Exports


def otlp_exports(endpoint: str) -> Exports:
    """Exporters to an address such as `http://127.0.0.1:4318`."""
    where = endpoint.rstrip("/")
    status = 0  # of the last answer; the exporters tell success from failure, but not which

    def answered(response: requests.Response, **_: Any) -> None:
        nonlocal status
        status = response.status_code

    def refused() -> bool:
        """OTLP's senders try again after 429 and 5xx, not after another 4xx."""
        nonlocal status
        last, status = status, 0
        return 400 <= last < 500 and last != 429

    session = requests.Session()
    session.hooks["response"].append(answered)
    how: dict[str, Any] = {"timeout": EXPORT_SECONDS, "compression": Compression.Gzip, "session": session}
    return Exports(
        "otlp", endpoint, 0.0,
        OTLPSpanExporter(f"{where}/v1/traces", **how).export,
        OTLPLogExporter(f"{where}/v1/logs", **how).export,
        OTLPMetricExporter(f"{where}/v1/metrics", **how).export,
        refused,
    )  # fmt: skip
