"""What insights answers and takes with many rows stored: latency, memory, size, and spans a second.

    .venv/bin/python -m benchmarks.insights --rows 1000000

fills a database through the writer, a week of requests with a dependency and a point of the metric for each tenth and a
log record for each fourth; then starts the real server over it, asks as a page does, and sends spans while a page stays
open.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.load import free_port
from observability.insights.batch import Batch
from observability.insights.counters import Counters
from observability.insights.store import FILE, Store
from observability.insights.tables import TABLES, as_json
from observability.insights.writer import Writer

WEEK = 7 * 86_400
CHUNK = 50_000
REPEATS = 9
SPANS, SENDERS = 512, 4
DIMENSIONS = {
    "http.request.method": "POST",
    "http.route": "/score",
    "url.path": "/score",
    "server.address": "localhost",
    "user_agent.original": "python-httpx/0.28",
    "http.response.status_code": 200,
    "ml.model.version": "3",
}


def main() -> None:
    """Fill, ask, flood."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.insights", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="requests to store")
    parser.add_argument("--seconds", type=float, default=10.0, help="of sending spans")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        operation = fill(folder, given.rows)
        port = free_port()
        environment = {"DATA": str(folder), "PORT": str(port), "MAX_BYTES": str(10**11)}
        with subprocess.Popen(
            [sys.executable, "-m", "observability.insights"],
            env=os.environ | {f"HOMEPORT_INSIGHTS_{key}": value for key, value in environment.items()},
        ) as process:
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
                    _wait(client)
                    ask(client, psutil.Process(process.pid), operation)
                    flood(client, psutil.Process(process.pid), given.seconds)
            finally:
                process.terminate()


def fill(folder: Path, rows: int) -> str:
    """Store the rows in the order of time; returns the id of an operation in their middle."""
    store = Store(folder, 256_000_000)
    writer = Writer(store, Counters())
    random, end, operation = np.random.default_rng(0), time.time(), ""
    began = time.perf_counter()
    for first in range(0, rows, CHUNK):
        count = min(CHUNK, rows - first)
        times = (end - WEEK + WEEK * (first + np.arange(count)) / rows) * 1e6
        batch = _chunk(random, times.astype(np.int64))
        if first <= rows // 2:
            operation = batch.tables["requests"]["operation_Id"][0].as_py()
        writer.submit(batch).result()
    writer.close()
    store.close()
    size = (folder / FILE).stat().st_size
    taken = time.perf_counter() - began
    print(f"{rows:,} requests and what belongs to them: {size / 1e6:,.0f} MB, filled in {taken:,.0f} s")
    return operation


