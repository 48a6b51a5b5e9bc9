"""The dialects' own clients, each in its own environment, see the numbers of `/score`."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from benchmarks.environments import environment
from tests.conftest import MODEL

pytestmark = pytest.mark.e2e

SCRIPTS = Path(__file__).parent / "clients"


def run(name: str, **asked) -> dict:
    """What the client saw."""
    result = subprocess.run(
        [
            environment(name) / "python",
            "-P",
            SCRIPTS / f"{name}.py",
        ],  # not the script's folder before the package of its name
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def manifest(shop_store):
    return shop_store.manifest(MODEL, "1")


@pytest.fixture(scope="module")
def rows(manifest, shop_rows):
    names = [column.name for column in manifest.columns]
    return [{name: row.get(name) for name in names} for row in shop_rows]


@pytest.fixture(scope="module")
def scored(endpoint):
    """Labels and probabilities of rows by `/score`."""

    def score(rows):
        post = endpoint.client.post
        return {
            "label": post("/score", json={"data": rows}).json()["result"],
            "probabilities": post("/score", json={"data": rows, "method": "predict_proba"}).json()["result"],
        }

    return score


def key(endpoint) -> str:
    return endpoint.client.headers["Authorization"].removeprefix("Bearer ")


def test_tritonclient(endpoint, manifest, rows, scored):
    seen = run("triton", url=endpoint.url, key=key(endpoint), model=MODEL, version=manifest.version, rows=rows)
    assert (seen["live"], seen["ready"], seen["model ready"], seen["other ready"]) == (True, True, True, False)
    assert seen["server"]["extensions"] == ["binary_tensor_data"]
    assert [tensor["name"] for tensor in seen["metadata"]["inputs"]] == [column.name for column in manifest.columns]
    for way in ("default", "JSON", "version", "answer as JSON", "answer in binary"):
        assert seen[way] == scored(rows), way
    assert seen["error of another model"] == ["404", "There is no model other here. Served is shop version 1."]
    assert seen["error without a key"][0] == "401"
    assert seen["error of gzip"][0] == "415"


def test_kserves_client(endpoint, rows, scored):
    seen = run("kserve", url=endpoint.url, key=key(endpoint), model=MODEL, rows=rows)
    assert (seen["live"], seen["ready"], seen["model ready"]) == (True, True, True)
    for way in ("binary", "JSON"):
        assert seen[way] == {"id": "mine", **scored(rows)}, way
    assert seen["error of another model"].startswith("There is no model other here. Served is shop version 1.")


@pytest.fixture
def keyed_port(endpoint):
    """The port of a proxy that adds the key, as MLflow's client cannot."""
    target = httpx.Client(base_url=endpoint.url, trust_env=False, timeout=30)

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {"Authorization": f"Bearer {key(endpoint)}"}
            if "Content-Type" in self.headers:
                headers["Content-Type"] = self.headers["Content-Type"]
            answer = target.request(self.command, self.path, content=body, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = forward  # noqa: N815

        def log_message(self, *_):
            pass

    with target, ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy.server_port
        proxy.shutdown()


def test_mlflows_client(endpoint, manifest, rows, scored, keyed_port):
    document = endpoint.anonymous.get("/openapi.json").json()
    body = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]
    examples = {name: json.dumps(example["value"]) for name, example in body["examples"].items()}
    names = [column.name for column in manifest.columns]
    seen = run("mlflow_client", port=keyed_port, columns=names, rows=rows, examples=examples)
    expected = scored(rows)
    for way in ("frame", "array", "records", "instances", "csv"):
        assert seen[way] == expected["label"], way
    for way in ("frame, probabilities", "frame as pandas", "records, probabilities"):
        assert seen[way] == expected["probabilities"], way
    assert seen["version"] == "0.1.0"
    assert seen["error"].startswith("Invocation failed (error code 400, response: ")
    refused = json.loads(seen["error"].partition("response: ")[2].removesuffix(")"))
    assert refused["error_code"] == "BAD_REQUEST"
    assert refused["message"].startswith('Row 0: unknown column "other". Expected: age')
    assert seen["parsed by its server"] == dict.fromkeys(examples, 1)
