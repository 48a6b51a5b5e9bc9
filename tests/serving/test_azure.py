"""`/score` as clients of Azure know it, against the real server."""

import json
import re

import pytest

from tests.conftest import serve

SCORE = "/score"


def post(endpoint, content, **headers):
    return endpoint.client.post(SCORE, json=content, headers=headers)


def test_the_first_envelope(endpoint, complete_row):
    answer = post(endpoint, {"data": [complete_row, complete_row]})
    assert answer.status_code == 200
    (first, second) = answer.json()["result"]
    assert first == second
    assert first in ("yes", "no")


def test_the_newer_envelope_with_and_without_its_parameters(endpoint, complete_row):
    rows = {"Inputs": {"data": [complete_row]}}
    labels = post(endpoint, rows).json()
    assert post(endpoint, {**rows, "GlobalParameters": {"method": "predict"}}).json() == labels
    (shares,) = post(endpoint, {**rows, "GlobalParameters": {"method": "predict_proba"}}).json()["Results"]
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert labels["Results"] == [["no", "yes"][shares.index(max(shares))]]


def test_both_envelopes_give_identical_numbers(endpoint, shop_rows):
    old = post(endpoint, {"data": shop_rows, "method": "predict_proba"}).json()["result"]
    new = post(endpoint, {"Inputs": {"data": shop_rows}, "GlobalParameters": {"method": "predict_proba"}})
    assert new.json()["Results"] == old
    one_by_one = [post(endpoint, {"data": [row], "method": "predict_proba"}).json()["result"][0] for row in shop_rows]
    assert one_by_one == old


def test_get_takes_the_parameters_as_json(endpoint, complete_row):
    answer = endpoint.client.get(SCORE, params={"data": json.dumps([complete_row]), "method": '"predict"'})
    assert answer.json() == post(endpoint, {"data": [complete_row]}).json()


@pytest.mark.parametrize(("path", "field"), [(SCORE, "data"), ("/explain", "data"), ("/invocations", "instances")])
def test_a_complaint_can_be_read_as_it_is_sent(endpoint, complete_row, path, field):
    answer = endpoint.client.post(path, json={field: [complete_row | {"age": "old"}]})
    assert answer.status_code == 400
    assert "a number within ±3.4e38, or null".encode() in answer.content


def test_options_and_other_methods(endpoint):
    options = endpoint.anonymous.options(SCORE)
    assert (options.status_code, options.content) == (200, b"")
    for method in ("PUT", "DELETE", "PATCH"):
        answer = endpoint.client.request(method, SCORE)
        assert answer.status_code == 405
        assert answer.json() == {"message": "The method is not allowed for the requested URL."}
    assert endpoint.client.post("/health/live").json() == {
        "message": "The method is not allowed for the requested URL."
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "POST body is empty. Expecting a JSON dictionary."),
        (b"  ", "POST body is empty. Expecting a JSON dictionary."),
        (b"{", r"POST body could not be decoded as JSON: .+"),
        (b"[1]", "POST body should be a JSON dictionary."),
        (b"{}", "A value is not provided for the 'data' parameter."),
        (b'{"Inputs": {}}', "A value is not provided for the 'data' parameter."),
        (b'{"data": 3}', r"'data' should be a list of rows.*got 3"),
        (b'{"data": [3]}', r"Row 0 should be an object.*got 3"),
        (b'{"data": [], "methods": "x"}', r'Unknown parameter "methods"'),
        (b'{"data": [], "method": "guess"}', r"'method' should be 'predict' or 'predict_proba', got \"guess\""),
        (b'{"data": [], "GlobalParameters": 1.0}', "'GlobalParameters' should be an object"),
        (b'{"data": [], "GlobalParameters": {"method": "predict"}}', "Give either data and method, or Inputs"),
        (b'{"Inputs": {"data": []}, "method": "predict_proba"}', "Give either data and method, or Inputs"),
        (b'{"Inputs": {"data": []}, "data": []}', "Give either data and method, or Inputs"),
    ],
)
def test_bodies_that_are_no_request(endpoint, body, message):
    answer = endpoint.client.post(SCORE, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert re.fullmatch(f"{message}.*", answer.json()["message"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": "old"}, r"Row 1, column 'age': got \"old\", expected a number within ±3.4e38, or null, such as \d+"),
        ({"age": True}, r"Row 1, column 'age': got true, expected a number"),
        ({"age": 1e39}, r"Row 1, column 'age': got 1e\+39"),
        ({"colour": 3}, r"Row 1, column 'colour': got 3, expected a string or null"),
        ({"is member": "yes"}, r"Row 1, column 'is member': got \"yes\", expected true, false or null"),
        ({"agee": 3}, r"Row 1: unknown column \"agee\". Expected: age, spend.total"),
        ({"age": ...}, r"Row 1: column 'age' is missing. Expected a number"),
    ],
)
def test_a_wrong_row_is_named_with_column_value_and_what_is_expected(endpoint, complete_row, change, message):
    wrong = {name: value for name, value in {**complete_row, **change}.items() if value is not ...}
    for body in ({"data": [complete_row, wrong]}, {"Inputs": {"data": [complete_row, wrong]}}):
        answer = post(endpoint, body)
        assert answer.status_code == 400
        assert re.match(message, answer.json()["message"]), answer.text