def _chunk(random: np.random.Generator, times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Batch:
    count = len(times)
    failed = random.random(count) < 0.01
    operations, spans = _ids(random, count, 32), _ids(random, count, 16)
    start = as_json(DIMENSIONS)[:-1]
    durations = random.lognormal(1, 1, count)
    columns: dict[str, object] = {
        "timestamp": times, "id": spans, "name": ["POST /score"] * count, "url": ["http://localhost/score"] * count,
        "success": ~failed, "resultCode": np.where(failed, "500", "200"), "duration": durations,
        "message": ["scored"] * count, "severityLevel": [1] * count, "type": ["InProc"] * count,
        "customDimensions": [f'{start},"rows":{rows}}}' for rows in random.integers(1, 10_000, count)],
        "operation_Name": ["POST /score"] * count, "operation_Id": operations,
        "cloud_RoleName": ["homeport.serving"] * count, "cloud_RoleInstance": ["one"] * count,
        "itemCount": [20] * count,
    }  # fmt: skip
    point = {
        "name": ["http.server.request.duration"] * count, "value": durations / 5, "valueSum": durations / 5,
        "valueCount": [200] * count, "valueMin": durations / 2000, "valueMax": durations / 500,
        "itemCount": [1] * count, "operation_Id": [None] * count, "operation_Name": [None] * count,
    }  # fmt: skip
    tables = {}
    for table, step in (("requests", 1), ("dependencies", 10), ("traces", 4), ("customMetrics", 10)):
        found = columns | point if table == "customMetrics" else columns
        schema = TABLES[table]
        arrays = [
            pa.array(found[field.name], field.type) if field.name in found else pa.nulls(count, field.type)
            for field in schema
        ]
        tables[table] = pa.Table.from_arrays(arrays, schema=schema).take(np.arange(0, count, step))
    return Batch(tables=tables)


def _ids(random: np.random.Generator, count: int, digits: int) -> list[str]:
    text = random.bytes(count * digits // 2).hex()
    return [text[first : first + digits] for first in range(0, len(text), digits)]


def ask(client: httpx.Client, process: psutil.Process, operation: str) -> None:
    """What a page asks for, several times each."""
    asked: dict[str, Callable[[], httpx.Response]] = {
        "overview of an hour": lambda: client.get("/api/overview", params={"minutes": 60}),
        "overview of a day": lambda: client.get("/api/overview", params={"minutes": 1440}),
        "overview of everything": lambda: client.get("/api/overview", params={"minutes": 8 * 1440}),
        "one transaction": lambda: client.get(f"/api/transactions/{operation}"),
        "failures by name, in SQL": lambda: client.post(
            "/api/query", json={"query": "SELECT name, count(*) FROM requests WHERE success = false GROUP BY name"}
        ),
    }
    for name, call in asked.items():
        taken = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            call().raise_for_status()
            taken.append(1000 * (time.perf_counter() - began))
        print(f"{name:26} {taken[0]:6.0f} ms at first, {statistics.median(taken):6.0f} median, {max(taken):6.0f} worst")
    print(f"memory {process.memory_info().rss / 1e6:,.0f} MB")


def flood(client: httpx.Client, process: psutil.Process, seconds: float) -> None:
    """Spans from several senders, while a page asks for the overview every second."""
    bodies = [gzip.compress(_export().SerializeToString(), 1) for _ in range(16)]
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    end = threading.Event()
    codes: list[int] = []
    page: list[float] = []

    def send(sender: int) -> None:
        for turn in itertools.count(sender):
            if end.is_set():
                return
            codes.append(client.post("/v1/traces", content=bodies[turn % len(bodies)], headers=headers).status_code)

    def look() -> None:
        while not end.wait(1):
            began = time.perf_counter()
            client.get("/api/overview", params={"minutes": 60}).raise_for_status()
            page.append(1000 * (time.perf_counter() - began))

    cpu, began = sum(process.cpu_times()[:2]), time.perf_counter()
    with ThreadPoolExecutor(SENDERS + 1) as pool:
        for sender in range(SENDERS):
            pool.submit(send, sender)
        pool.submit(look)
        end.wait(seconds)
        end.set()
    taken, cpu = time.perf_counter() - began, sum(process.cpu_times()[:2]) - cpu
    good = codes.count(200)
    print(f"{good * SPANS / taken:,.0f} spans/s stored, {good * SPANS / cpu:,.0f} a second of CPU")
    print(f"{len(codes) - good} of {len(codes)} exports refused: {client.get('/api/status').json()['refused']}")
    print(f"overview meanwhile {statistics.median(page):,.0f} ms median, {max(page):,.0f} worst")
    print(f"memory {process.memory_info().rss / 1e6:,.0f} MB")


def _export() -> ExportTraceServiceRequest:
    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "serving"
    spans = resource.scope_spans.add().spans
    for number in range(SPANS):
        start = time.time_ns() + number
        span = spans.add(name="POST /score", kind=Span.SPAN_KIND_SERVER, trace_id=os.urandom(16), span_id=os.urandom(8))
        span.start_time_unix_nano, span.end_time_unix_nano = start, start + 3_000_000
        for name, value in DIMENSIONS.items():
            found = span.attributes.add(key=name).value
            if isinstance(value, int):
                found.int_value = value
            else:
                found.string_value = str(value)
    return export


def _wait(client: httpx.Client) -> None:
    for _ in range(300):
        try:
            client.get("/health/ready").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("Insights did not start.")


if __name__ == "__main__":
    main()
