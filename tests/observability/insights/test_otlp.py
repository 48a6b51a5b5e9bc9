"""OTLP over HTTP: encodings, compression, refusals."""

import base64
import contextlib
import gzip
import json

import httpx
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.insights.errors import BodyTooLarge, InvalidExport
from observability.insights.otlp import Encoding, Signal, decompress, parse
from tests.observability.insights.conftest import NOW, PROTOBUF, any_value, logs, metrics, path_of, span, traces

JSON = {"content-type": "application/json"}


def as_json(export) -> dict:
    """OTLP's JSON of a message: protobuf's, but for ids, which are hexadecimal."""

    def convert(node):
        if isinstance(node, list):
            return [convert(item) for item in node]
        if isinstance(node, dict):
            return {
                name: base64.b64decode(value).hex() if name in ("traceId", "spanId", "parentSpanId") else convert(value)
                for name, value in node.items()
            }
        return node

    return convert(json_format.MessageToDict(export, use_integers_for_enums=True))


attributes = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.recursive(
        st.one_of(
            st.text(max_size=10), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
            st.binary(max_size=10),
        ),
        lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)  # fmt: skip
spans = st.builds(
    span,
    st.text(max_size=10),
    st.sampled_from(Span.SpanKind.values()),
    attributes=attributes,
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent_span_id=st.binary(min_size=8, max_size=8) | st.just(b""),
)


@given(st.lists(spans, max_size=3))
def test_json_and_protobuf_are_the_same(sent):
    export = traces(*sent)
    read = parse(Signal.TRACES, json.dumps(as_json(export)).encode(), Encoding.JSON)
    assert read == export == parse(Signal.TRACES, export.SerializeToString(), Encoding.PROTOBUF)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
def test_every_signal_in_every_encoding(store, signal, encoding, compress):
    name = f"{signal} {encoding} {compress}"
    metric = Metric(name=name)
    metric.gauge.data_points.add(as_int=1, time_unix_nano=NOW)
    log = LogRecord(body=any_value(name), time_unix_nano=NOW, trace_id=bytes(range(16)), span_id=bytes(range(8)))
    export = {"traces": traces(span(name)), "logs": logs(log), "metrics": metrics(metric)}[signal]
    table, column = {
        "traces": ("requests", "name"),
        "logs": ("traces", "message"),
        "metrics": ("customMetrics", "name"),
    }[signal]
    body = export.SerializeToString() if encoding == "protobuf" else json.dumps(as_json(export)).encode()
    headers = {"content-type": PROTOBUF} if encoding == "protobuf" else JSON
    if compress:
        body, headers = gzip.compress(body), headers | {"content-encoding": "gzip"}
    answer = store.client.post(path_of(export), content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == headers["content-type"]
    assert answer.content == (b"" if encoding == "protobuf" else b"{}")
    assert store.rows(f"SELECT count(*) FROM {table} WHERE {column} = '{name}'") == [[1]]


def test_ids_of_json_are_what_they_are_in_the_table(store):
    document = as_json(traces(span("by name", trace_id=bytes(range(16)), span_id=b"\xab" * 8)))
    sent = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    sent["kind"], sent["spanId"], sent["invented"] = "SPAN_KIND_SERVER", "AB" * 8, {"of": "the future"}
    assert store.client.post("/v1/traces", json=document).status_code == 200
    found = store.rows("SELECT id, operation_Id FROM requests WHERE name = 'by name'")
    assert found == [["ab" * 8, bytes(range(16)).hex()]]


def test_partial_success_in_json(store):
    answer = store.client.post("/v1/traces", json=as_json(traces(span(trace_id=b"ab"))))
    assert answer.status_code == 200
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"\xff\xff\xff", {"content-type": PROTOBUF}, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b"null", JSON, 400),
        (b"\xff", JSON, 400),
        (b'{"resourceSpans": 3}', JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}', JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 3}]}]}]}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"no gzip", {"content-type": PROTOBUF, "content-encoding": "gzip"}, 400),
        (gzip.compress(b"abc", mtime=0)[:-9], {"content-type": PROTOBUF, "content-encoding": "gzip"}, 400),
        (b"", {"content-type": "text/plain"}, 415),
        (b"", {}, 415),
        (b"", {"content-type": PROTOBUF, "content-encoding": "br"}, 415),
        (b"\n" * 1_000_001, {"content-type": PROTOBUF}, 413),
        (gzip.compress(bytes(2_000_000), mtime=0), {"content-type": PROTOBUF, "content-encoding": "gzip"}, 413),
    ],
)
def test_refusals(store, body, headers, code):
    before = store.counts()["refused"]
    answer = store.client.post("/v1/traces", content=body, headers=headers)
    assert answer.status_code == code, answer.text
    reason = {400: "invalid", 413: "too large", 415: "unknown type"}[code]
    assert store.counts()["refused"][reason] == before.get(reason, 0) + 1
    if headers.get("content-type") == PROTOBUF:
        assert answer.content.startswith(b"\x12")  # google.rpc.Status.message
    else:
        assert b"message" in answer.content or headers != JSON


