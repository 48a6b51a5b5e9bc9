"""What becomes of spans, logs and points: the tables and columns that Application Insights' users know."""

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.observability.insights.conftest import NOW, any_value, logs, metrics, pairs, span, traces

DAY = 86_400 * 10**9
HTTP = {"http.request.method": "POST", "http.response.status_code": 200, "url.path": "/score"}


def one(store, table, trace_id, columns="*"):
    (row,) = store.rows(f"SELECT {columns} FROM {table} WHERE operation_Id = '{trace_id.hex()}'")
    return row[0] if len(row) == 1 else row


def test_a_server_span_is_a_request(store):
    parent = bytes(range(8))
    sent = span(attributes=HTTP | {"server.address": "box", "server.port": 8000}, parent_span_id=parent)
    store.take(traces(sent))
    columns = (
        "id, name, url, success, resultCode, duration, operation_Name, operation_ParentId, cloud_RoleName, "
        "cloud_RoleInstance, itemCount, epoch_us(timestamp)"
    )
    assert one(store, "requests", sent.trace_id, columns) == [
        sent.span_id.hex(), "POST /score", "http://box:8000/score", True, "200", 3.0, "POST /score", parent.hex(),
        "homeport.serving", "one", 1, NOW // 1000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "status", "success", "code"),
    [
        ({"http.response.status_code": 503}, Status.STATUS_CODE_UNSET, False, "503"),
        ({"http.response.status_code": 404}, Status.STATUS_CODE_UNSET, False, "404"),
        ({"http.response.status_code": 302}, Status.STATUS_CODE_UNSET, True, "302"),
        ({}, Status.STATUS_CODE_ERROR, False, "0"),
        ({"http.status_code": 200}, Status.STATUS_CODE_OK, True, "200"),
    ],
)
def test_what_counts_as_failed(store, attributes, status, success, code):
    sent = span(attributes=attributes, status=Status(code=status))
    store.take(traces(sent))
    assert one(store, "requests", sent.trace_id, "success, resultCode") == [success, code]


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"),
    [
        (Span.SPAN_KIND_CLIENT, {"http.request.method": "GET", "url.full": "http://a/b", "server.address": "a"},
         ["HTTP", "a", "http://a/b"]),
        (Span.SPAN_KIND_CLIENT, {"db.system.name": "duckdb", "db.query.text": "SELECT 1", "db.namespace": "main"},
         ["duckdb", "main", "SELECT 1"]),
        (Span.SPAN_KIND_INTERNAL, {}, ["InProc", None, None]),
        (Span.SPAN_KIND_PRODUCER, {"messaging.system": "kafka"}, ["kafka", None, None]),
    ],
)  # fmt: skip
def test_other_spans_are_dependencies(store, kind, attributes, expected):
    sent = span("call", kind, attributes=attributes)
    store.take(traces(sent))
    assert one(store, "dependencies", sent.trace_id, "type, target, data") == expected


def test_a_consumer_is_a_request(store):
    sent = span("receive", Span.SPAN_KIND_CONSUMER)
    store.take(traces(sent))
    assert one(store, "requests", sent.trace_id, "name") == "receive"


def test_attributes_are_dimensions_of_any_depth(store):
    attributes = {"text": "ü", "whole": 2**53, "real": 0.5, "flag": True, "list": [1, "a"], "map": {"k": [True]}}
    sent = span(attributes=attributes)
    store.take(traces(sent))
    assert json.loads(one(store, "requests", sent.trace_id, "customDimensions")) == attributes


def test_keys_and_cookies_are_never_stored(store, tmp_path):
    secret = "Bearer tell-nobody"
    hidden = dict.fromkeys(
        ["http.request.header.authorization", "http.request.header.cookie", "Authorization", "x.headers.Set-Cookie",
         "http.request.header.x_api_key"], secret,
    )  # fmt: skip
    sent = span(attributes={**hidden, "headers": {"authorization": secret}, "kept": "yes"})
    store.take(traces(sent))
    assert json.loads(one(store, "requests", sent.trace_id, "customDimensions")) == {"headers": {}, "kept": "yes"}


@pytest.mark.parametrize(
    ("attributes", "count"),
    [
        ({}, 1),
        ({"_MS.sampleRate": 5.0}, 20),
        ({"_MS.sampleRate": 25}, 4),
        ({"_MS.sampleRate": 100}, 1),
        ({"_MS.sampleRate": 0}, 1),
        ({"_MS.sampleRate": "half"}, 1),
        ({"_MS.sampleRate": 1e-300}, 2**31 - 1),
    ],
)
def test_a_sampled_request_stands_for_those_that_were_not_kept(store, attributes, count):
    sent = span(attributes=attributes)
    store.take(traces(sent))
    assert one(store, "requests", sent.trace_id, "itemCount") == count


