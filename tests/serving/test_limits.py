"""What is too much is refused in words, and slow clients do not stay."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil
import pytest

from tests.conftest import Running, serve, wait_until


@pytest.fixture(scope="module")
def narrow(tmp_path_factory, shop_store):
    """A server with small limits."""
    settings = {
        "MAX_ROWS": "50",
        "RECEIVE_SECONDS": "1",
        "INLINE_BYTES": "1000",
        "MAX_BODY_BYTES": "100000",
        "CORS_ORIGINS": "https://shop.example, https://other.example",
    }
    with serve(tmp_path_factory.mktemp("narrow"), shop_store.root, **settings) as running:
        yield running


def connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(running.url.rsplit(":", 1)[1])), timeout=20)


def head(running: Running, length: int, *more: str) -> bytes:
    lines = [
        "POST /score HTTP/1.1",
        "host: x",
        "content-type: application/json",
        f"authorization: {running.client.headers['Authorization']}",
        f"content-length: {length}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def send_for_ever(connection: socket.socket, content: bytes) -> None:
    while True:
        connection.sendall(content)


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer


@pytest.mark.parametrize("count", [51, 500])
def test_too_many_rows(narrow, complete_row, count):
    answer = narrow.client.post("/score", json={"data": [complete_row] * count})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(f"The request has {count} rows; the endpoint takes 50.")
    assert narrow.client.post("/score", json={"data": [complete_row] * 50}).status_code == 200


def test_too_long_a_body_is_refused_before_it_is_read(narrow):
    with connect(narrow) as connection:
        connection.sendall(head(narrow, 100_001))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
    with connect(narrow) as connection:  # of undeclared length
        connection.sendall(head(narrow, 0).replace(b"content-length: 0", b"transfer-encoding: chunked"))
        for _ in range(3):
            connection.sendall(b"ffff\r\n" + b" " * 0xFFFF + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_client_that_sends_far_too_much_reads_why(narrow, complete_row):
    answer = narrow.client.post("/score", content=b" " * 20_000_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "20000000 bytes; the endpoint takes 100000" in answer.json()["message"]
    assert narrow.client.post("/score", json={"data": [complete_row]}).status_code == 200


def test_too_many_at_once_get_429_and_are_told_when_to_come_back(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root, MAX_CONCURRENCY="2", INLINE_BYTES="1000") as running, ExitStack() as stack:
        for _ in range(2):  # under way: the rest of the body does not come
            stack.enter_context(connect(running)).sendall(head(running, 2_000) + b"{")
        large = {"data": [complete_row] * 40}
        wait_until(lambda: running.client.post("/score", json=large).status_code == 429)
        answer = running.client.post("/score", json=large)
        assert answer.headers["retry-after"] == "1"
        assert "2 requests to score are under way" in answer.json()["message"]
        small = running.client.post("/score", json={"data": [complete_row]})
        assert small.status_code == 200  # a small request takes no place
        stack.close()
        wait_until(lambda: running.client.post("/score", json=large).status_code == 200)


def test_explanations_have_a_lane_of_their_own(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root, MAX_CONCURRENCY="1", INLINE_BYTES="0") as running, ExitStack() as stack:
        for _ in range(8):  # under way: the rest of the body does not come
            request = head(running, 2_000).replace(b"POST /score", b"POST /explain")
            stack.enter_context(connect(running)).sendall(request + b"{")
        explain = {"data": [complete_row]}
        wait_until(lambda: running.client.post("/explain", json=explain).status_code == 429)
        assert running.client.post("/score", json=explain).status_code == 200


def test_time_is_limited(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root, MAX_SECONDS="0.001", INLINE_BYTES="1000") as running:
        answer = running.client.post("/score", json={"data": [complete_row] * 45_000})
        assert answer.status_code == 504
        assert "Time was up" in answer.json()["message"]
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /sc", b"POST /score HTTP/1.1\r\nhost: x\r\n", "small body", "large body"],
    ids=["nothing", "line", "head", "small body", "large body"],
)
def test_slow_clients_are_cut_off(narrow, sent):
    if sent == "small body":
        sent = head(narrow, 100) + b"{"
    elif sent == "large body":
        sent = head(narrow, 90_000) + b"{" + b" " * 80_000
    with connect(narrow) as connection:
        connection.sendall(sent)
        answer = read_all(connection)
    if sent:
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"did not arrive in time" in answer
    assert narrow.anonymous.get("/health/ready").status_code == 200


def test_a_client_that_does_not_take_its_answers_is_cut_off(narrow, complete_row):
    body = json.dumps({"data": [complete_row] * 2}).encode()
    request = head(narrow, len(body)) + body
    with connect(narrow) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        with pytest.raises((ConnectionError, TimeoutError)):  # both ways are full: it cannot even hear that it is cut
            send_for_ever(connection, request * 100)
        own = connection.getsockname()[1]
        (worker,) = psutil.Process(narrow.process.pid).children()
        wait_until(lambda: all(other.raddr.port != own for other in worker.net_connections() if other.raddr))
    assert narrow.client.post("/score", json={"data": [complete_row]}).status_code == 200


def test_an_endless_head_is_cut_off(narrow):
    with connect(narrow) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\n")
        with pytest.raises(ConnectionError):
            send_for_ever(connection, b"x-filler: " + b"a" * 10_000 + b"\r\n")


def test_origins_that_are_set_may_call_and_others_not(narrow, complete_row):
    for path, options in (("/score", {"json": {"data": [complete_row]}}), ("/swagger.json", {})):
        method = "POST" if options else "GET"
        allowed = narrow.client.request(method, path, headers={"Origin": "https://shop.example"}, **options)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        other = narrow.client.request(method, path, headers={"Origin": "https://evil.example"}, **options)
        assert "access-control-allow-origin" not in other.headers
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert narrow.anonymous.options("/score", headers=asked).headers["access-control-allow-methods"] == "GET, POST"


def test_requests_of_every_shape_give_the_same_answer(narrow, complete_row):
    """Whole, in pieces, chunked, pipelined, in HTTP/1.0: by the shortcut or by uvicorn's way."""
    body = json.dumps({"data": [complete_row]}).encode()
    expected = narrow.client.post("/score", json={"data": [complete_row]}).content
    whole = head(narrow, len(body)) + body
    chunked = head(narrow, 0).replace(b"content-length: 0", b"transfer-encoding: chunked")
    chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    closing = head(narrow, len(body), "connection: close") + body
    shapes = [
        whole,
        chunked,
        whole.replace(b"HTTP/1.1", b"HTTP/1.0"),
        head(narrow, len(body), "expect: 100-continue") + body,
    ]
    for shape in shapes:
        for cut in (len(shape), len(shape) - 5, 30):
            with connect(narrow) as connection:
                connection.sendall(shape[:cut])
                connection.sendall(shape[cut:] + (b"" if b"HTTP/1.0" in shape else closing))
                answer = read_all(connection)
            assert answer.count(expected) == (1 if b"HTTP/1.0" in shape else 2), (shape, cut, answer)
            assert answer.count(b"HTTP/1.1 200") == answer.count(expected)
    large = json.dumps({"data": [complete_row] * 40}).encode()
    many = whole + head(narrow, len(large)) + large + whole + chunked + closing
    with connect(narrow) as connection:
        connection.sendall(many)
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 200") == 5
    assert answer.count(expected) == 4


