"""`homeport bench` against a server whose manners are known."""

import io
import itertools
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rich.console import Console

from homeport.bench import Measured, measure, scoring_request
from homeport.errors import EndpointError
from homeport.load_report import in_terminal
from homeport.traffic import drawn_bodies, drawn_rows
from tests.conftest import free_port
from tests.homeport.test_commands import homeport

COLUMNS = {
    "age": {"type": ["integer", "null"], "minimum": 18, "maximum": 20, "examples": [18]},
    "spend": {"type": ["number", "null"], "minimum": 0.5, "maximum": 1.5, "examples": [1.0]},
    "member": {"type": ["boolean", "null"], "examples": [True]},
    "colour": {"type": ["string", "null"], "enum": ["red", "green", None], "examples": ["red"]},
    "free": {"type": ["string", "null"], "examples": ["x"]},
}


class Handler(BaseHTTPRequestHandler):
    """Refuses each fifth request and closes the connection after each seventh."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        Handler.count += 1
        self.send_response(429 if Handler.count % 5 == 0 else 200)
        if Handler.count % 7 == 0:
            self.send_header("connection", "close")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def requests(url):
    return itertools.repeat(scoring_request(url, "key", b"{}"))


def test_it_counts_what_is_answered_and_what_is_refused(server):
    Handler.count = 0
    told = []
    measured = measure(server, requests(server), 1, 3, 0.5, told.append)
    assert measured.statuses.total() == Handler.count == len(measured.latencies) == len(measured.finished)
    assert measured.failed == measured.statuses["429"] == Handler.count // 5
    assert all(0 < latency < 10 for latency in measured.latencies)
    assert told == sorted(told)


def test_a_server_that_hangs_up_is_a_failure():
    class HangUp(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(100)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangUp) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{running.server_address[1]}"
        measured = measure(url, requests(url), 1, 2, 0.3)
        running.shutdown()
        thread.join()
    assert measured.failed == measured.statuses["connection lost"] > 0
    assert not measured.latencies


def test_what_is_shown_when_nothing_was_answered():
    measured = Measured(1, 1, 0.3)
    measured.statuses["connection lost"] = 2
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(in_terminal(measured))
    assert "Failed: 2 x connection lost" in console.export_text()


def test_nobody_there():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EndpointError, match="homeport up"):
        measure(url, requests(url), 1, 2, 0.2)


def test_quantiles():
    measured = Measured(1, 1, 2.0, [0.0] * 100, [place / 100 for place in range(100)])
    assert (measured.quantile(0.5), measured.quantile(0.99), measured.quantile(0.999)) == (0.5, 0.99, 0.99)
    assert measured.throughput == 50
    assert Measured(1, 1).quantile(0.5) == 0


def test_rows_are_drawn_from_what_the_endpoint_describes():
    rows = drawn_rows(COLUMNS, 200)
    assert {row["age"] for row in rows} == {18, 19, 20}
    assert all(0.5 <= row["spend"] <= 1.5 for row in rows)
    assert {row["member"] for row in rows} == {True, False}
    assert {row["colour"] for row in rows} == {"red", "green"}
    assert {row["free"] for row in rows} == {"x"}
    bodies = drawn_bodies(COLUMNS, 3)
    assert len(set(bodies)) > 200
    assert all(len(json.loads(body)["data"]) == 3 for body in bodies)


@pytest.mark.e2e
def test_the_command_shows_figures_and_draws_a_plot(endpoint, tmp_path):
    key = endpoint.client.headers["Authorization"].removeprefix("Bearer ")
    options = ["--url", endpoint.url, "--key", key, "--duration", "1.2", "--users", "4", "--plot", "here/plot.png"]
    shown = homeport("bench", *options, folder=tmp_path).stdout
    for wanted in ("by 4 users in 1.2 s", "Failed: none", "99.9 %", "█", "here/plot.png"):
        assert wanted in shown
    assert (tmp_path / "here" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "of 10 rows" in homeport("bench", *options, "--rows", "10", folder=tmp_path).stdout
    options[3] = "wrong"
    assert "401" in homeport("bench", *options, folder=tmp_path, code=1).stderr
