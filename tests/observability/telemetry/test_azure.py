"""What Azure's ingestion endpoint is sent, by the exporters alone and by a real endpoint with two workers."""

import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from bundle import __version__
from observability.telemetry import LogTap, counter, gauge
from observability.telemetry.azure import azure_exports
from serving.spans import Spans
from tests.conftest import ROOT, free_port, serve, wait_until
from tests.serving.test_spans import PARENT, TRACE, offer
from tests.sink import Sink, attributes

KEY = "5ec2e700-1234-4abc-8def-0123456789ab"
TRACK = "POST /v2.1/track"
MODEL = {"ml.model.name": "shop", "ml.model.version": "1"}
RESOURCE = Resource({"service.namespace": "homeport", "service.name": "serving", "service.instance.id": "one"})


@pytest.fixture
def sink():
    """Takes OTLP."""
    return Sink(free_port())


@pytest.fixture
def azure():
    """Takes what Azure takes."""
    return Sink(free_port())


def connection(azure):
    return f"InstrumentationKey={KEY};IngestionEndpoint={azure.url}/;LiveEndpoint=http://127.0.0.1:9/"


# The exporters alone


@pytest.fixture
def exports(azure, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return azure_exports(connection(azure))


def lines(*texts):
    kept = []
    tap = LogTap(RESOURCE, kept.append)
    for text in texts:
        tap.emit(logging.LogRecord("homeport", logging.INFO, "", 0, text, (), None))
    return kept


def messages(envelopes):
    return [envelope["data"]["baseData"]["message"] for envelope in envelopes]


def metrics(*found):
    scope = ScopeMetrics(InstrumentationScope("homeport"), list(found), "")
    return MetricsData([ResourceMetrics(RESOURCE, [scope], "")])


def requests(*values):
    return counter("requests", "1", "", [({"place": place}, value) for place, value in enumerate(values)], 1, 2)


def added(envelopes):
    """The values of a counter that were taken, by its attribute."""
    found = Counter()
    for envelope in envelopes:
        base = envelope["data"]["baseData"]
        found[base["properties"].get("place")] += base["metrics"][0]["value"]
    return found


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 504])
def test_what_may_be_taken_later_is_left(exports, azure, status):
    batch = lines("a line", "another")
    with azure:
        azure.status, azure.headers = status, {"Retry-After": "3600"}
        assert exports.lines(batch) == (batch, (), f"status {status}")
        assert azure.paths == {TRACK: 1}, "nobody tries again at once, nor waits"
        assert exports.metrics(metrics(requests(3))).why
        azure.status = 200
        assert exports.lines(batch) == ((), (), "")
        assert not exports.metrics(metrics(requests(5))).why
    assert messages(azure.envelopes[:2]) == ["a line", "another"]
    assert added(azure.envelopes[2:]) == {"0": 5}


@pytest.mark.parametrize("status", [400, 402, 404, 413, 439])
def test_what_never_will_be_taken_is_refused_but_for_sums_of_which_the_next_ones_are_made(exports, azure, status):
    batch = lines("a line")
    state = gauge("drift", "1", "", [({}, 0.5)], 2)
    with azure:
        azure.status = status
        assert exports.lines(batch) == ((), batch, f"status {status}")
        assert exports.metrics(metrics(state)).refused == [state]
        assert exports.metrics(metrics(requests(3))).why
        azure.status = 200
        assert not exports.metrics(metrics(requests(5))).why
    assert added(azure.envelopes) == {"0": 5}


def test_of_a_part_that_was_taken_only_the_rest_is_sent_again(exports, azure):
    statuses = {"busy": 503, "many": 429, "wrong": 400}
    batch = lines("fine", "busy", "wrong", "many", "fine too")
    with azure:
        azure.status, azure.partly = 206, lambda envelope: statuses.get(envelope["data"]["baseData"]["message"], 200)
        assert exports.lines(batch) == ([batch[1], batch[3]], [batch[2]], "status 206")
    assert messages(azure.envelopes) == ["fine", "fine too"]