def test_requests_in_flight_are_answered_when_it_is_stopped(tmp_path, shop_store, complete_row):
    """No accepted request is lost: clients are asked to close, and what is under way is answered."""
    with serve(tmp_path, shop_store.root, WORKERS="2") as running, ThreadPoolExecutor(8) as pool:
        port = int(running.url.rsplit(":", 1)[1])
        body = json.dumps({"data": [complete_row] * 20}).encode()
        request = head(running, len(body)) + body
        ready = threading.Barrier(9)

        def ask(number: int) -> tuple[int, int]:
            sent = answered = 0
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                while True:
                    if sent == 1:
                        ready.wait()  # its worker runs: one that is still starting has accepted nothing
                    connection.sendall(request)
                    sent += 1
                    answer = b""
                    while b"\r\n\r\n" not in answer or not answer.endswith(b"]}"):
                        part = connection.recv(65536)
                        if not part:
                            return sent, answered
                        answer += part
                    answered += answer.startswith(b"HTTP/1.1 200")
                    if b"connection: close" in answer:
                        return sent, answered

        asking = [pool.submit(ask, number) for number in range(8)]
        ready.wait()
        running.process.terminate()
        results = [future.result(30) for future in asking]
        assert all(sent == answered for sent, answered in results), results
        assert running.process.wait(30) == 0


