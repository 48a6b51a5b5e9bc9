"""What strangers send to the other dialects: never a 500, never a stack trace."""

import json

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st

from tests.conftest import MODEL, Running
from tests.serving.conftest import as_csv, binary, tensors
from tests.serving.test_hostile import ANYTHING, BODIES, DEEP

INFER = f"/v2/models/{MODEL}/infer"
ERRORS = {
    INFER: {"error"},
    f"/v2/models/{MODEL}/versions/1/infer": {"error"},
    "/invocations": {"error_code", "message"},
    "/explain": {"message"},
}
OWN = [
    b'{"inputs": [[%s]]}' % (b"9" * 5_000),
    b'{"inputs": ' + DEEP,
    b'{"dataframe_records": [{"age": NaN, "\\ud800": 1}]}',
    b'{"instances": NaN, "x": "\\ud800"}',
    b'{"inputs": [{"name": "age", "shape": [%s], "datatype": "FP64", "data": []}]}' % (b"9" * 300),
    b'{"inputs": [{"name": "age", "shape": [1e3], "datatype": "FP64", "data": []}]}',
    b'{"inputs": [{"name": "age", "shape": [1], "datatype": "FP64", "data": [1e400]}]}',
    b'{"inputs": [{"name": "age", "shape": [1], "datatype": "INT64", "data": [%s]}]}' % (b"9" * 400),
    b'{"inputs": [{"name": "age", "shape": [1], "datatype": "FP64", "data": [%s]}]}' % (b"9" * 400),
    b'{"inputs": [{"name": "is member", "shape": [1], "datatype": "FP64", "data": [[]]}]}',
    b'{"inputs": [{"name": "is member", "shape": [1], "datatype": "BOOL", "data": [{}]}]}',
    b'{"inputs": [{"name": "colour", "shape": [1], "datatype": "BYTES", "data": ["\\ud800"]}]}',
    b'{"inputs": [], "id": "\\udfff"}',
    b'{"inputs": [], "outputs": [{"name": "\\ud83d"}]}',
]


def send(endpoint: Running, path: str, body: bytes, **headers: str):
    media = {"Content-Type": "application/json"}
    answer = endpoint.client.post(path, content=body, headers=media | headers)
    assert answer.status_code < 500, answer.text
    assert b"Traceback" not in answer.content
    if answer.status_code >= 400:
        assert answer.json().keys() == ERRORS[path]
    return answer


@pytest.fixture(scope="module")
def manifest(shop_store):
    return shop_store.manifest(MODEL, "1")


@pytest.mark.parametrize("path", [INFER, "/invocations"])
@pytest.mark.parametrize("body", [*BODIES, *OWN], ids=lambda body: repr(body[:40]))
def test_malformed_bodies(endpoint, path, body):
    assert send(endpoint, path, body).status_code in (400, 422)
    send(endpoint, "/invocations", body, **{"Content-Type": "text/csv"})
    for length in ("0", "2", str(len(body)), "\u00b2"):
        send(endpoint, INFER, body, **{"Inference-Header-Content-Length": length.encode()})


@pytest.mark.parametrize("body", [*BODIES, *OWN], ids=lambda body: repr(body[:40]))
def test_malformed_bodies_of_explanations(endpoint, body):
    assert send(endpoint, "/explain", body).status_code == 400


def damaged(data, body: bytes) -> bytes:
    changed = bytearray(body)
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    return bytes(changed)


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=300, deadline=None)
def test_bodies_that_are_nearly_right(endpoint, manifest, complete_row, data):
    """Right bodies with a few of their bytes changed."""
    rows = [complete_row, complete_row]
    match data.draw(st.sampled_from(["json", "binary", "invocations", "csv"])):
        case "json":
            send(endpoint, INFER, damaged(data, json.dumps({"inputs": tensors(manifest, rows)}).encode()))
        case "binary":
            body, headers = binary(manifest, rows)
            send(endpoint, INFER, damaged(data, body), **headers)
        case "invocations":
            send(endpoint, "/invocations", damaged(data, json.dumps({"dataframe_records": rows}).encode()))
        case "csv":
            send(endpoint, "/invocations", damaged(data, as_csv(rows)), **{"Content-Type": "text/csv"})


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=300, deadline=None)
def test_any_value_in_any_place(endpoint, manifest, complete_row, data):
    if data.draw(st.booleans()):
        inputs = tensors(manifest, [complete_row])
        tensor = data.draw(st.sampled_from(inputs))
        field = data.draw(st.sampled_from([*tensor, "parameters", "other"]))
        tensor[field] = data.draw(ANYTHING | st.lists(ANYTHING, max_size=2))
        content, path = {"inputs": inputs}, INFER
    else:
        row = dict(complete_row)
        row[data.draw(st.sampled_from([*row, "other"]))] = data.draw(ANYTHING)
        value = data.draw(
            st.sampled_from([[row], [list(row.values())], {name: [value] for name, value in row.items()}]) | ANYTHING
        )
        content = {data.draw(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"])): value}
        path = "/invocations"
    assert send(endpoint, path, json.dumps(content).encode()).status_code in (200, 400, 422)


@pytest.mark.parametrize(
    "path", ["/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer", "/invocations"]
)
def test_what_the_openapi_document_promises_and_what_it_forbids(endpoint, path):
    """schemathesis makes requests from the document, right ones and wrong ones."""
    document = endpoint.anonymous.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    real = path.format(name=MODEL, version=1)
    seen: dict[int, int] = {}

    @hypothesis.given(st.data())
    @hypothesis.settings(
        max_examples=100, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), database=None
    )
    def run(data):
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(schema[path]["POST"].as_strategy(generation_mode=mode))
        media = case.media_type or "application/json"
        body = case.body
        if not isinstance(body, bytes):
            body = str(body).encode(errors="replace") if media == "text/csv" else json.dumps(body, default=str).encode()
        answer = send(endpoint, real, body, **{"Content-Type": media})
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        if mode is schemathesis.GenerationMode.POSITIVE and path == "/invocations" and media == "application/json":
            assert answer.status_code == 200, (case.body, answer.text)

    run()
    assert seen[400] > 10
    assert path != "/invocations" or seen[200] > 10


def test_the_server_is_alive_and_its_log_without_a_stack_trace(endpoint, manifest, complete_row):
    body = json.dumps({"inputs": tensors(manifest, [complete_row])}).encode()
    assert send(endpoint, INFER, body).status_code == 200
    assert "Traceback" not in endpoint.log.read_text()