def test_null_a_missing_optional_column_an_integer_and_an_unseen_category_are_scored(endpoint, complete_row):
    optional = {name: value for name, value in complete_row.items() if name not in ("spend.total", "colour")}
    nulls = dict.fromkeys(complete_row)
    answer = post(
        endpoint,
        {
            "data": [
                optional,
                {**optional, "spend.total": None, "colour": None},
                {**optional, "colour": ""},
                nulls,
                {**complete_row, "spend.total": 100},
                {**complete_row, "spend.total": 100.0},
                {**complete_row, "colour": "octarine"},
            ],
            "method": "predict_proba",
        },
    )
    shares = answer.json()["result"]
    assert len(shares) == 7
    assert shares[0] == shares[1] == shares[2]
    assert shares[4] == shares[5]


def test_no_rows_give_no_results(endpoint):
    assert post(endpoint, {"data": []}).json() == {"result": []}


def test_large_requests_leave_the_event_loop_and_give_the_same(endpoint, shop_rows):
    rows = shop_rows * 10
    many = post(endpoint, {"data": rows}).json()["result"]
    assert many == post(endpoint, {"data": shop_rows}).json()["result"] * 10


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type(endpoint, content_type):
    answer = endpoint.client.post(SCORE, content=b"{}", headers={"Content-Type": content_type})
    assert answer.status_code == 415
    assert answer.json() == {"message": "Expects Content-Type to be application/json"}


def test_a_content_type_with_a_charset(endpoint, complete_row):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert endpoint.client.post(SCORE, content=json.dumps({"data": [complete_row]}), headers=headers).is_success


def test_headers(endpoint, complete_row):
    answer = post(endpoint, {"data": [complete_row]}, **{"x-request-id": "abc", "x-ms-client-request-id": "def"})
    assert answer.headers["x-request-id"] == "abc"
    assert answer.headers["x-ms-client-request-id"] == "def"
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert float(answer.headers["x-ms-run-fn-exec-ms"]) > 0
    assert answer.headers["x-ms-server-version"].startswith("homeport/")
    made = [post(endpoint, {"data": []}).headers["x-request-id"] for _ in range(3)]
    assert len(set(made)) == 3
    assert post(endpoint, {}, **{"x-request-id": "abc"}).headers["x-request-id"] == "abc"


@pytest.mark.parametrize("header", ["x-request-id", "x-ms-client-request-id"])
def test_a_request_id_that_is_too_long(endpoint, header):
    assert post(endpoint, {"data": []}, **{header: "x" * 100}).status_code == 200
    assert post(endpoint, {"data": []}, **{header: "x" * 101}).status_code == 431


def test_a_body_that_is_too_long(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root, MAX_BODY_BYTES="1000") as small:
        declared = post(small, {"data": [complete_row] * 100})
        assert declared.status_code == 413
        chunks = (b" " * 100 for _ in range(50))
        headers = {"Content-Type": "application/json"}
        assert small.client.post(SCORE, content=chunks, headers=headers).status_code == 413
        assert post(small, {"data": [complete_row]}).status_code == 200


def test_the_string_answer_of_old_deployments(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root, STRING_RESULTS="true") as old:
        content = post(old, {"data": [complete_row]}).json()
        assert isinstance(content, str)
        assert json.loads(content)["result"][0] in ("yes", "no")


def test_cors(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root, CORS_ORIGINS="http://a.example, http://b.example") as shared:
        preflight = {"Origin": "http://b.example", "Access-Control-Request-Method": "POST"}
        answer = shared.anonymous.options(SCORE, headers=preflight)
        assert answer.headers["access-control-allow-origin"] == "http://b.example"
        answer = post(shared, {"data": [complete_row]}, Origin="http://a.example")
        assert answer.headers["access-control-allow-origin"] == "http://a.example"
        assert "access-control-allow-origin" not in post(shared, {"data": []}, Origin="http://c.example").headers
        for path in ("/", "/swagger.json"):
            given = shared.anonymous.get(path, headers={"Origin": "http://a.example"}).headers
            assert given["access-control-allow-origin"] == "http://a.example"