def test_of_metrics_that_were_taken_in_part_the_rest_is_in_the_next_ones(exports, azure):
    states = [gauge("drift", "1", "", [({"place": name}, 0.5)], 2) for name in ("a", "b")]
    with azure:
        azure.status = 206
        azure.partly = lambda envelope: 503 if envelope["data"]["baseData"]["properties"]["place"] in "1b" else 200
        sent = exports.metrics(metrics(requests(3, 4, 5)))
        assert [metric.name for metric in sent.again] == ["requests"]
        assert exports.metrics(metrics(*states)) == ([states[1]], [], "status 206")
        azure.status = 200
        assert not exports.metrics(metrics(requests(3, 6, 7))).why
    assert added(azure.envelopes) == {"0": 3, "1": 6, "2": 7, "a": 0.5}


@pytest.mark.parametrize("status", [200, 400, 401, 404, 413, 422, 429, 500, 503, 504])
def test_every_status_of_400_and_more_is_a_failure(exports, azure, status):
    spans = Spans(1.0, slow=0.5)
    offer(spans, status, parent=f"00-{TRACE}-{PARENT}-01")
    with azure:
        assert exports.spans(spans.take(RESOURCE)) == ((), (), "")
    (envelope,) = azure.envelopes
    assert envelope["data"]["baseData"]["responseCode"] == str(status)
    assert envelope["data"]["baseData"]["success"] is (status < 400)


def test_what_azure_samples_out_by_a_setting_is_not_refused(exports, azure):
    with azure:
        azure.status, azure.partly, azure.message = 206, lambda _: 400, "Telemetry sampled out."
        assert exports.lines(lines("a line")) == ([], [], "")


def test_more_is_sent_at_once_than_the_exporter_would_take(exports, azure):
    with azure:
        assert exports.lines(lines(*["a line"] * 10_500)) == ((), (), "")
    assert len(azure.envelopes) == 10_500


def test_a_redirect_is_followed_on_the_same_host(exports, azure, sink):
    with azure, sink:
        azure.status, azure.headers = 308, {"Location": f"{sink.url}/v2.1/track"}
        assert exports.lines(lines("a line")) == ((), (), "")
        assert exports.lines(lines("another")) == ((), (), "")
    assert azure.paths == {TRACK: 1}, "and remembered"
    assert messages(sink.envelopes) == ["a line", "another"]


def test_a_redirect_is_not_followed_elsewhere_nor_for_ever(exports, azure, sink):
    batch = lines("a line")
    with azure, sink:
        azure.status, azure.headers = 307, {"Location": f"{sink.url.replace('127.0.0.1', 'localhost')}/v2.1/track"}
        assert exports.lines(batch) == ((), batch, "status 307")
        assert not sink.paths
        azure.headers = {"Location": f"{azure.url}/v2.1/track"}
        assert exports.lines(batch) == ((), batch, "status 307")
        assert azure.paths[TRACK] <= 4
        azure.status = 200
        assert exports.lines(batch) == ((), (), "")


@pytest.mark.e2e
def test_who_does_not_answer_is_given_up_and_tried_again_later(exports, azure):
    batch = lines("a line")
    assert exports.lines(batch) == (batch, (), "no answer"), "nobody listens"
    with azure:
        azure.answers.clear()
        assert exports.lines(batch) == (batch, (), "no answer"), "who listens does not answer"
        assert azure.unanswered == 1
        azure.answers.set()
        assert exports.lines(batch) == ((), (), "")
    assert messages(azure.envelopes) == ["a line"]


def test_the_package_starts_no_thread_and_writes_no_file(azure, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ | {"TMPDIR": str(tmp_path)})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(threading.enumerate())
    exports = azure_exports(connection(azure))
    exports.lines(lines("a line"))
    assert set(threading.enumerate()) == before
    assert not list(tmp_path.iterdir())


# A real endpoint

AUDIT = """
import os, sys
out = open(os.environ["TEST_AUDIT"], "a", buffering=1)
def heard(event, arguments):
    if event == "socket.connect":
        out.write(f"{arguments[1]}\\n")
    elif event == "socket.getaddrinfo":
        out.write(f"{arguments[0]!r}\\n")
sys.addaudithook(heard)
"""