def test_events_of_spans_are_exceptions_and_traces(store):
    sent = span()
    sent.events.add(name="cache miss", time_unix_nano=NOW + 1000)
    found = {"exception.type": "ValueError", "exception.message": "no", "exception.stacktrace": "line 1"}
    sent.events.add(name="exception", attributes=pairs(found))
    store.take(traces(sent))
    assert one(store, "traces", sent.trace_id, "message, operation_ParentId") == ["cache miss", sent.span_id.hex()]
    row = one(store, "exceptions", sent.trace_id, "type, outerMessage, problemId, details, epoch_us(timestamp)")
    details = [{"type": "ValueError", "message": "no", "rawStack": "line 1"}]
    assert [*row[:3], json.loads(row[3]), row[4]] == ["ValueError", "no", "ValueError", details, NOW // 1000]


def test_logs_are_traces_with_application_insights_levels(store):
    ids = {"trace_id": bytes([7] * 16), "span_id": bytes([8] * 8)}
    levels = {0: None, 1: 0, 5: 0, 9: 1, 13: 2, 17: 3, 21: 4, 24: 4}
    store.take(logs(*(LogRecord(body=any_value(str(n)), severity_number=n, time_unix_nano=NOW, **ids) for n in levels)))
    rows = store.rows(
        f"SELECT message, severityLevel, operation_ParentId FROM traces WHERE operation_Id = '{'07' * 16}'"
    )
    assert rows == [[str(number), level, "08" * 8] for number, level in levels.items()]


def test_logs_without_a_time_are_of_when_they_were_seen(store):
    store.take(logs(LogRecord(body=any_value({"a": 1}), observed_time_unix_nano=NOW), LogRecord(event_name="timeless")))
    assert store.rows("SELECT epoch_us(timestamp) FROM traces WHERE message = '{\"a\":1}'") == [[NOW // 1000]]
    assert store.rows("SELECT timestamp > TIMESTAMP '2026-01-01' FROM traces WHERE message = 'timeless'") == [[True]]


def test_logs_that_say_so_are_exceptions_events_and_availability(store):
    def log(**attributes):
        named = {name.replace("__", "."): value for name, value in attributes.items()}
        return LogRecord(time_unix_nano=NOW, severity_number=17, attributes=pairs(named))

    store.take(
        logs(
            log(exception__type="KeyError", exception__message="k"),
            log(microsoft__custom_event__name="promoted", version="3"),
            log(
                microsoft__availability__name="probe", microsoft__availability__id="p1",
                microsoft__availability__success=True, microsoft__availability__duration="00:00:01.5000000",
                microsoft__availability__runLocation="home", microsoft__availability__message="fine",
            ),
        )
    )  # fmt: skip
    assert store.rows("SELECT outerMessage, severityLevel FROM exceptions WHERE type = 'KeyError'") == [["k", 3]]
    assert store.rows("SELECT customDimensions->>'version' FROM customEvents WHERE name = 'promoted'") == [["3"]]
    found = store.rows("SELECT id, location, success, message, duration FROM availabilityResults WHERE name = 'probe'")
    assert found == [["p1", "home", True, "fine", 1500.0]]


def test_gauges_and_deltas_are_stored_as_they_are(store):
    gauge, counter, histogram = Metric(name="g"), Metric(name="c"), Metric(name="h")
    gauge.gauge.data_points.add(as_double=1.5, time_unix_nano=NOW)
    counter.sum.aggregation_temporality, counter.sum.is_monotonic = 1, True
    counter.sum.data_points.add(as_int=7, time_unix_nano=NOW)
    histogram.histogram.aggregation_temporality = 1
    histogram.histogram.data_points.add(count=4, sum=10, min=1, max=6, time_unix_nano=NOW, attributes=pairs({"k": "v"}))
    store.take(metrics(gauge, counter, histogram))
    rows = store.rows(
        "SELECT name, value, valueSum, valueCount, valueMin, valueMax, customDimensions FROM customMetrics "
        "WHERE name IN ('g', 'c', 'h') ORDER BY name"
    )
    assert rows == [
        ["c", 7, 7, 1, 7, 7, "{}"], ["g", 1.5, 1.5, 1, 1.5, 1.5, "{}"], ["h", 10, 10, 4, 1, 6, '{"k":"v"}'],
    ]  # fmt: skip


def test_a_count_out_of_range_is_rejected(store):
    metric = Metric(name="huge")
    metric.histogram.aggregation_temporality = 1
    metric.histogram.data_points.add(count=2**63, sum=1, time_unix_nano=NOW)
    metric.histogram.data_points.add(count=2**63 - 1, sum=1, time_unix_nano=NOW)
    answer = store.send(metrics(metric))
    assert answer.status_code == 200
    assert b"a count of 2^63" in answer.content
    assert store.rows("SELECT valueCount FROM customMetrics WHERE name = 'huge'") == [[2**63 - 1]]


def test_what_cannot_be_stored_is_said_and_the_rest_is(store):
    good = span("good one")
    answer = store.send(traces(good, span(span_id=b"short"), span(trace_id=b""), span(start=NOW + 2 * DAY)))
    assert answer.status_code == 200
    success = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert success.rejected_spans == 3
    assert "2: a trace id is 16 bytes" in success.error_message
    assert "1: time more than a day in the future" in success.error_message
    assert one(store, "requests", good.trace_id, "name") == "good one"
