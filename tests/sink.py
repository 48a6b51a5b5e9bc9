"""Receivers that stand where telemetry goes: OTLP over HTTP, and Azure's ingestion endpoint."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Sink:
    """A server that keeps what it is sent. Use as a context manager, also again and again."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = host, port
        self.url = f"http://{host}:{port}"
        self.spans: list[tuple[dict[str, Any], Span]] = []
        self.metrics: list[tuple[dict[str, Any], Metric]] = []
        self.logs: list[tuple[dict[str, Any], LogRecord]] = []
        self.envelopes: list[dict[str, Any]] = []  # those that Azure's took
        self.refused: list[dict[str, Any]] = []  # and those that it did not
        self.paths: Counter[str] = Counter()  # with the method, of all that came
        self.status = 200
        self.partly: Callable[[dict[str, Any]], int] = lambda _: 200  # status of each envelope, where `status` is 206
        self.message = "not taken"  # of those that are not
        self.headers: dict[str, str] = {}  # of the answer
        self.answers = threading.Event()  # until it is set again, nobody is answered
        self.answers.set()
        self.unanswered = 0

    def __enter__(self) -> Self:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sink.paths[f"{self.command} {self.path}"] += 1
                self.send_error(404)

            do_CONNECT = do_GET  # noqa: N815 (as a proxy is asked)

            def do_POST(self) -> None:
                sink.paths[f"{self.command} {self.path}"] += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if not sink.answers.is_set():
                    sink.unanswered += 1
                    sink.answers.wait()
                    return
                answer = sink.take(self.path, body)
                self.send_response(sink.status)
                for name, value in sink.headers.items():
                    self.send_header(name, value)
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
        """Keep what came, each with the attributes of its resource; returns the answer."""
        if path == "/v1/traces":
            for traces in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans += [(_resource(traces), span) for scope in traces.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                found = [metric for scope in metrics.scope_metrics for metric in scope.metrics]
                self.metrics += [(_resource(metrics), metric) for metric in found]
        elif path == "/v1/logs":
            for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.logs += [(_resource(logs), record) for scope in logs.scope_logs for record in scope.log_records]
        else:  # Azure's: a JSON object a line, or a list
            lines = [json.loads(line) for line in body.decode().splitlines()]
            found = [part for line in lines for part in (line if isinstance(line, list) else [line])]
            statuses = [self.partly(part) if self.status == 206 else self.status for part in found]
            errors = [
                {"index": index, "statusCode": status, "message": self.message}
                for index, status in enumerate(statuses)
                if status != 200
            ]
            for part, status in zip(found, statuses, strict=True):
                (self.envelopes if status == 200 else self.refused).append(part)
            received = {"itemsReceived": len(found), "itemsAccepted": len(found) - len(errors)}
            return json.dumps(received | {"errors": errors}).encode()
        return b""


def attributes(of: Any) -> dict[str, Any]:
    """Attributes of a resource, a span, a point or a line, as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


def _resource(part: Any) -> dict[str, Any]:
    return attributes(part.resource)