@contextmanager
def telling(folder, models, sink, azure, monkeypatch, share="1", **settings):
    """An endpoint with two workers that tells both, quickly."""
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", connection(azure))
    for name, value in {"ENDPOINT": sink.url, "INTERVAL_SECONDS": "0.2", "SAMPLE_SHARE": share}.items():
        monkeypatch.setenv(f"HOMEPORT_TELEMETRY_{name}", value)
    with serve(folder, models, WORKERS="2", **settings) as running:
        yield running


def post(running, row, count, **headers):
    for _ in range(count):  # new connections, which the kernel spreads
        answer = running.client.post("/score", json={"data": [row]}, headers={"Connection": "close", **headers})
        answer.raise_for_status()


def end(running):
    running.process.terminate()
    assert running.process.wait(10) == 0


def of_kind(azure, kind):
    """Tags, data and all of the envelopes of one kind."""
    found = [envelope for envelope in azure.envelopes if envelope["name"] == f"Microsoft.ApplicationInsights.{kind}"]
    return [(envelope["tags"], envelope["data"]["baseData"], envelope) for envelope in found]


def summed(azure, name):
    """The values of a metric that Azure has, by the properties that were sent with them."""
    found = Counter()
    for _, base, _ in of_kind(azure, "Metric"):
        (point,) = base["metrics"]
        if point["name"] == name:
            found[frozenset(base["properties"].items())] += point["value"]
    return found


def answered(azure):
    """The requests that Azure's standard metric counts, by status."""
    counts = Counter()
    for _, base, _ in of_kind(azure, "Metric"):
        (point,) = base["metrics"]
        if point["name"] == "http.server.request.duration":
            counts[base["properties"]["request/resultCode"]] += point["count"]
    return counts


def newest(sink, name):
    """The newest sums of a metric that went over OTLP, over all workers."""
    points = {}
    for resource, metric in sink.metrics:
        if metric.name == name:
            for point in metric.sum.data_points:
                points[resource["service.instance.id"], frozenset(attributes(point).items())] = point.as_int
    found = Counter()
    for (_, labels), value in points.items():
        found[labels] += value
    return found


class Told(NamedTuple):
    """What came of one life of an endpoint."""

    sink: Sink
    azure: Sink
    log: str
    asked: set[str]  # hosts that were looked up, addresses that were connected to
    commands: str
    request: str  # the id of one that was refused

    @property
    def instances(self):
        return {resource["service.instance.id"] for resource, _ in self.sink.metrics}

    @property
    def spans(self):
        """Those that went over OTLP, by their id."""
        return {span.span_id.hex(): span for _, span in self.sink.spans}


@pytest.fixture(scope="module")
def told(tmp_path_factory, shop_store, complete_row):
    """41 answered requests, 5 without a key, 5 without a row, and an exception in the log."""
    folder = tmp_path_factory.mktemp("told")
    models = Path(shutil.copytree(shop_store.root, folder / "models"))
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(AUDIT)
    sink, azure = Sink(free_port()), Sink(free_port())
    with pytest.MonkeyPatch.context() as patch, sink, azure:
        patch.setenv("PYTHONPATH", f"{folder / 'hook'}{os.pathsep}{ROOT}")
        patch.setenv("TEST_AUDIT", str(folder / "audit"))
        with telling(folder, models, sink, azure, patch, share="0.5") as running:
            post(running, complete_row, 40)
            post(running, complete_row, 1, traceparent=f"00-{TRACE}-{PARENT}-01")
            for _ in range(5):
                running.anonymous.post("/score", json={"data": [complete_row]}, headers={"Connection": "close"})
                refused = running.client.post("/score", json={"data": [{}]}, headers={"Connection": "close"})
            (models / "shop" / "challenger").mkdir()  # which nobody expects
            wait_until(lambda: "the look for a new champion failed" in running.log.read_text())
            processes = [psutil.Process(running.process.pid), *psutil.Process(running.process.pid).children()]
            commands = str([process.cmdline() for process in processes])
            end(running)
    asked = set((folder / "audit").read_text().splitlines())
    return Told(sink, azure, running.log.read_text(), asked, commands, refused.headers["x-request-id"])


def test_nothing_is_asked_but_what_was_named(told):
    assert told.azure.paths.keys() == {TRACK}
    assert told.sink.paths.keys() == {"POST /v1/traces", "POST /v1/metrics", "POST /v1/logs"}
    places = {f"('127.0.0.1', {sink.url.rsplit(':', 1)[1]})" for sink in (told.sink, told.azure)}
    assert told.asked - {"'127.0.0.1'"} == places


