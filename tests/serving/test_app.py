import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from tests.conftest import MODEL, ROOT, serve
from tests.serving.test_model_documents import row_schema


def test_health(endpoint):
    answer = endpoint.anonymous.get("/")
    assert (answer.text, answer.headers["content-type"].split(";")[0]) == ("Healthy", "text/plain")
    assert endpoint.anonymous.get("/health/live").json() == {"status": "live"}
    assert endpoint.anonymous.get("/health/ready").json() == {
        "status": "ready",
        "model": MODEL,
        "version": "1",
        "pinned": False,
    }


def test_without_a_model_it_is_live_but_not_ready(tmp_path):
    with serve(tmp_path, tmp_path / "nothing") as empty:
        assert empty.anonymous.get("/health/live").status_code == 200
        ready = empty.anonymous.get("/health/ready")
        assert ready.status_code == 503
        assert "homeport train" in ready.json()["reason"]
        answer = empty.client.post("/score", json={"data": []})
        assert answer.status_code == 503
        assert "homeport train" in answer.json()["message"]
        assert empty.anonymous.post("/score", json={"data": []}).status_code == 401
        for version in ("2", "3", "3.1"):
            assert empty.anonymous.get("/swagger.json", params={"version": version}).status_code == 200


def test_a_bad_bundle_is_refused_by_name_and_the_server_lives(tmp_path, own_store):
    graph = own_store.path(MODEL, "1") / "scorer.onnx"
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes()[:-100])
    with serve(tmp_path, own_store.root) as running:
        reason = running.anonymous.get("/health/ready").json()["reason"]
        assert re.search(r"scorer\.onnx is not the file that was written.*promote another version", reason)
        assert reason in running.log.read_text()
        assert running.anonymous.get("/").text == "Healthy"


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready"])
def test_probes_may_ask_by_head(endpoint, path):
    answer = endpoint.anonymous.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.e2e
def test_sigterm_ends_it_although_a_client_has_sent_half_a_request(tmp_path, shop_store):
    with serve(tmp_path, shop_store.root) as running:
        port = int(running.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            running.process.terminate()
            assert running.process.wait(30) is not None


@pytest.mark.parametrize(("name", "value"), [("PORT", "99999"), ("WORKERS", "0"), ("MAX_BODY_BYTES", "0")])
def test_settings_out_of_range_are_refused(tmp_path, name, value):
    result = subprocess.run(
        [sys.executable, "-m", "serving"],
        cwd=ROOT,
        env=os.environ | {f"HOMEPORT_SERVING_{name}": value},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert f"HOMEPORT_SERVING_{name}: " in result.stderr


def test_unknown_paths_answer_as_azure_does(endpoint):
    answer = endpoint.client.get("/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


@pytest.mark.parametrize(
    ("version", "field", "value", "validator"),
    [
        (None, "swagger", "2.0", OpenAPIV2SpecValidator),
        ("2", "swagger", "2.0", OpenAPIV2SpecValidator),
        ("3", "openapi", "3.0.3", OpenAPIV30SpecValidator),
        ("3.1", "openapi", "3.1.0", OpenAPIV31SpecValidator),
    ],
)
def test_the_description_is_valid_in_each_version(endpoint, version, field, value, validator):
    document = endpoint.anonymous.get("/swagger.json", params={"version": version} if version else {}).json()
    assert document[field] == value
    validator(document).validate()
    assert document["paths"]["/"]["get"]["operationId"] == "ServiceHealthCheck"
    assert document["paths"]["/score"]["post"]["operationId"] == "RunMLService"


def test_an_unknown_version_of_the_description(endpoint):
    answer = endpoint.anonymous.get("/swagger.json", params={"version": "4"})
    assert answer.status_code == 404
    assert answer.json() == {"message": "Swagger version [4] is not valid. Supported versions: [2, 3, 3.1]."}


def test_it_declares_http_and_strings_where_they_are(endpoint):
    document = endpoint.anonymous.get("/swagger.json").json()
    assert document["schemes"] == ["http"]
    assert document["host"] == endpoint.url.removeprefix("http://")
    assert document["securityDefinitions"]["Bearer"]["type"] == "apiKey"
    items = document["definitions"]["Response"]["properties"]["result"]["items"]
    assert items == {"type": "string", "enum": ["no", "yes"]}


def test_the_openapi_document_holds_the_model_and_its_example_works(endpoint, shop_store):
    document = endpoint.anonymous.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    row = row_schema(document)
    manifest = shop_store.manifest(MODEL, "1")
    assert list(row["properties"]) == [column.name for column in manifest.columns]
    assert set(row["properties"]["colour"]["enum"]) == {"red", "green", "blue ßü", "dark grey", None}
    age = row["properties"]["age"]
    assert (age["type"], age["minimum"], age["maximum"]) == (["integer", "null"], 18, 79)
    assert row["required"] == ["age", "is member", "seen at"]
    (example,) = document["components"]["schemas"]["Request"]["examples"]
    shown = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert shown["rows"]["value"] == example
    assert endpoint.client.post("/score", json=example).status_code == 200


def test_the_documentation_page_needs_nothing_from_elsewhere(endpoint):
    page = endpoint.anonymous.get("/docs").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert assets
    for asset in assets:
        assert asset.startswith("/assets/"), asset
        assert endpoint.anonymous.get(asset).status_code == 200
    assert "//cdn" not in page


def test_the_model_served_by_default_is_the_one_promoted_last(tmp_path, own_store):
    (own_store.root / MODEL).rename(own_store.root / "first")
    shutil.copytree(own_store.root / "first", own_store.root / "second")
    os.utime(own_store.root / "first" / "champion", (2e9, 2e9))
    assert own_store.names() == ["first", "second"]
    with serve(tmp_path, own_store.root) as running:
        log = running.log.read_text()
        assert str(own_store.champion_path("first")) in log
