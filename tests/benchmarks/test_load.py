import http.server
import json
import socket
import threading
from types import SimpleNamespace

import pytest

from benchmarks import report
from benchmarks.load import Connection, Refused, drive, flood, request
from benchmarks.results import BARS, Cost, Measured, Results, Scaling
from benchmarks.roster import PEERS


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers the body: with its length, in chunks, closing, or refusing, by the path."""

    protocol_version = "HTTP/1.1"
    connections = 0
    wbufsize = -1  # one packet an answer, as real servers do

    def setup(self):
        type(self).connections += 1
        super().setup()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(400 if self.path == "/refuse" else 200)
        if self.path == "/chunks":
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            half = len(body) // 2
            for piece in (body[:half], body[half:]):
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def port():
    Echo.connections = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.request_queue_size = 64
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/length", "/chunks", "/close"])
@pytest.mark.parametrize("body", [b"[]", b"x" * 1_000_000], ids=["short", "long"])
def test_the_body_of_an_answer_is_read_however_it_is_sent(port, path, body):
    with Connection(port) as connection:
        for _ in range(2):
            connection.send(request(path, body))
            assert connection.receive() == body
            assert connection.kept is (path != "/close")


def test_a_refusal_is_not_taken_for_an_answer(port):
    with Connection(port) as connection:
        connection.send(request("/refuse", b"what was wrong"))
        with pytest.raises(Refused, match="what was wrong"):
            connection.receive()


def test_an_answer_that_ends_early_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener, Connection(listener.getsockname()[1]) as connection:
        connection.send(request("/", b"{}"))
        server, _ = listener.accept()
        server.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive!")
        server.close()
        with pytest.raises(ConnectionResetError):
            connection.receive()


@pytest.mark.parametrize("path", ["/length", "/close"])
def test_requests_are_counted_and_connections_used_again(port, path):
    took = drive(port, [request(path, b"%d" % number) for number in range(5)], 21, connections=4)
    assert took.requests == 24  # whole turns
    assert Echo.connections == (4 if path == "/length" else 25)  # one request goes ahead
    assert took.seconds > 0


def test_a_flood_sends_just_as_many(port):
    assert flood(port, [request("/length", b"1"), request("/length", b"22")], 30, connections=8).requests == 30
    assert Echo.connections == 8


def results(homeport=50.0):
    def server(name, *cpu):
        sizes = zip((1, 32, 1_000), cpu, strict=True)
        costs = [
            Cost(rows, 100, [micros, micros * 1.1, micros * 0.9], [9.0] * 3, [1e6 / micros] * 3)
            for rows, micros in sizes
        ]
        return Measured(name, f"Title of {name}", "defaults", {"thing": "1.2"}, 1.25, 80_000_000, 120_000_000, costs)

    servers = [server("limit", 20, 22, 150), server("homeport", homeport, 230, 6_000), server("azure", 600, 900, 9_900)]
    scaling = [Scaling(1, workers, [9_000.0 * workers], [0.9 * workers], [0.2]) for workers in (1, 2)]
    return Results(
        "a machine", 2, "3.11", 0.25, "shop 1", 3, 16, servers, {"Title of automl": "did not start"}, scaling
    )


def test_the_tables_say_what_was_measured():
    text = report.markdown(results())
    assert "| Title of azure | 600 (540-660); 12 × | 900 (810-990); 3.91 × | 9,900 (8,910-10,890); 1.65 × |" in text
    assert "| Title of homeport | 50 (45-55) | 230 (207-253) | 6,000 (5,400-6,600) |" in text
    assert "| Title of homeport | 20,000 | 4,348 | 167 | 1.2 | 80 | 120 |" in text
    assert "| Title of limit | defaults; thing 1.2 |" in text
    assert "- Title of automl was left out: did not start" in text
    assert "| 1 | 2 | 18,000 (18,000-18,000) | 2.00 × | 1.80 | 0.20 |" in text
    assert "These ratios say little" not in text
    widths = {line.count("|") for line in text.split("\n\n")[2].splitlines()}
    assert widths == {5}


def test_a_busy_machine_is_named():
    busy = results()
    busy.scaling[1].server_cores = [0.6]
    assert "other work left only 0.8 of the 2 cores" in report.markdown(busy)


@pytest.mark.parametrize(("homeport", "verdict"), [(46.0, "met"), (46.2, "not met")])
def test_a_bar_is_met_or_not(homeport, verdict):
    line = BARS[0].text(results(homeport))
    assert line == f"1 row: Title of homeport costs {homeport / 20:.3g} × Title of limit (at most 2.3): {verdict}"


def test_a_bar_without_its_server_says_nothing():
    assert [bar.rows for bar in BARS if bar.text(results())] == [1, 1, 32, 1_000]


def test_the_document_is_written_between_its_markers_only(tmp_path):
    document = tmp_path / "serving.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(results(), tmp_path)
    report.write(results(), tmp_path)
    text = document.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert text.count("Title of azure |") == 3
    assert json.loads((tmp_path / "serving.json").read_text())["servers"][2]["costs"][0]["cpu"] == [600, 660, 540]
    assert "currentColor" in (tmp_path / "serving.svg").read_text()


def test_every_way_to_ask_takes_the_answer_apart_again():
    columns = [
        SimpleNamespace(name="a b", onnx_name="a_b", kind="number", offset=0.0),
        SimpleNamespace(name="c", onnx_name="c", kind="category", offset=0.0),
    ]
    rows = [{"a b": 1, "c": "x"}, {"a b": 2, "c": "y"}]
    bodies = {peer.name: peer.body(rows, columns) for peer in PEERS}
    assert bodies["homeport"] == {"data": rows}
    assert bodies["mlflow"] == {"inputs": {"a_b": [1, 2], "c": ["x", "y"]}}
    assert [tensor["datatype"] for tensor in bodies["mlserver"]["inputs"]] == ["FP32", "BYTES"]
    answers = {
        "automl": '{"result": ["no"]}',
        "mlflow": {"predictions": {"label": ["no"], "probabilities": [[0.9, 0.1]]}},
        "mlserver": {"outputs": [{"data": ["no"]}]},
    }
    for peer in PEERS:
        assert peer.answer(answers.get(peer.name, {"result": ["no"]})).labels == ["no"], peer.name