def test_the_key_is_told_to_nobody_else(told):
    assert KEY not in told.log
    assert KEY not in told.commands
    assert KEY not in "".join(str(item) for _, item in (*told.sink.spans, *told.sink.metrics, *told.sink.logs))


def test_every_envelope_says_whose_it_is(told):
    assert len(told.instances) == 2
    kinds = Counter(
        envelope["name"].removeprefix("Microsoft.ApplicationInsights.") for envelope in told.azure.envelopes
    )
    assert kinds.keys() == {"Request", "Message", "Event", "Exception", "Metric"}
    for envelope in told.azure.envelopes:
        assert envelope["iKey"] == KEY
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", envelope["time"])
        assert envelope["data"]["baseData"]["ver"] == 2
        assert envelope["tags"]["ai.cloud.role"] == "homeport.serving"
        assert envelope["tags"]["ai.application.ver"] == __version__
    assert {envelope["tags"]["ai.cloud.roleInstance"] for envelope in told.azure.envelopes} == told.instances


def test_requests_are_the_spans_that_went_over_otlp(told):
    statuses = Counter()
    for tags, base, envelope in of_kind(told.azure, "Request"):
        span, status = told.spans[base["id"]], base["responseCode"]
        statuses[status] += 1
        assert envelope["data"]["baseType"] == "RequestData"
        assert tags["ai.operation.id"] == span.trace_id.hex()
        assert tags["ai.operation.name"] == base["name"] == "POST /score"
        assert base["url"] == "/score"
        assert base["success"] is (status == "200")
        assert re.fullmatch(r"0\.00:00:0\d\.\d{3}", base["duration"])
        took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        assert float(base["duration"].rsplit(":", 1)[1]) == pytest.approx(took, abs=0.0006)
        assert base["measurements"] == {}
        assert base["properties"] == {
            "_MS.ProcessedByMetricExtractors": "True",  # the metric counts it
            "homeport.dialect": "azure",
            "homeport.key": "none" if status == "401" else "primary",
            "ml.model.name": "shop",
            "ml.model.version": "1",
            "ml.rows": "1" if status == "200" else "0",
            "homeport.request": attributes(span)["homeport.request"],
        }
        if tags["ai.operation.id"] != TRACE:
            assert base["properties"]["homeport.request"] == tags["ai.operation.id"]
        ordinary = status == "200" and tags["ai.operation.id"] != TRACE
        assert envelope["sampleRate"] == (50.0 if ordinary else 100.0)
        assert tags.get("ai.operation.parentId") == (PARENT if tags["ai.operation.id"] == TRACE else None)
    assert statuses.total() == len(told.spans)
    assert statuses["401"] == statuses["400"] == 5
    assert 1 < statuses["200"] <= 41
    assert TRACE in {tags["ai.operation.id"] for tags, _, _ in of_kind(told.azure, "Request")}


def test_lines_belong_to_their_requests(told):
    for _, base, envelope in of_kind(told.azure, "Message"):
        assert envelope["data"]["baseType"] == "MessageData"
        assert base["properties"].keys() == {"logger"}
        assert "sampleRate" not in envelope
    ((tags, base),) = [
        (tags, base) for tags, base, _ in of_kind(told.azure, "Message") if tags["ai.operation.id"] == told.request
    ]
    assert base["message"].startswith("400 azure key=primary")
    assert base["severityLevel"] == 2
    assert base["properties"] == {"logger": "homeport.serving.requests"}
    assert told.spans[tags["ai.operation.parentId"]].trace_id.hex() == told.request


def test_each_worker_tells_of_its_model_by_an_event(told):
    events = of_kind(told.azure, "Event")
    assert {tags["ai.cloud.roleInstance"] for tags, _, _ in events} == told.instances
    for _, base, envelope in events:
        assert envelope["data"]["baseType"] == "EventData"
        assert base["name"] == "model.loaded"
        assert base["properties"] == MODEL | {"logger": "homeport.serving.requests"}


