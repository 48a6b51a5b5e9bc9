import logging

import pytest

from serving.errors import NotReady
from serving.exchange import Answer, Dialect, Mounted, Request
from serving.telemetry import FAILURES_A_SECOND, Telemetry
from tests.conftest import serve


class Anything(Dialect):
    """What telemetry asks of a dialect is its name."""

    def __init__(self, _):
        pass

    def answer(self, request):
        raise NotImplementedError


def record(telemetry, dialect, status, key, version, rows, seconds, identifier):
    mounted = Mounted(type("", (Anything,), {"name": dialect}), NotReady(""), 1)
    mounted.version = version
    request = Request("POST", "/score", b"", {}, identifier)
    telemetry.record(mounted, request, Answer(b"", status, rows=rows), key, seconds)


@pytest.fixture
def telemetry(caplog):
    caplog.set_level(logging.INFO)
    return Telemetry()


def test_a_summary_counts_by_dialect_status_and_key_and_begins_anew(telemetry, caplog):
    for _ in range(99):
        record(telemetry, "azure", 200, "primary", "3", 2, 0.00009, b"id")
    record(telemetry, "oip", 200, "secondary", "4", 5, 0.3, b"id")
    telemetry.summarise()
    (line,) = caplog.messages
    assert "100 requests in" in line
    assert "99 azure 200 by primary, 1 oip 200 by secondary" in line
    assert "198 by version 3, 5 by version 4" in line
    assert "50 % within 0.1 ms, 99 % within 0.1 ms" in line
    caplog.clear()
    telemetry.summarise()
    assert not caplog.messages


def test_failures_are_logged_and_a_flood_of_them_is_counted(caplog):
    now = 100.0
    telemetry = Telemetry(clock=lambda: now)
    for _ in range(FAILURES_A_SECOND + 7):
        record(telemetry, "azure", 401, None, "1", 0, 0.001, b"r-1")
    assert caplog.messages == ["401 azure key=none 1.0 ms request=r-1"] * FAILURES_A_SECOND
    now = 102.0
    record(telemetry, "azure", 400, "primary", "1", 0, 0.001, b"r-2")
    assert caplog.messages[-2:] == ["7 more failed requests", "400 azure key=primary 1.0 ms request=r-2"]


def test_the_server_names_keys_and_never_shows_them(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root) as running:
        running.client.post("/score", json={"data": [complete_row]})
        running.client.post("/score", json={"data": [{}]}, headers={"x-request-id": "mine"})
        running.anonymous.post("/score", json={"data": []}, headers={"Authorization": "Bearer not-the-key"})
        running.process.terminate()
        running.process.wait(20)
        log = running.log.read_text()
        assert "400 azure key=primary" in log
        assert "request=mine" in log
        assert "401 azure key=none" in log
        assert "1 azure 200 by primary, 1 azure 400 by primary, 1 azure 401 by no key" in log
        assert running.client.headers["Authorization"].removeprefix("Bearer ") not in log
        assert "not-the-key" not in log
