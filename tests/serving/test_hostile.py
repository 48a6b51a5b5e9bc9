"""What strangers send: never a 500, never a stack trace, and the server answers afterwards."""

import json
import socket

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st

from tests.conftest import Running

NESTED = 200_000
DEEP = b"[" * NESTED
HUGE = b'{"data": [{"age": ' + b"9" * 5_000 + b"}]}"
BODIES = [
    b"\x00",
    b"\xff\xfe\xfa",
    b'{"data": "\xff"}',
    b'{"data": [{"colour": "\\ud800"}]}',
    b'{"data": [{"\\ud800": 1}]}',
    b'{"data": [{"age": NaN}]}',
    b'{"data": [{"age": Infinity}]}',
    b'{"data": [{"age": 1e400}]}',
    b'{"data": [{"age": -0}]}',
    HUGE,
    DEEP,
    b'{"data": ' + DEEP,
    b'{"a":' * 50_000,
    b'{"data": [{}]}',
    b'{"data": [null]}',
    b'{"data": null}',
    b'{"data": {}}',
    b'{"data": [[]]}',
    b'{"data": true}',
    b'{"Inputs": null}',
    b'{"Inputs": [], "data": []}',
    b'{"Inputs": {"data": []}, "data": []}',
    b'{"GlobalParameters": null, "data": []}',
    b'{"method": null, "data": []}',
    b'{"method": ["predict"], "data": []}',
    b'{"method": {}, "data": []}',
    b'{"data": [], "data": [1]}',
    b'"a string"',
    b"null",
    b"12",
    b"{'data': []}",
    b'{"data": []} trailing',
    b'{"data": [],}',
    b"// comment\n{}",
    b"<xml/>",
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b" " * 100_000,
]


def check(answer):
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    if answer.status_code >= 400:
        assert answer.json().keys() == {"message"}


def send(endpoint: Running, body: bytes):
    return endpoint.client.post("/score", content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:24]))
def test_malformed_bodies(endpoint, body):
    check(send(endpoint, body))


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=200)
def test_bodies_that_are_nearly_right(endpoint, complete_row, data):
    """A right body with a few of its bytes changed."""
    body = bytearray(json.dumps({"data": [complete_row]}).encode())
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[place] = data.draw(st.integers(0, 255))
    check(send(endpoint, bytes(body)))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=200)
def test_rows_with_any_value_in_any_column(endpoint, complete_row, data):
    row = dict(complete_row)
    row[data.draw(st.sampled_from([*row, "other"]))] = data.draw(ANYTHING)
    content = {"data": [row]} if data.draw(st.booleans()) else {"Inputs": {"data": [row]}}
    answer = send(endpoint, json.dumps(content).encode())
    check(answer)
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    "query",
    ["data=%ff", "data=[", "data=[]&data=[1]", "method=%22x%22", "data=" + "%5B" * 3000, "%00=1", "&&=", "data"],
)
def test_queries(endpoint, query):
    check(endpoint.client.get(f"/score?{query}"))
    check(endpoint.anonymous.get(f"/swagger.json?{query}"))


@pytest.mark.parametrize(
    "head",
    [
        b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /score HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /score HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\r\ncontent-length: 0\r\n\r\n",
        b"GET /%zz%00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /assets/../../../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=lambda head: repr(head[:40]),
)
def test_bytes_that_are_hardly_http(endpoint, head):
    port = int(endpoint.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert b"500 Internal" not in answer
    assert b"Traceback" not in answer
    assert b"root:" not in answer


def test_a_client_that_leaves_in_the_middle(endpoint):
    port = int(endpoint.url.rsplit(":", 1)[1])
    key = endpoint.client.headers["Authorization"].encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(
                b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: " + key
            )
            connection.sendall(b"\r\ncontent-length: 1000\r\n\r\n{")
    assert endpoint.anonymous.get("/health/ready").status_code == 200


def test_what_the_openapi_document_promises_and_what_it_forbids(endpoint, complete_row):
    """schemathesis makes requests from the document, right ones and wrong ones."""
    document = endpoint.anonymous.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    seen = {200: 0, 400: 0}

    @hypothesis.given(st.data())
    @hypothesis.settings(max_examples=150, suppress_health_check=list(hypothesis.HealthCheck), database=None)
    def run(data):
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(schema["/score"]["POST"].as_strategy(generation_mode=mode))
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=str).encode()
        answer = send(endpoint, body)
        check(answer)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        if mode is schemathesis.GenerationMode.POSITIVE:
            assert answer.status_code == 200, (case.body, answer.text)

    run()
    assert seen[200] > 20
    assert seen[400] > 20


def test_the_server_is_alive_and_its_log_without_a_stack_trace(endpoint, complete_row):
    assert send(endpoint, json.dumps({"data": [complete_row]}).encode()).status_code == 200
    assert "Traceback" not in endpoint.log.read_text()
