"""What a real endpoint tells a real receiver."""

import re
import socket
import threading
from collections import Counter
from contextlib import contextmanager

import pytest

from tests.conftest import free_port, serve, wait_until
from tests.sink import Sink, attributes


@pytest.fixture
def sink():
    return Sink(free_port())


@contextmanager
def telling(folder, models, sink, monkeypatch, share="0.05", **settings):
    """An endpoint that tells the sink, quickly."""
    for name, value in {"ENDPOINT": sink.url, "INTERVAL_SECONDS": "0.2", "SAMPLE_SHARE": share}.items():
        monkeypatch.setenv(f"HOMEPORT_TELEMETRY_{name}", value)
    with serve(folder, models, **settings) as running:
        yield running


def post(running, row, count=1, **headers):
    for _ in range(count):
        running.client.post("/score", json={"data": [row]}, headers=headers).raise_for_status()


def end(running):
    running.process.terminate()
    running.process.wait(20)


def answered(sink):
    """How many requests the newest sums of all processes count, by status."""
    newest = {}
    for resource, metric in sink.metrics:
        if metric.name == "http.server.request.duration":
            newest[resource["service.instance.id"]] = metric.histogram.data_points
    counts = Counter()
    for points in newest.values():
        for point in points:
            counts[attributes(point)["http.response.status_code"]] += point.count
    return counts


def test_all_signals_leave_and_every_failure_is_kept(tmp_path, shop_store, complete_row, sink, monkeypatch):
    with sink, telling(tmp_path, shop_store.root, sink, monkeypatch, share="0") as running:
        post(running, complete_row, 50)
        for _ in range(20):
            assert running.anonymous.post("/score", json={"data": [complete_row]}).status_code == 401
            assert running.client.post("/score", json={"data": [{}]}).status_code == 400
        end(running)
    assert answered(sink) == {200: 50, 400: 20, 401: 20}
    statuses = Counter(attributes(span)["http.response.status_code"] for _, span in sink.spans)
    assert statuses == {400: 20, 401: 20}
    resource, span = sink.spans[0]
    assert resource["service.namespace"] == "homeport"
    assert resource["service.name"] == "serving"
    assert span.name == "POST /score"
    assert span.kind == span.SPAN_KIND_SERVER
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 5e9
    found = attributes(span)
    assert (found["http.request.method"], found["http.route"], found["url.scheme"]) == ("POST", "/score", "http")
    assert found["ml.model.name"] == "shop"
    rows = [metric for _, metric in sink.metrics if metric.name == "ml.prediction.rows"][-1].sum.data_points
    assert sum(point.as_int for point in rows) == 50
    bodies = [record.body.string_value for _, record in sink.logs]
    assert any("serving shop version" in body or "401 azure" in body for body in bodies)
    assert any("requests in" in body for body in bodies), "the last summary"


def test_a_line_on_a_failure_belongs_to_its_span(tmp_path, shop_store, sink, monkeypatch):
    with sink, telling(tmp_path, shop_store.root, sink, monkeypatch) as running:
        answer = running.client.post("/score", json={"data": [{}]})
        end(running)
    ((_, span),) = sink.spans
    (record,) = [record for _, record in sink.logs if record.body.string_value.startswith("400 azure")]
    assert record.severity_text == "WARNING"
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert span.trace_id.hex() == answer.headers["x-request-id"], "what the client was told finds the trace"


def test_neither_keys_nor_values_leave(tmp_path, shop_store, complete_row, sink, monkeypatch):
    with sink, telling(tmp_path, shop_store.root, sink, monkeypatch, share="1") as running:
        post(running, complete_row | {"colour": "a very private colour"})
        running.client.post("/score", json={"data": [complete_row | {"age": "a very private age"}]})
        running.anonymous.post("/score", headers={"Authorization": "Bearer a-wrong-key"}, json={"data": []})
        end(running)
        key = running.client.headers["Authorization"].removeprefix("Bearer ")
    told = "".join(str(item) for _, item in (*sink.spans, *sink.metrics, *sink.logs))
    assert "primary" in told
    for secret in (key, "a-wrong-key", "private"):
        assert secret not in told


def test_two_workers_are_two_instances_with_right_sums(tmp_path, shop_store, complete_row, sink, monkeypatch):
    with sink, telling(tmp_path, shop_store.root, sink, monkeypatch, WORKERS="2") as running:
        for _ in range(100):  # new connections, which the kernel spreads
            running.client.post("/score", json={"data": [complete_row]}, headers={"Connection": "close"})
        end(running)
    assert answered(sink) == {200: 100}
    assert len({resource["service.instance.id"] for resource, _ in sink.metrics}) == 2


def test_nothing_is_lost_while_the_receiver_is_away_for_a_moment(tmp_path, shop_store, complete_row, sink, monkeypatch):
    with telling(tmp_path, shop_store.root, sink, monkeypatch, share="1") as running:
        with sink:
            post(running, complete_row, 10)
            wait_until(lambda: len(sink.spans) == 10)
        post(running, complete_row, 10)
        wait_until(lambda: "takes no telemetry" in running.log.read_text())
        with sink:
            post(running, complete_row, 10)
            wait_until(lambda: len(sink.spans) == 30)
            wait_until(lambda: answered(sink) == {200: 30})
            wait_until(lambda: "takes telemetry again" in running.log.read_text())
            end(running)
    failed = [metric for _, metric in sink.metrics if metric.name == "homeport.telemetry.failed_exports"][-1]
    assert failed.sum.data_points[0].as_int > 0


@pytest.mark.parametrize(("status", "again"), [(400, False), (503, True)])
def test_what_is_refused_is_sent_again_if_it_may_help(
    tmp_path, shop_store, complete_row, sink, monkeypatch, status, again
):
    with sink, telling(tmp_path, shop_store.root, sink, monkeypatch, share="1") as running:
        sink.status = status
        post(running, complete_row, 5)
        wait_until(lambda: len(sink.spans) >= 5)
        sink.status = 200
        post(running, complete_row, 1)
        end(running)
    unique = {span.span_id for _, span in sink.spans}
    assert len(unique) == 6
    assert (len(sink.spans) > 6) == again


@contextmanager
def black_hole():
    """Takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def accept():
            try:
                while True:
                    kept.append(server.accept()[0])
            except OSError:
                pass

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@pytest.mark.e2e
def test_a_receiver_that_never_answers_is_not_noticed_by_clients(tmp_path, shop_store, complete_row, monkeypatch):
    with black_hole() as port, telling(tmp_path, shop_store.root, Sink(port), monkeypatch, share="1") as running:
        post(running, complete_row, 50)
        wait_until(lambda: "takes no telemetry" in running.log.read_text())
        post(running, complete_row, 50)
        end(running)
        assert running.process.returncode == 0
        assert "100 azure 200 by primary" in running.log.read_text()


def test_a_wrong_setting_is_named(tmp_path, shop_store, monkeypatch):
    monkeypatch.setenv("HOMEPORT_TELEMETRY_SAMPLE_SHARE", "5")
    wrong = re.escape("HOMEPORT_TELEMETRY_SAMPLE_SHARE: Input should be less")
    with pytest.raises(AssertionError, match=wrong), serve(tmp_path, shop_store.root):
        pass
