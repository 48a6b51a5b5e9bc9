"""Rows are kept for as long, and the file as large, as is allowed, while exports go on."""

import time
from contextlib import contextmanager

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from observability.insights.batch import Batch
from observability.insights.counters import Counters
from observability.insights.keeper import Keeper
from observability.insights.logs import add_logs
from observability.insights.spans import add_spans
from observability.insights.store import Store
from observability.insights.writer import Writer
from tests.conftest import wait_until
from tests.observability.insights.conftest import insights, logs, span, traces

HOUR = 3600 * 10**9


@contextmanager
def keeping(folder, **limits):
    store, counters = Store(folder, 128_000_000), Counters()
    writer = Writer(store, counters)
    keeper = Keeper(store, writer, counters, **{"retention_days": 30, "payload_days": 7, "max_bytes": 10**9} | limits)
    try:
        yield store, writer, keeper, counters
    finally:
        writer.close()
        store.close()


def batch(hours, rows):
    now = time.time_ns()
    spans = (
        span(start=now - int(hours * HOUR), attributes={"a": f"{number * 7919 % 10007:x}" * 20})
        for number in range(rows)
    )
    found = Batch()
    add_spans(traces(*spans), found)
    return found.seal()


def count(store):
    return store.cursor().execute("SELECT count(*), min(timestamp) FROM requests").fetchall()[0]


def test_rows_that_are_too_old_are_deleted(tmp_path):
    with keeping(tmp_path, retention_days=1) as (store, writer, keeper, counters):
        for hours in (100, 30, 23, 1):
            writer.submit(batch(hours, 10)).result()
        keeper.sweep()
        assert count(store)[0] == 20
        assert counters.snapshot()["deleted"] == {"requests": 20}


def test_payloads_are_deleted_before_the_rest(tmp_path):
    with keeping(tmp_path, payload_days=1) as (store, writer, keeper, counters):
        for hours, name in ((30, "ml.payload"), (30, "model.loaded"), (1, "ml.payload")):
            time_ns = time.time_ns() - hours * HOUR
            record = LogRecord(time_unix_nano=time_ns)
            record.attributes.add(key="microsoft.custom_event.name").value.string_value = name
            found = Batch()
            add_logs(logs(record), found)
            writer.submit(found.seal()).result()
        keeper.sweep()
        left = store.cursor().execute("SELECT name FROM customEvents ORDER BY timestamp").fetchall()
        assert left == [("model.loaded",), ("ml.payload",)]
        assert counters.snapshot()["deleted"] == {"customEvents": 1}


@pytest.mark.e2e
def test_a_file_that_is_too_large_loses_its_oldest_rows(tmp_path):
    limit = 4_000_000
    sizes, used = [], []
    with keeping(tmp_path, max_bytes=limit) as (store, writer, keeper, counters):
        for hours in range(60, 0, -1):
            writer.submit(batch(hours, 2_000)).result()
            keeper.sweep()
            used.append(store.bytes())
            sizes.append(store.path.stat().st_size)
        rows, oldest = count(store)
        deleted = counters.snapshot()["deleted"]["requests"]
        newest = store.cursor().execute("SELECT max(timestamp) FROM requests").fetchall()[0][0]
    assert rows + deleted == 120_000
    assert 2_000 < rows < 100_000
    assert max(used) <= 1.25 * limit  # blocks are 256 kB: so small a limit is kept roughly
    assert max(sizes) < 3 * limit  # freed blocks are used anew
    assert (newest - oldest).total_seconds() < 3600 * 60  # the oldest went first
    assert newest > oldest


def test_deleting_goes_on_beside_writing(tmp_path):
    with keeping(tmp_path, retention_days=1) as (store, writer, keeper, _):
        writer.submit(batch(48, 20_000)).result()
        futures = [writer.submit(batch(1, 200)) for _ in range(20)]
        keeper.sweep()
        assert [future.result() for future in futures] == [{}] * 20
        assert count(store)[0] == 4_000


@pytest.mark.e2e
def test_a_server_deletes_when_it_starts(tmp_path):
    old = span("old", start=time.time_ns() - 48 * HOUR)
    with insights(tmp_path) as running:
        running.take(traces(old, span("new")))
        assert running.rows("SELECT count(*) FROM requests") == [[2]]
    with insights(tmp_path, RETENTION_DAYS="1") as running:
        wait_until(lambda: running.rows("SELECT name FROM requests") == [["new"]])
        assert running.counts()["deleted"] == {"requests": 1}


def test_an_idle_insights_writes_nothing(tmp_path):
    with keeping(tmp_path) as (_, writer, _, counters):
        writer.submit(batch(1, 3)).result()
        for rows in (2, 0):  # received and stored; then nothing new
            report = counters.report()
            assert sum(table.num_rows for table in report.tables.values()) == rows
            writer.submit(report).result()
