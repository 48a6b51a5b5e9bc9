"""Payload logging: off unless asked for, redacted, bounded, and found from the request."""

import json

import pytest
from opentelemetry.sdk.resources import Resource

from observability.telemetry import Settings
from serving.dialects import mount
from serving.exchange import Request
from serving.payloads import KEPT, MAX_TEXT, REDACTED
from serving.scorer import Scorer
from serving.settings import Settings as ServingSettings
from serving.telemetry import Telemetry
from tests.conftest import free_port, serve, wait_until
from tests.sink import Sink, attributes

IDENTIFIER = "0123456789abcdef0123456789abcdef"


class Taken:
    """A model behind its dialects, whose payloads are kept as settings say."""

    def __init__(self, bundle, **settings):
        self.telemetry = Telemetry(Settings(endpoint="http://127.0.0.1:1", **settings))
        scorer = Scorer(bundle)
        self.telemetry.follow(scorer, None)
        self._mounted = mount(scorer, ServingSettings())
        self.telemetry.choose(self._mounted.values())

    def post(self, rows, identifier=IDENTIFIER, **headers):
        sent = {b"content-type": b"application/json"} | {
            name.encode(): value.encode() for name, value in headers.items()
        }
        body = json.dumps({"data": rows}).encode()
        request = Request("POST", "/score", b"", sent, identifier.encode(), body)
        return json.loads(self._mounted["/score"].answer(request).body)["result"]

    def events(self):
        return [one.log_record for one in self.telemetry.lines(Resource({}))]


def test_nothing_is_kept_unless_it_is_asked_for(shop_bundle, complete_row):
    taken = Taken(shop_bundle)
    taken.post([complete_row])
    assert taken.events() == []


def test_rows_and_answers_are_kept_with_their_request(shop_bundle, shop_rows):
    taken = Taken(shop_bundle, payload_share=1)
    answers = taken.post(shop_rows[:3])
    trace, parent = "a" * 32, "b" * 16
    taken.post(shop_rows[:1], traceparent=f"00-{trace}-{parent}-01")
    first, second = taken.events()
    assert f"{first.trace_id:032x}" == IDENTIFIER
    assert f"{second.trace_id:032x}" == trace
    found = first.attributes
    assert found["microsoft.custom_event.name"] == "ml.payload"
    assert (found["ml.model.name"], found["ml.model.version"]) == ("shop", "1")
    assert (found["ml.rows"], found["ml.payload.rows"]) == (3, 3)
    assert json.loads(found["ml.payload.inputs"]) == shop_rows[:3]
    assert json.loads(found["ml.payload.answers"]) == answers
    for probabilities in json.loads(found["ml.payload.probabilities"]):
        assert sum(probabilities) == pytest.approx(1)
    assert taken.events() == [], "they are told once"


def test_redacted_columns_are_replaced(shop_bundle, complete_row):
    taken = Taken(shop_bundle, payload_share=1, payload_redact="colour, spend.total")
    taken.post([complete_row | {"colour": "a very private colour"}])
    (event,) = taken.events()
    assert "private" not in str(event)
    kept = {"colour": REDACTED, "spend.total": REDACTED}
    assert json.loads(event.attributes["ml.payload.inputs"]) == [complete_row | kept]


def test_a_misspelt_column_keeps_everything_in(shop_bundle, complete_row, caplog):
    taken = Taken(shop_bundle, payload_share=1, payload_redact="color")
    taken.post([complete_row])
    assert taken.events() == []
    assert "no payload of shop version 1 is kept: it has no column color to redact" in caplog.text


def test_what_is_kept_is_bounded(shop_bundle, complete_row):
    taken = Taken(shop_bundle, payload_share=1)
    taken.post([complete_row] * 1_000)
    taken.post([complete_row, complete_row | {"colour": "x" * MAX_TEXT}, complete_row])
    many, long = taken.events()
    for event in (many, long):
        assert all(len(value) <= MAX_TEXT for value in event.attributes.values() if isinstance(value, str))
        count = event.attributes["ml.payload.rows"]
        assert len(json.loads(event.attributes["ml.payload.inputs"])) == count
        assert len(json.loads(event.attributes["ml.payload.answers"])) == count
    assert (many.attributes["ml.rows"], long.attributes["ml.rows"]) == (1_000, 3)
    assert 20 < many.attributes["ml.payload.rows"] < 1_000
    assert long.attributes["ml.payload.rows"] == 1
    for _ in range(KEPT + 3):
        taken.post([complete_row])
    assert taken.telemetry.lost()["logs"] == 3
    assert len(taken.events()) == KEPT


def test_a_share_of_the_requests_is_kept(shop_bundle, complete_row):
    taken = Taken(shop_bundle, payload_share=0.3)
    for _ in range(600):
        taken.post([complete_row])
    assert 100 < len(taken.events()) < 260


def test_payloads_of_small_and_large_requests_leave_and_end_with_the_switch(
    tmp_path, shop_store, complete_row, monkeypatch
):
    switch = tmp_path / "telemetry.off"
    sink = Sink(free_port())
    told = {"ENDPOINT": sink.url, "INTERVAL_SECONDS": "0.2", "PAYLOAD_SHARE": "1", "SWITCH": str(switch)}
    for name, value in told.items():
        monkeypatch.setenv(f"HOMEPORT_TELEMETRY_{name}", value)

    def payloads():
        found = [attributes(record) | {"trace": record.trace_id.hex()} for _, record in sink.logs]
        return [one for one in found if one.get("microsoft.custom_event.name") == "ml.payload"]

    with sink, serve(tmp_path, shop_store.root, INLINE_BYTES="2000") as running:
        identifiers = [
            running.client.post("/score", json={"data": [complete_row] * count}).headers["x-request-id"]
            for count in (1, 500)  # in the event loop, and in a thread
        ]
        running.client.post("/explain", json={"data": [complete_row]}).raise_for_status()
        wait_until(lambda: len(payloads()) == 2)
        assert [(one["trace"], one["ml.rows"]) for one in payloads()] == list(zip(identifiers, (1, 500), strict=True))
        switch.touch()
        wait_until(lambda: "telemetry is switched off" in running.log.read_text())
        running.client.post("/score", json={"data": [complete_row]}).raise_for_status()
        running.process.terminate()
        running.process.wait(20)
        assert len(payloads()) == 2
        assert "payload" not in running.log.read_text().lower(), "a log is no place for values"