def test_what_follows_the_last_chunk_is_bounded_and_is_no_header(narrow, complete_row):
    body = json.dumps({"data": [complete_row]}).encode()
    chunked = head(narrow, 0).replace(b"content-length: 0", b"transfer-encoding: chunked")
    last = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    key = f"authorization: {narrow.client.headers['Authorization']}\r\n".encode()
    with connect(narrow) as connection:
        connection.sendall(chunked.replace(key, b"connection: close\r\n") + last + key + b"\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 401")
    with connect(narrow) as connection:
        connection.sendall(chunked + last)
        with pytest.raises(ConnectionError):
            send_for_ever(connection, b"x-filler: " + b"a" * 10_000 + b"\r\n")


@pytest.mark.parametrize("count", [1, 40])
def test_an_offer_to_upgrade_is_ignored(narrow, complete_row, count):
    """Java's client offers HTTP/2 so. The body is read as a body, never as the next request."""
    body = json.dumps({"data": [complete_row] * count}).encode()
    expected = narrow.client.post("/score", content=body, headers={"Content-Type": "application/json"}).content
    offer = head(narrow, len(body), "connection: Upgrade, HTTP2-Settings", "upgrade: h2c") + body
    closing = head(narrow, len(body), "connection: close") + body
    for cut in (30, offer.index(b"\r\n\r\n") + 4, len(offer) - 5, len(offer)):
        with connect(narrow) as connection:
            connection.sendall(offer[:cut])
            connection.sendall(offer[cut:] + offer + closing)
            answer = read_all(connection)
        assert answer.count(b"HTTP/1.1 200") == answer.count(expected) == 3, (cut, answer)
    with connect(narrow) as connection:
        connection.sendall(b"CONNECT /score HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "second", [b"no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nx: ", b"GET / HT"], ids=["bad", "long", "slow"]
)
def test_an_error_is_never_sent_in_place_of_the_answer_before(narrow, second):
    """The body under way waits for the rest, so nothing is answered before the second request is refused."""
    body = b" " * 90_000
    with connect(narrow) as connection:
        connection.sendall(head(narrow, len(body)) + body + second)
        if second.endswith(b": "):
            with pytest.raises(ConnectionError):
                send_for_ever(connection, b"a" * 10_000)
            return
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1") <= 2
    assert not answer or (answer.startswith(b"HTTP/1.1 400") and b"POST body is empty" in answer)


def test_a_long_body_that_ends_with_the_start_of_the_next_head_is_no_long_head(narrow, complete_row):
    body = json.dumps({"data": [complete_row] * 40}).encode().ljust(90_000)
    closing = head(narrow, len(body), "connection: close") + body
    with connect(narrow) as connection:
        connection.sendall(head(narrow, len(body)) + body + closing[:30])
        answer = connection.recv(65536)
        connection.sendall(closing[30:])
        answer += read_all(connection)
    assert answer.count(b"HTTP/1.1 200") == 2