def test_an_endless_body_is_cut(store):
    def endless():
        while True:
            yield bytes(100_000)

    headers = {"content-type": PROTOBUF}
    try:
        assert store.client.post("/v1/traces", content=endless(), headers=headers).status_code == 413
    except httpx.TransportError:  # the answer came while the body was still sent
        assert store.counts()["refused"]["too large"]


def test_many_small_items_are_too_many(store):
    answer = store.send(logs(*[LogRecord()] * 100_001))
    assert answer.status_code == 413
    assert b"100,000 items" in answer.content


def test_only_post(store):
    assert store.client.get("/v1/traces").status_code == 405


def test_a_bomb_is_stopped_while_it_unfolds():
    bomb = gzip.compress(gzip.compress(bytes(300_000_000), 9), 9)
    assert len(bomb) < 10_000
    inner = decompress(bomb, "gzip", 1_000_000)
    with pytest.raises(BodyTooLarge):
        decompress(inner, "gzip", 1_000_000)


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(0, 9000))
def test_decompression_is_exact_up_to_the_limit(members, limit):
    body, whole = b"".join(map(gzip.compress, members)), b"".join(members)
    if len(whole) <= limit:
        assert decompress(body, "gzip", limit) == whole
    else:
        with pytest.raises(BodyTooLarge):
            decompress(body, "gzip", limit)


@given(st.binary(max_size=200))
def test_garbage_is_an_export_or_refused(body):
    for encoding in Encoding:
        with contextlib.suppress(InvalidExport):
            assert isinstance(parse(Signal.TRACES, body, encoding), ExportTraceServiceRequest)


def test_attributes_may_be_nested_only_so_deep(store):
    def nested(depth: int) -> bytes:
        value = any_value("x").SerializeToString()
        for _ in range(depth):
            for tag in (b"\x0a", b"\x2a"):  # ArrayValue.values, AnyValue.array_value
                length = bytes([len(value) & 127 | 128, len(value) >> 7])
                value = tag + length + value
        return (
            KeyValue(key="deep").SerializeToString()
            + b"\x12"
            + bytes([len(value) & 127 | 128, len(value) >> 7])
            + value
        )

    def with_attribute(pair: bytes) -> bytes:
        sent = span("deep").SerializeToString() + b"\x4a" + bytes([len(pair) & 127 | 128, len(pair) >> 7]) + pair
        for tag in (b"\x12", b"\x12", b"\x0a"):  # ScopeSpans.spans, ResourceSpans.scope_spans, resource_spans
            sent = tag + bytes([len(sent) & 127 | 128, len(sent) >> 7]) + sent
        return sent

    headers = {"content-type": PROTOBUF}
    assert store.client.post("/v1/traces", content=with_attribute(nested(30)), headers=headers).status_code == 200
    assert store.client.post("/v1/traces", content=with_attribute(nested(200)), headers=headers).status_code == 400
    assert store.rows("SELECT count(*) FROM requests WHERE name = 'deep'") == [[1]]
