"""One endpoint, wherever it is: by default the embedded one, else the one that is named.

    pytest tests/conformance --endpoint http://homeport-bank.westeurope.azurecontainer.io:8000 \
        --key "$(homeport deploy azure keys primary)" --second-key "$(homeport deploy azure keys secondary)"

`--ingestion PORT` says that its telemetry goes to that port of this machine, where the suite listens, as Azure does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from serving.keys import read_keys
from tests.conftest import free_port, serve
from tests.sink import Sink

INSTRUMENTATION = "5ec2e700-1234-4abc-8def-0123456789ab"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--endpoint", help="address of the endpoint")
    group.addoption("--key", help="its primary key")
    group.addoption("--second-key", help="its secondary key")
    group.addoption("--ingestion", type=int, help="port of this machine to which its telemetry goes")


@dataclass(frozen=True)
class Endpoint:
    """What is held to the contract; all that is asked of it is found out from itself."""

    client: httpx.Client
    anonymous: httpx.Client
    keys: tuple[str, str]
    ingested: Sink | None

    @property
    def row(self) -> dict[str, Any]:
        """The example of its own description."""
        found: dict[str, Any] = self.client.get("/swagger.json").json()["definitions"]["Row"]["example"]
        return found

    @property
    def model(self) -> str:
        name: str = self.anonymous.get("/health/ready").json()["model"]
        return name

    def post(self, content: Any, **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.client.post("/score", content=body, headers={"Content-Type": "application/json"} | headers)


def _at(url: str, keys: tuple[str, str], ingested: Sink | None) -> Iterator[Endpoint]:
    authorization = {"Authorization": f"Bearer {keys[0]}"}
    with (
        httpx.Client(base_url=url, headers=authorization, timeout=30) as client,
        httpx.Client(base_url=url, timeout=30) as anonymous,
    ):
        yield Endpoint(client, anonymous, keys, ingested)


@pytest.fixture(scope="session")
def conforming(request, tmp_path_factory):
    """The endpoint."""
    option = request.config.getoption
    url, port = option("--endpoint", None), option("--ingestion", None)
    if url:
        keys = option("--key"), option("--second-key")
        assert all(keys), "--endpoint needs --key and --second-key"
        if port is None:
            yield from _at(url, keys, None)
            return
        with Sink(port, "0.0.0.0") as sink:
            yield from _at(url, keys, sink)
        return
    folder = tmp_path_factory.mktemp("conforming")
    with Sink(free_port()) as sink, pytest.MonkeyPatch.context() as patch:
        connection = (
            f"InstrumentationKey={INSTRUMENTATION};IngestionEndpoint={sink.url}/;LiveEndpoint=http://127.0.0.1:9/"
        )
        patch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", connection)
        patch.setenv("HOMEPORT_TELEMETRY_INTERVAL_SECONDS", "0.2")
        with serve(folder, request.getfixturevalue("shop_store").root) as running:
            keys = read_keys(folder / "keys.json")
            yield from _at(running.url, (keys.primary, keys.secondary), sink)
