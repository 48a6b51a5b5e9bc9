"""Rules are read strictly; each change is an event, told once, whatever is restarted in between."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from observability.insights.errors import RulesInvalid
from observability.insights.rules import read_rules
from tests.conftest import free_port, wait_until
from tests.observability.insights.conftest import insights, span, traces

RULES = """
[[rules]]
name = "Too many failures"
signal = "failed_share"
above = 50
minutes = 5
at_least = 4
severity = 1
"""


@contextmanager
def server(handle, port=None):
    """Calls `handle(path, headers, body)` for each request; what it returns is the status."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(handle(self.path, self.headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", port or free_port()), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_port}"
        finally:
            made.shutdown()
            thread.join()


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "alerts.toml"
    path.write_text(RULES)
    return path


def send(running, failed, count):
    for _ in range(count):
        attributes = {"http.response.status_code": 500 if failed else 200}
        running.take(traces(span(start=time.time_ns(), attributes=attributes)))


def state(running):
    (found,) = running.client.get("/api/alerts").json()
    return found["state"], found["value"]


def events(running):
    rows = running.rows("SELECT name, customDimensions ->> '$.rule' FROM customEvents ORDER BY timestamp")
    return [name for name, rule in rows if rule == "Too many failures"]


@pytest.mark.e2e
def test_an_alert_fires_once_is_over_once_and_is_posted(tmp_path, rules):
    posted, refused = [], iter([503, 500])

    def take(path, headers, body):
        posted.append(json.loads(body))
        return next(refused, 200)  # it is tried again

    with server(take) as webhook:
        settings = {"ALERTS": rules, "ALERTS_SECONDS": "0.1", "WEBHOOK": f"{webhook}/hook?code=a-secret"}
        with insights(tmp_path, **settings) as running:
            send(running, failed=True, count=3)
            assert state(running)[0] == "no data", "too few"
            send(running, failed=True, count=3)
            wait_until(lambda: state(running) == ("firing", 100))
            wait_until(lambda: len(posted) == 3)
        with insights(tmp_path, **settings) as running:
            assert state(running)[0] == "firing", "what was known before the restart"
            send(running, failed=False, count=8)
            wait_until(lambda: state(running)[0] == "ok")
            wait_until(lambda: len(posted) == 4)
            assert events(running) == ["alert.fired", "alert.resolved"]
            status = running.client.get("/api/status").text + running.client.get("/api/alerts").text
    essentials = [body["data"]["essentials"] for body in posted]
    assert [found["monitorCondition"] for found in essentials] == ["Fired"] * 3 + ["Resolved"]
    assert {
        (body["schemaId"], found["alertRule"], found["severity"])
        for body, found in zip(posted, essentials, strict=True)
    } == {("azureMonitorCommonAlertSchema", "Too many failures", "Sev1")}
    (condition,) = posted[0]["data"]["alertContext"]["condition"]["allOf"]
    assert (condition["metricName"], condition["operator"], condition["metricValue"]) == (
        "failed_share",
        "GreaterThan",
        100,
    )
    assert "a-secret" not in status + running.log.read_text()
    assert "leaked" not in running.log.read_text(), "all threads have ended"


def test_a_webhook_that_is_away_holds_nothing_up(tmp_path, rules):
    address = f"http://127.0.0.1:{free_port()}"
    with insights(tmp_path, ALERTS=rules, ALERTS_SECONDS="0.1", WEBHOOK=address) as running:
        send(running, failed=True, count=5)
        wait_until(lambda: state(running)[0] == "firing")
        send(running, failed=False, count=20)
        wait_until(lambda: state(running)[0] == "ok")


def test_availability_is_tested_and_alarms(tmp_path):
    seen, answer = [], iter([200, 200])

    def take(path, headers, body):
        seen.append(headers["traceparent"])
        return next(answer, 500)

    with server(take) as target:
        settings = {"AVAILABILITY": f"shop={target}/health", "AVAILABILITY_SECONDS": "0.05", "ALERTS_SECONDS": "0.1"}
        with insights(tmp_path, **settings) as running:

            def firing():
                found = running.client.get("/api/alerts").json()
                return [alert["rule"] for alert in found if alert["state"] == "firing"]

            wait_until(lambda: firing() == ["Availability"])
            rows = running.rows(
                "SELECT success, message, operation_Id, name FROM availabilityResults ORDER BY timestamp"
            )
            overview = running.client.get("/api/overview").json()
    assert [(success, message) for success, message, *_ in rows[:3]] == [
        (True, "200 OK"), (True, "200 OK"), (False, "500 Internal Server Error")
    ]  # fmt: skip
    assert {name for *_, name in rows} == {"shop"}
    assert seen[0].split("-")[1] == rows[0][2]
    assert all(parent.endswith("-00") for parent in seen), "it asks for no span"
    assert 0 < overview["availability"] < 100


def test_what_does_not_answer_is_not_available(tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    with insights(tmp_path, AVAILABILITY=f"nobody={nobody}", AVAILABILITY_SECONDS="0.1") as running:
        wait_until(lambda: running.rows("SELECT count(*) FROM availabilityResults") != [[0]])
        ((success, message),) = running.rows("SELECT success, message FROM availabilityResults LIMIT 1")
    assert not success
    assert "refused" in message


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules = 1", "holds no alert rules"),
        ("[[rules]]\nname = 'x'", "missing required field"),
        (RULES + "colour = 'red'", "unknown field `colour`"),
        (RULES.replace("failed_share", "mood"), "Invalid enum value 'mood'"),
        (RULES.replace("above = 50", ""), "either 'above' or 'below'"),
        (RULES.replace("above = 50", "above = 1\nbelow = 2"), "either 'above' or 'below'"),
        (RULES + RULES, "two rules are called 'Too many failures'"),
        (RULES.replace("severity = 1", "severity = 9"), "<= 4"),
        ("[[", "holds no alert rules"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path, text, complaint):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(RulesInvalid) as refused:
        read_rules(path)
    assert complaint in str(refused.value)
    assert str(path) in str(refused.value)


def test_the_default_rules_are_rules():
    assert {rule.signal for rule in read_rules(None)} == {"failed_share", "response_time_p95", "drift", "availability"}
