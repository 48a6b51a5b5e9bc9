"""The API: queries that read and nothing else, the overview, transactions, hosts, and documentation offline."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.observability.insights.conftest import NOW, any_value, insights, logs, metrics, span, traces
from tests.observability.insights.test_deltas import histogram

MINUTE = 60 * 10**9


def test_an_answer(store):
    store.take(traces(span("answered")))
    answer = store.ask(
        "SELECT name, duration, timestamp, sum(itemCount) AS n FROM requests WHERE name = 'answered' GROUP BY ALL;"
    )
    found = answer.json()
    assert [column["name"] for column in found["columns"]] == ["name", "duration", "timestamp", "n"]
    assert [column["type"] for column in found["columns"]] == ["VARCHAR", "DOUBLE", "TIMESTAMP", "HUGEINT"]
    ((name, duration, time, count),) = found["rows"]
    assert (name, duration, count, found["truncated"]) == ("answered", 3, 1, False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", time)
    assert found["elapsedMs"] > 0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1", "WITH a AS (SELECT 1) SELECT * FROM a", "FROM requests LIMIT 1", "DESCRIBE requests", "SHOW TABLES",
        "SUMMARIZE traces", "SELECT 1; ", "SELECT * FROM range(3)", "VALUES (1)", "-- why\nSELECT 1",
        "SELECT now(), INTERVAL 1 HOUR, {'a': 1}, [1], uuid(), 'NaN'::DOUBLE, MAP {'k': 1}, '\\xAA'::BLOB",
        "SELECT 1.5::DECIMAL(5, 2)",
        "SELECT * FROM requests WHERE timestamp > now() - INTERVAL 1 DAY AND success = false",
    ],
)  # fmt: skip
def test_what_may_be_asked(store, query):
    assert store.ask(query).status_code == 200, store.ask(query).text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("ATTACH 'other.duckdb'", "one statement"),
        ("COPY requests TO 'stolen.csv'", "one statement"),
        ("PRAGMA database_size", "one statement"),
        ("SET threads = 64", "one statement"),
        ("INSTALL httpfs", "one statement"),
        ("LOAD httpfs", "one statement"),
        ("CALL checkpoint()", "one statement"),
        ("EXPORT DATABASE 'all'", "one statement"),
        ("CREATE TABLE mine (a INTEGER)", "one statement"),
        ("DROP TABLE requests", "one statement"),
        ("DELETE FROM requests", "one statement"),
        ("UPDATE requests SET name = ''", "one statement"),
        ("BEGIN TRANSACTION", "one statement"),
        ("CONNECT 'other'", "one statement"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT 1; DROP TABLE requests", "one statement"),
        ("", "one statement"),
        ("-- nothing", "one statement"),
        ("WITH gone AS (DELETE FROM requests RETURNING *) SELECT * FROM gone", "read-only"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv may not be used"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text may not be used"),
        ("SELECT (SELECT count(*) FROM glob('/*'))", "glob may not be used"),
        ("SELECT * FROM main.Arrow_Scan(1::POINTER, 2::POINTER, 3::POINTER)", "arrow_scan may not be used"),
        ("SELECT * FROM query('DROP TABLE requests')", "query may not be used"),
        ("DESCRIBE SELECT * FROM pandas_scan(1)", "pandas_scan may not be used"),
        ("FROM force_checkpoint()", "force_checkpoint may not be used"),
        ("SELECT * FROM '/etc/passwd'", "/etc/passwd"),
        ("SELECT * FROM 'https://example.com/a.parquet'", "example.com"),
        ("SELECT getenv('HOME')", "getenv"),
        ("SELECT * FROM nothing", "Table with name nothing does not exist"),
        ("SELEC 1", "syntax error"),
        ("SELECT 'a'::INTEGER", "Conversion Error"),
        ("SELECT error('mine')", "mine"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "depth"),
        ("SELECT " + "x" * 30_000, "longer than"),
    ],
)
def test_what_may_not_be_asked(store, query, words):
    answer = store.ask(query)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert "Traceback" not in store.log.read_text()


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_any_text_is_answered(store, text):
    assert store.ask(text).status_code in (200, 400)


def test_endless_queries_are_interrupted(store):
    for query in (
        "SELECT count(*) FROM range(10000000000000)",
        "WITH RECURSIVE endless AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM endless) SELECT max(n) FROM endless",
        "SELECT * FROM range(1000000000) a, range(1000000000) b WHERE (a.range * b.range) % 1000000007 = -1",
        "SELECT sleep_ms(100000)",
    ):
        answer = store.ask(query)
        assert answer.status_code == 400
        assert "interrupted" in answer.json()["message"]


def test_memory_is_bounded(store):
    answer = store.ask("SELECT count(*) FROM (SELECT DISTINCT range, range::VARCHAR FROM range(100000000))")
    assert answer.status_code == 400
    assert re.search("Out of Memory|interrupted", answer.json()["message"])


def test_answers_are_bounded(store):
    found = store.ask("SELECT * FROM range(1000000000000)", maxRows=7).json()
    assert (len(found["rows"]), found["truncated"]) == (7, True)
    found = store.ask("SELECT * FROM range(7)", maxRows=7).json()
    assert (len(found["rows"]), found["truncated"]) == (7, False)
    found = store.ask("SELECT range, repeat('x', 10000) FROM range(10000)").json()  # a hundred megabytes
    assert (len(found["rows"]) < 9_000, found["truncated"]) == (True, True)
    assert store.ask("SELECT 1", maxRows=0).status_code == 422


def test_queries_at_once_are_bounded(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with insights(tmp_path, MAX_QUERY_SECONDS="0.5") as running:
        with ThreadPoolExecutor(40) as clients:
            query = "SELECT count(*) FROM range(10000000000000)"
            answers = list(clients.map(lambda _: running.ask(query), range(40)))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {400, 503}
        assert codes.count(400) >= 18
        assert running.ask("SELECT 1").status_code == 200


def test_overview_of_nothing(tmp_path):
    with insights(tmp_path) as running:
        empty = {"requests": 0, "failures": 0, "series": [], "availabilitySeries": []}
        empty |= dict.fromkeys(("mean", "p50", "p95", "p99", "availability"))
        assert running.client.get("/api/overview").json() == {"minutes": 60, "binMinutes": 1, **empty}


def test_overview_counts_what_sampled_requests_stand_for(tmp_path):
    kept = {"_MS.sampleRate": 10.0}
    with insights(tmp_path) as running:
        sent = [span(start=NOW - MINUTE, milliseconds=10, attributes=kept) for _ in range(9)]
        sent += [span(start=NOW - 10 * MINUTE, milliseconds=1000, attributes={"http.response.status_code": 500})] * 10
        sent += [span(start=NOW - 90 * MINUTE)]
        running.take(traces(*sent))
        found = running.client.get("/api/overview?minutes=60").json()
        assert (found["requests"], found["failures"]) == (100, 10)
        assert [found["p50"], found["p95"]] == pytest.approx([10, 1000], rel=0.02)
        assert [(part["requests"], part["failures"]) for part in found["series"]] == [(10, 10), (90, 0)]
        assert [part["p50"] for part in found["series"]] == pytest.approx([1000, 10], rel=0.02)
        assert running.client.get("/api/overview?minutes=120").json()["requests"] == 101
        long = running.client.get("/api/overview?minutes=43200").json()
        assert (long["requests"], long["binMinutes"]) == (101, 180)
        assert running.client.get("/api/overview?minutes=0").status_code == 422


def test_overview_counts_by_the_metric_where_a_role_sends_it(tmp_path):
    with insights(tmp_path) as running:
        ok, bad = {"http.response.status_code": 200}, {"http.response.status_code": 503}
        running.take(
            metrics(histogram(1000, 9.0, time=-60, attributes=ok), histogram(7, 9.0, time=-60, attributes=bad))
        )
        running.take(traces(*(span(attributes={"_MS.sampleRate": 5.0}) for _ in range(3))))
        running.take(traces(span(), sender={"service.name": "other"}))
        found = running.client.get("/api/overview").json()
        assert (found["requests"], found["failures"]) == (1008, 7)
        assert found["p50"] == pytest.approx(3, rel=0.02)


def test_a_transaction(store):
    trace_id, first, second = bytes(range(100, 116)), b"a" * 8, b"b" * 8
    request = span(trace_id=trace_id, span_id=first, milliseconds=9)
    request.events.add(name="exception", time_unix_nano=NOW + 3_000_000)
    call = span(
        "call", Span.SPAN_KIND_CLIENT, trace_id=trace_id, span_id=second, parent_span_id=first, start=NOW + 10**6
    )
    store.take(traces(request, call, span()))
    record = LogRecord(body=any_value("hi"), trace_id=trace_id, span_id=second, time_unix_nano=NOW + 2 * 10**6)
    store.take(logs(record))
    found = store.client.get(f"/api/transactions/{trace_id.hex().upper()}").json()
    assert found["operation_Id"] == trace_id.hex()
    kinds = [(item["itemType"], item.get("operation_ParentId")) for item in found["items"]]
    assert kinds == [
        ("request", None), ("dependency", first.hex()), ("trace", second.hex()), ("exception", first.hex()),
    ]  # fmt: skip
    assert found["items"][0]["duration"] == 9
    assert json.loads(found["items"][0]["customDimensions"]) == {}
    assert found["items"][0]["timestamp"].endswith("Z")


def test_no_transaction(store):
    assert store.client.get(f"/api/transactions/{'0' * 32}").status_code == 404
    assert store.client.get("/api/transactions/x' OR '1'='1").status_code == 422


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:80", "[::1]:8080", "insights:8080", "INSIGHTS", "more.home:1"]
)
def test_hosts_that_are_answered(hosts, host):
    assert hosts.client.get("/health/live", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/api/status", "/v1/traces"])
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "", "localhost:x"]
)
def test_other_hosts_are_refused(hosts, host, path):
    answer = hosts.client.get(path, headers={"host": host})
    assert answer.status_code == 421
    assert "HOMEPORT_INSIGHTS_HOSTS" in answer.json()["message"]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    with insights(tmp_path_factory.mktemp("hosts"), HOSTS="more.home, another") as running:
        yield running


def test_long_bodies_are_not_read(store):
    long = json.dumps({"query": "SELECT 1", "why": "x" * 100_000}).encode()
    headers = {"content-type": "application/json"}
    assert store.client.post("/api/query", content=long, headers=headers).status_code == 413
    assert store.client.post("/api/query", content=iter([long[:50]]), headers=headers).status_code == 413


def test_pages_from_elsewhere_may_not_call(store):
    preflight = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for path in ("/api/query", "/v1/traces"):
        answer = store.client.options(path, headers=preflight)
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
    simple = store.client.post("/api/query", content=b'{"query": "SELECT 1"}', headers={"content-type": "text/plain"})
    assert simple.status_code == 422
    socket = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13",
              "sec-websocket-key": "MDEyMzQ1Njc4OWFiY2RlZg=="}  # fmt: skip
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert store.client.get(path, headers=socket | {"origin": "https://evil.example"}).status_code == 403
    assert store.client.get(path, headers=socket | {"host": "evil.example"}).status_code == 421


def test_documentation_needs_no_internet(store):
    answer = store.client.get("/docs")
    assert answer.status_code == 200
    assert "://" not in answer.text
    for asset in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert store.client.get(asset).status_code == 200
    assert "/api/query" in store.client.get("/openapi.json").json()["paths"]


def test_health(store):
    assert store.client.get("/health/live").json() == {"status": "live"}
    assert store.client.get("/health/ready").json() == {"status": "ready"}
