"""The embedded stack under a load that has something of everything, for tests of the page and its pictures."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bundle import Store
from serving.keys import read_keys
from tests.conftest import free_port, wait_until
from tests.homeport.test_commands import homeport

QUICK = {
    "HOMEPORT_SERVING_WORKERS": "2",
    "HOMEPORT_TELEMETRY_DRIFT_ROWS": "50",
    "HOMEPORT_TELEMETRY_DRIFT_SECONDS": "0",
}


@dataclass
class Stack:
    """An endpoint with two workers, insights beside it, and rows that the model knows."""

    folder: Path
    model: str
    endpoint: str
    insights: str
    rows: list[dict]
    key: str = ""
    clients: list[httpx.Client] = field(default_factory=list)

    def score(self, rows=None, *, key: str | None = None, **headers: str) -> httpx.Response:
        """Ask one of the connections, which are spread over the workers."""
        body = {"data": [random.choice(self.rows)] if rows is None else rows}
        given = {"Authorization": f"Bearer {self.key if key is None else key}", **headers}
        return random.choice(self.clients).post("/score", json=body, headers=given)

    def ask(self, query: str) -> list[list]:
        answer = httpx.post(f"{self.insights}/api/query", json={"query": query}, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]

    def promote(self, version: str) -> None:
        homeport("models", "promote", self.model, version, folder=self.folder)
        wait_until(lambda: all(self._version(client) == version for client in self.clients))

    def _version(self, client: httpx.Client) -> str:
        answer = client.post("/score", json={"data": self.rows[:1]}, headers={"Authorization": f"Bearer {self.key}"})
        return answer.headers["x-model-version"]


@contextmanager
def stack(
    folder: Path, store: Store, model: str, rows: list[dict], settings: dict[str, str] = QUICK
) -> Iterator[Stack]:
    """Start it on free ports over a copy of the store, and stop it. By default drift is told of few rows."""
    shutil.copytree(store.root, folder / "models")
    ports = free_port(), free_port()
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        homeport("up", "--port", ports[0], "--insights-port", ports[1], folder=folder)
    finally:
        os.environ.clear()
        os.environ.update(before)
    endpoint, insights = (f"http://127.0.0.1:{port}" for port in ports)
    key = read_keys(folder / ".homeport" / "keys.json").primary
    clients = [httpx.Client(base_url=endpoint, trust_env=False, timeout=30) for _ in range(6)]
    try:
        yield Stack(folder, model, endpoint, insights, rows, key, clients)
    finally:
        for client in clients:
            client.close()
        homeport("down", folder=folder)
