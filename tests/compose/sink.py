"""Receivers that stand where telemetry goes: OTLP over HTTP, and Azure's ingestion endpoint."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Sink:
    """A server, reached from containers too, that keeps what it is sent. Use as a context manager, also again."""

    def __init__(self, port: int) -> None:
        self._address = "0.0.0.0", port
        self.url = f"http://host.docker.internal:{port}"
        self.spans: list[str] = []
        self.metrics: list[str] = []
        self.logs: list[str] = []
        self.envelopes: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                answer = sink.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(self._address, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, path: str, body: bytes) -> bytes:
        """Keep the names of what came, or Azure's envelopes whole; returns the answer."""
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            scopes = [scope for resource in traces.resource_spans for scope in resource.scope_spans]
            self.spans += [span.name for scope in scopes for span in scope.spans]
        elif path == "/v1/metrics":
            metrics = ExportMetricsServiceRequest.FromString(body)
            kinds = [scope for resource in metrics.resource_metrics for scope in resource.scope_metrics]
            self.metrics += [metric.name for kind in kinds for metric in kind.metrics]
        elif path == "/v1/logs":
            logs = ExportLogsServiceRequest.FromString(body)
            parts = [scope for resource in logs.resource_logs for scope in resource.scope_logs]
            self.logs += [record.body.string_value for part in parts for record in part.log_records]
        else:  # one JSON object a line, or one list
            lines = body.decode().splitlines()
            found = [json.loads(line) for line in lines]
            self.envelopes += [part for line in found for part in (line if isinstance(line, list) else [line])]
            count = len(found)
            return json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
        return b""
