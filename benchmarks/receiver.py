"""A receiver of telemetry in a process of its own: `python -m benchmarks.receiver PORT STATE`.

Healthy, slow (it answers after 1.5 s) or hanging (it never does), which a POST to `/state` changes; `/told` says what
it was told. Azure's items are taken and not looked at.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.load import HOST

SLOW_SECONDS = 1.5
TAKEN = b'{"itemsReceived": 1, "itemsAccepted": 1, "errors": []}'  # as Azure says it


class Kept:
    """What was told."""

    def __init__(self) -> None:
        self._spans: set[bytes] = set()
        self._sums: dict[Any, tuple[str, int]] = {}  # the newest, by sender, name and attributes
        self._lock = threading.Lock()

    def take(self, path: str, body: bytes) -> None:
        """One request of OTLP."""
        with self._lock:
            if path == "/v1/traces":
                for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self._spans.update(span.span_id for scope in spans.scope_spans for span in scope.spans)
            elif path == "/v1/metrics":
                for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    whose = resource.resource.SerializeToString(deterministic=True)
                    for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                        self._sums |= {(whose, *series): counted for series, counted in _sums(metric)}

    def told(self) -> dict[str, int]:
        """Requests, spans, drops of spans, failed sendings."""
        with self._lock:
            found = {"counted": 0, "spans": len(self._spans), "dropped": 0, "failed": 0}
            for name, value in self._sums.values():
                found[name] += value
            return found


def _sums(metric: Any) -> Iterator[tuple[tuple[str, str], tuple[str, int]]]:
    if metric.name == "http.server.request.duration":
        for point in metric.histogram.data_points:
            yield (metric.name, str(point.attributes)), ("counted", point.count)
    for point in metric.sum.data_points:
        labels = {label.key: label.value.string_value for label in point.attributes}
        if labels.get("destination") != "otlp":
            continue
        if metric.name == "homeport.telemetry.failed_exports":
            yield (metric.name, str(point.attributes)), ("failed", point.as_int)
        if metric.name == "homeport.telemetry.dropped" and labels["signal"] == "traces":
            yield (metric.name, str(point.attributes)), ("dropped", point.as_int)


def main() -> None:
    """Receive until the end of the process."""
    kept, state = Kept(), sys.argv[2]

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal state
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = b"{}"
            if self.path == "/state":
                state = body.decode()
            elif self.path == "/told":
                answer = json.dumps(kept.told()).encode()
            else:
                if state == "hanging":
                    threading.Event().wait()
                if state == "slow":
                    time.sleep(SLOW_SECONDS)
                kept.take(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                answer = TAKEN if self.path.endswith("/track") else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, int(sys.argv[1])), Receiver)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
