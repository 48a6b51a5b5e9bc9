"""What every endpoint of Homeport keeps to, wherever it runs: keys, dialects, errors, headers, Swagger, telemetry."""

import json
import re
import secrets

import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from tests.conftest import wait_until


def test_probes_need_no_key(conforming):
    assert conforming.anonymous.get("/").text == "Healthy"
    assert conforming.anonymous.get("/health/live").status_code == 200
    ready = conforming.anonymous.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["model"]


@pytest.mark.parametrize("path", ["/score", "/explain", "/invocations"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic d3Jvbmc6"])
def test_without_a_key_nothing_is_scored(conforming, path, header):
    headers = {"Authorization": header} if header else {}
    answer = conforming.anonymous.post(path, json={"data": [conforming.row]}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["message"]


def test_both_keys_open_it(conforming):
    for key in conforming.keys:
        headers = {"Authorization": f"Bearer {key}"}
        assert conforming.anonymous.post("/score", json={"data": [conforming.row]}, headers=headers).is_success


def test_all_dialects_give_the_same_numbers(conforming):
    row, model = conforming.row, conforming.model
    (old,) = conforming.post({"data": [row]}).json()["result"]
    (new,) = conforming.post({"Inputs": {"data": [row]}}).json()["Results"]
    asked = conforming.client.get("/score", params={"data": json.dumps([row])}).json()["result"]
    mlflow = conforming.client.post("/invocations", json={"dataframe_records": [row]}).json()["predictions"]
    assert [old] == [new] == asked
    assert mlflow == [old]
    described = conforming.client.get(f"/v2/models/{model}").json()
    kinds = {one["name"]: one["datatype"] for one in described["inputs"]}
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": kinds[name], "data": [value]}
        for name, value in row.items()
        if name in kinds
    ]
    answer = conforming.client.post(f"/v2/models/{model}/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    outputs = {one["name"]: one["data"] for one in answer.json()["outputs"]}
    assert [old] in outputs.values()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "POST body is empty. Expecting a JSON dictionary."),
        (b"{", "POST body could not be decoded as JSON: .+"),
        (b"[1]", "POST body should be a JSON dictionary."),
        (b"{}", "A value is not provided for the 'data' parameter."),
    ],
)
def test_what_is_no_request_is_refused_in_azures_words(conforming, body, message):
    answer = conforming.post(body)
    assert answer.status_code == 400
    assert re.fullmatch(message, answer.json()["message"])


def test_a_wrong_row_is_named(conforming):
    row = conforming.row
    column = next(iter(row))
    answer = conforming.post({"data": [row, row | {column: ["no", "value"]}]})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"Row 1, column '{column}': got ")
    missing = conforming.post({"data": [row | {"no such column": 1}]})
    assert 'unknown column "no such column"' in missing.json()["message"]


def test_other_methods_and_types(conforming):
    assert conforming.client.put("/score").status_code == 405
    assert conforming.client.options("/score").status_code == 200
    answer = conforming.post(b"{}", **{"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()) == (415, {"message": "Expects Content-Type to be application/json"})
    assert conforming.post({"data": []}, **{"x-request-id": "x" * 101}).status_code == 431


def test_headers(conforming):
    answer = conforming.post({"data": [conforming.row]}, **{"x-request-id": "abc", "x-ms-client-request-id": "def"})
    assert answer.headers["x-request-id"] == "abc"
    assert answer.headers["x-ms-client-request-id"] == "def"
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert float(answer.headers["x-ms-run-fn-exec-ms"]) > 0
    assert answer.headers["x-ms-server-version"].startswith("homeport/")
    assert answer.headers["x-model-version"]


@pytest.mark.parametrize(
    ("version", "validator"),
    [("2", OpenAPIV2SpecValidator), ("3", OpenAPIV30SpecValidator), ("3.1", OpenAPIV31SpecValidator)],
)
def test_swagger_is_valid_in_each_version(conforming, version, validator):
    validator(conforming.client.get("/swagger.json", params={"version": version}).json()).validate()


def test_an_unknown_version_of_swagger(conforming):
    answer = conforming.client.get("/swagger.json", params={"version": "4"})
    assert answer.status_code == 404
    assert "Supported versions: [2, 3, 3.1]" in answer.text


def test_the_page_of_swagger_needs_nobody_else(conforming):
    page = conforming.anonymous.get("/docs")
    assert page.status_code == 200
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", page.text)


def test_requests_are_told_to_application_insights(conforming):
    if conforming.ingested is None:
        pytest.skip("where its telemetry goes cannot be seen from here: --ingestion names a port of this machine")
    trace = secrets.token_hex(16)
    parent = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    conforming.post({"data": [conforming.row]}, **parent)
    conforming.anonymous.post("/score", json={"data": []}, headers=parent)

    def told():
        return [
            envelope["data"]["baseData"]["responseCode"]
            for envelope in conforming.ingested.envelopes
            if envelope["name"].endswith(".Request") and envelope["tags"]["ai.operation.id"] == trace
        ]

    wait_until(lambda: sorted(told()) == ["200", "401"], 60)
    everything = json.dumps(conforming.ingested.envelopes)
    assert not any(key in everything for key in conforming.keys)
