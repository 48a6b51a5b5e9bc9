"""A real server on a free port, and exports to send to it."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conftest import ROOT, free_port, wait_until

PROTOBUF = "application/x-protobuf"
SENDER = {"service.namespace": "homeport", "service.name": "serving", "service.instance.id": "one"}
NOW = time.time_ns() // 1000 * 1000  # rows hold microseconds


def pairs(attributes: dict) -> list[KeyValue]:
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def any_value(value) -> AnyValue:
    kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
    found = AnyValue()
    if isinstance(value, list):
        found.array_value.values.extend(any_value(item) for item in value)
    elif isinstance(value, dict):
        found.kvlist_value.values.extend(pairs(value))
    else:
        setattr(found, kind[type(value)], value)
    return found


def span(
    name="POST /score", kind=Span.SPAN_KIND_SERVER, *, start=NOW, milliseconds=3, attributes=None, **fields
) -> Span:
    fields = {"trace_id": os.urandom(16), "span_id": os.urandom(8)} | fields
    return Span(
        name=name,
        kind=kind,
        start_time_unix_nano=start,
        end_time_unix_nano=start + milliseconds * 1_000_000,
        attributes=pairs(attributes or {}),
        **fields,
    )


def traces(*spans: Span, sender=SENDER) -> ExportTraceServiceRequest:
    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add(resource=Resource(attributes=pairs(sender)))
    resource.scope_spans.add().spans.extend(spans)
    return export


def logs(*records, sender=SENDER) -> ExportLogsServiceRequest:
    export = ExportLogsServiceRequest()
    resource = export.resource_logs.add(resource=Resource(attributes=pairs(sender)))
    resource.scope_logs.add().log_records.extend(records)
    return export


def metrics(*found, sender=SENDER) -> ExportMetricsServiceRequest:
    export = ExportMetricsServiceRequest()
    resource = export.resource_metrics.add(resource=Resource(attributes=pairs(sender)))
    resource.scope_metrics.add().metrics.extend(found)
    return export


def path_of(export) -> str:
    kind = type(export).__name__
    return "/v1/" + ("traces" if "Trace" in kind else "logs" if "Logs" in kind else "metrics")


@dataclass
class Running:
    """A server process and a client."""

    process: subprocess.Popen
    url: str
    client: httpx.Client
    log: Path

    def send(self, export, *, compress=False) -> httpx.Response:
        body = export.SerializeToString()
        headers = {"content-type": PROTOBUF} | ({"content-encoding": "gzip"} if compress else {})
        return self.client.post(path_of(export), content=gzip.compress(body) if compress else body, headers=headers)

    def take(self, export) -> None:
        answer = self.send(export)
        assert (answer.status_code, answer.content) == (200, b""), answer.text

    def ask(self, query: str, **options) -> httpx.Response:
        return self.client.post("/api/query", json={"query": query} | options)

    def rows(self, query: str) -> list[list]:
        answer = self.ask(query, maxRows=10_000)
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]

    def counts(self) -> dict:
        return self.client.get("/api/status").json()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


def start(folder: Path, port: int, **settings: str) -> subprocess.Popen:
    environment = {"DATA": str(folder / "insights"), "PORT": str(port)} | settings
    with (folder / "insights.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "observability.insights"],
            cwd=ROOT,
            env=os.environ | {f"HOMEPORT_INSIGHTS_{name}": str(value) for name, value in environment.items()},
            stdout=output,
            stderr=output,
        )


@contextmanager
def insights(folder: Path, **settings) -> Iterator[Running]:
    port, log = free_port(), folder / "insights.log"
    process = start(folder, port, **settings)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            wait_until(lambda: _ready(client, process, log))
            yield Running(process, url, client, log)
    finally:
        process.terminate()
        process.wait(10)


def _ready(client: httpx.Client, process: subprocess.Popen, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[Running]:
    """One server for all tests of a module that send what is theirs alone."""
    with insights(tmp_path_factory.mktemp("insights"), MAX_QUERY_SECONDS="1", MAX_BODY_BYTES="1000000") as running:
        yield running