def test_exceptions_say_where_and_not_what(told):
    for _, base, envelope in of_kind(told.azure, "Exception"):
        assert envelope["data"]["baseType"] == "ExceptionData"
        assert base["severityLevel"] == 3
        assert base["properties"] == {"logger": "homeport.serving"}
        (exception,) = base["exceptions"]
        assert exception["typeName"] == "IsADirectoryError"
        assert exception["message"] == "the look for a new champion failed"
        assert exception["hasFullStack"] is True
        assert "_follow_challenger" in exception["stack"]


def test_the_durations_of_requests_are_azures_standard_metric(told):
    assert answered(told.azure) == {"200": 41, "400": 5, "401": 5}
    for tags, base, _ in of_kind(told.azure, "Metric"):
        (point,) = base["metrics"]
        if point["name"] == "http.server.request.duration":
            status = base["properties"]["request/resultCode"]
            assert base["properties"] == {
                "_MS.MetricId": "requests/duration",
                "_MS.IsAutocollected": "True",
                "request/resultCode": status,
                "Request.Success": str(status == "200"),
                "cloud/roleName": "homeport.serving",
                "cloud/roleInstance": tags["ai.cloud.roleInstance"],
            }
            mean = point["value"] / point["count"]
            assert 0 < point["min"] <= mean * 1.000001
            assert mean <= point["max"] * 1.000001


def test_metrics_are_additions_that_sum_to_what_was_counted(told):
    assert summed(told.azure, "ml.prediction.rows") == {frozenset(MODEL.items()): 41}
    for name in ("ml.prediction.class.count", "ml.feature.missing", "ml.feature.rows", "homeport.telemetry.dropped"):
        sums = {labels: value for labels, value in newest(told.sink, name).items() if value}
        assert summed(told.azure, name) == {
            frozenset((key, str(value)) for key, value in labels): value for labels, value in sums.items()
        }, name
    for _, base, envelope in of_kind(told.azure, "Metric"):
        assert envelope["data"]["baseType"] == "MetricData"
        (point,) = base["metrics"]
        assert point["value"] > 0
        assert point["count"] > 0


def test_sums_and_spans_are_exact_whatever_befalls_azure(tmp_path, shop_store, complete_row, sink, azure, monkeypatch):
    def failed():
        return sum(
            value
            for labels, value in newest(sink, "homeport.telemetry.failed_exports").items()
            if ("destination", "azure") in labels
        )

    with sink, telling(tmp_path, shop_store.root, sink, azure, monkeypatch) as running:
        with azure:
            for azure.status in (500, 429):
                azure.refused.clear()
                post(running, complete_row, 10)
                wait_until(lambda: sum(envelope["name"].endswith("Metric") for envelope in azure.refused) > 1)
            azure.answers.clear()
            post(running, complete_row, 10)
            wait_until(lambda: azure.unanswered >= 2)
        azure.answers.set()
        before = failed()
        post(running, complete_row, 10)  # while nobody listens
        wait_until(lambda: failed() > before + 2)
        azure.status = 200
        with azure:
            post(running, complete_row, 10)
            wait_until(lambda: running.log.read_text().count("Azure Monitor takes telemetry again") == 2)
            end(running)
    assert answered(azure) == {"200": 50}
    rows = summed(azure, "ml.prediction.rows")
    assert sum(rows.values()) == 50
    ids = Counter(base["id"] for _, base, _ in of_kind(azure, "Request"))
    assert len(ids) == 50
    assert set(ids.values()) == {1}
    assert {span.span_id.hex() for _, span in sink.spans} == ids.keys(), "OTLP was not held up"
    assert sum(summed(azure, "homeport.telemetry.failed_exports").values()) >= failed() > 0
    assert "Azure Monitor takes no telemetry (status " in running.log.read_text()
    assert KEY not in running.log.read_text()


