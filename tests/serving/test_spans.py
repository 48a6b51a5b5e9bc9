"""Which requests are kept as spans."""

import pytest
from opentelemetry.sdk.resources import Resource

from observability.telemetry import Settings as TelemetrySettings
from serving.azure import Azure
from serving.errors import NotReady
from serving.exchange import Answer, Mounted, Request
from serving.gate import Gate
from serving.keys import KeyRing, read_keys
from serving.live import Live
from serving.settings import Settings
from serving.spans import KEPT, Spans
from serving.telemetry import Telemetry

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
IDENTIFIER = b"0123456789abcdef0123456789abcdef"


def offer(spans, status=200, seconds=0.001, parent=None, identifier=IDENTIFIER):
    headers = {} if parent is None else {b"traceparent": parent.encode()}
    request = Request("POST", "/score", b"", headers, identifier)
    return spans.offer(Mounted(Azure, NotReady(""), 1), request, Answer(b"", status), "primary", seconds)


def take(spans):
    return spans.take(Resource({}))


@pytest.mark.parametrize(("share", "kept"), [(0.0, 0), (1.0, 1000), (0.3, 300)])
def test_a_share_of_ordinary_requests_is_kept(share, kept):
    spans = Spans(share, slow=0.5)
    for _ in range(1000):
        offer(spans)
    found = take(spans)
    assert len(found) == pytest.approx(kept, abs=0 if share in (0, 1) else 100)
    assert all(span.attributes["_MS.sampleRate"] == 100 * share for span in found)
    assert not take(spans)


@pytest.mark.parametrize("status", [400, 401, 413, 429, 500, 503, 504])
def test_failed_requests_are_kept_whatever_the_share_and_the_caller_say(status):
    spans = Spans(0.0, slow=0.5)
    assert offer(spans, status, parent=f"00-{TRACE}-{PARENT}-00")
    (span,) = take(spans)
    assert span.attributes["_MS.sampleRate"] == 100
    assert ("error.type" in span.attributes) == (status >= 500) == (not span.status.is_ok and not span.status.is_unset)


def test_slow_requests_are_kept():
    spans = Spans(0.0, slow=0.5)
    assert offer(spans, seconds=0.4999) is None
    assert offer(spans, seconds=0.5)


@pytest.mark.parametrize(("share", "flags", "kept"), [(1.0, "00", 0), (0.0, "01", 1), (0.0, "03", 1)])
def test_the_callers_decision_is_followed(share, flags, kept):
    spans = Spans(share, slow=0.5)
    offer(spans, parent=f"00-{TRACE}-{PARENT}-{flags}")
    found = take(spans)
    assert len(found) == kept
    for span in found:
        assert f"{span.context.trace_id:032x}" == TRACE
        assert f"{span.parent.span_id:016x}" == PARENT
        assert span.attributes["_MS.sampleRate"] == 100


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        "-" * 60,
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{'g' * 32}-{PARENT}-01",
        "ü" * 99,
    ],
)
def test_a_malformed_parent_is_no_parent(parent):
    spans = Spans(1.0, slow=0.5)
    offer(spans, 400, parent=parent)
    (span,) = take(spans)
    assert span.parent is None
    assert f"{span.context.trace_id:032x}".encode() == IDENTIFIER


def test_a_malformed_parent_does_not_decide():
    spans = Spans(1.0, slow=0.5)
    offer(spans, parent="00-nonsense-00")
    assert len(take(spans)) == 1


@pytest.mark.parametrize("identifier", [b"mine", b"0" * 32, b"z" * 32])
def test_a_request_id_that_is_no_trace_id_gets_another(identifier):
    spans = Spans(1.0, slow=0.5)
    offer(spans, identifier=identifier)
    (span,) = take(spans)
    assert span.context.is_valid


def test_what_is_kept_is_bounded_and_the_rest_counted():
    spans = Spans(1.0, slow=0.5)
    for _ in range(KEPT + 3):
        offer(spans)
    assert spans.lost == 3
    assert len(take(spans)) == KEPT


@pytest.mark.parametrize("identifier", [IDENTIFIER, b"mine"])
@pytest.mark.parametrize("parent", [None, f"00-{TRACE}-{PARENT}-00"])
def test_what_failed_within_the_service_is_part_of_the_requests_trace(tmp_path, shop_store, caplog, identifier, parent):
    settings = Settings(models=shop_store.root, keys=tmp_path / "keys.json", shadow=tmp_path)
    keys = KeyRing(settings.keys)
    telemetry = Telemetry(TelemetrySettings(endpoint="http://127.0.0.1:1"))
    gate = Gate(Live(settings, keys), keys, telemetry, settings)
    mounted = gate.live.mounted["/score"]

    def broken(_):
        raise RuntimeError("no model can be that wrong")

    mounted.answer = broken
    headers = {b"authorization": b"Bearer " + read_keys(settings.keys).primary.encode()}
    headers |= {b"traceparent": parent.encode()} if parent else {}
    assert gate.respond(mounted, Request("POST", "/score", b"", headers, identifier)).status == 500
    (span,) = telemetry.spans(Resource({}))
    (failure,) = [record for record in caplog.records if record.exc_info]
    assert failure.span.trace_id == span.context.trace_id