def test_what_azure_refuses_is_dropped_counted_and_told(tmp_path, shop_store, complete_row, sink, azure, monkeypatch):
    with sink, azure, telling(tmp_path, shop_store.root, sink, azure, monkeypatch) as running:
        azure.status = 400
        post(running, complete_row, 20)
        wait_until(lambda: "items of telemetry were dropped" in running.log.read_text())
        wait_until(lambda: sum(envelope["name"].endswith("Request") for envelope in azure.refused) == 20)
        azure.status = 200
        post(running, complete_row, 5)
        end(running)
    assert len(of_kind(azure, "Request")) == 5
    assert answered(azure) == {"200": 25}, "sums are made good"
    dropped = {dict(labels)["signal"]: value for labels, value in summed(azure, "homeport.telemetry.dropped").items()}
    assert dropped["traces"] == 20
    assert len(sink.spans) == 25
    assert "Azure Monitor takes no telemetry (status 400)" in running.log.read_text()


@pytest.mark.e2e
@pytest.mark.parametrize("hanging", ["azure", "sink"])
def test_one_that_never_answers_takes_nothing_from_the_other_at_the_end(
    tmp_path, shop_store, complete_row, sink, azure, monkeypatch, hanging
):
    with sink, azure, telling(tmp_path, shop_store.root, sink, azure, monkeypatch) as running:
        post(running, complete_row, 1)
        wait_until(lambda: of_kind(azure, "Request"))  # metrics were tried, and are due in a minute
        held = {"azure": azure, "sink": sink}[hanging]
        held.answers.clear()
        post(running, complete_row, 20)
        wait_until(lambda: held.unanswered)
        end(running)  # by itself: who does not end is killed after 14 s
        held.answers.set()
    if hanging == "azure":
        assert len({span.span_id for _, span in sink.spans}) == 21
    else:
        assert len({base["id"] for _, base, _ in of_kind(azure, "Request")}) == 21
        assert answered(azure) == {"200": 21}


def test_telemetry_that_is_switched_off_goes_to_nobody(tmp_path, shop_store, complete_row, sink, azure, monkeypatch):
    switch = tmp_path / "off"
    monkeypatch.setenv("HOMEPORT_TELEMETRY_SWITCH", str(switch))
    with sink, azure, telling(tmp_path, shop_store.root, sink, azure, monkeypatch) as running:
        post(running, complete_row, 1)
        wait_until(lambda: of_kind(azure, "Request"))  # metrics were tried, and are due in a minute
        post(running, complete_row, 20)
        switch.touch()
        wait_until(lambda: running.log.read_text().count("telemetry is switched off") == 2)
        wait_until(lambda: answered(azure) == {"200": 21})  # what was before is told at once
        post(running, complete_row, 20)
        switch.unlink()
        wait_until(lambda: running.log.read_text().count("telemetry is switched on") == 2)
        post(running, complete_row, 5)
        end(running)
    assert answered(azure) == {"200": 26}
    assert len(of_kind(azure, "Request")) == 26


# What cannot be


def start(**environment):
    done = subprocess.run(
        [sys.executable, "-m", "serving"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING" in done.stderr
    assert done.returncode == 2
    return done.stderr + done.stdout


@pytest.mark.parametrize(
    "string",
    [
        "a-private-string",
        "InstrumentationKey=a-private-key;IngestionEndpoint=http://a-private-host/",
        f"InstrumentationKey={KEY};IngestionEndpoint=a-private-host",
        f"InstrumentationKey={KEY};IngestionEndpoint=http://a-private-host:port/",
        f"InstrumentationKey={KEY};IngestionEndpoint=http://a-private-host/;",
    ],
)
def test_a_malformed_connection_string_ends_the_start_and_is_not_quoted(tmp_path, string):
    told = start(APPLICATIONINSIGHTS_CONNECTION_STRING=string, HOMEPORT_SERVING_KEYS=str(tmp_path / "keys.json"))
    assert "IngestionEndpoint=https://…" in told
    assert "private" not in told
    assert KEY not in told


def test_a_missing_package_is_named_with_the_remedy(tmp_path, azure):
    (tmp_path / "azure.py").write_text("")
    told = start(
        APPLICATIONINSIGHTS_CONNECTION_STRING=connection(azure),
        HOMEPORT_SERVING_KEYS=str(tmp_path / "keys.json"),
        PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}",
    )
    assert "pip install 'homeport[azure]'" in told
    assert KEY not in told


def test_nobody_pays_for_the_package_who_does_not_use_it():
    command = "import sys, serving.app; sys.exit(any(name.split('.')[0] in ('azure', 'msal') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=False).returncode == 0
