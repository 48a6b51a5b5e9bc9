"""The commands of `homeport deploy azure`, against an Azure of our own, in a folder of their own."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bundle import Store
from homeport.__main__ import app
from homeport.errors import HomeportError
from tests.conftest import Silent, quick, shop_frame, write_csv
from tests.deploy.fake_azure import CONNECTION_KEY, IDENTITY_HEADER, STORAGE_KEY, SUBSCRIPTION, TOKEN, FakeAzure, Run
from tests.deploy.runners import LocalPlace, StandIn, serving_archive
from trainer.job import train
from trainer.table import read_table


class Failed(Exception):
    """A command ended with an error, as a person reads it."""


@dataclass
class Commands:
    """Runs commands, and keeps all that they say."""

    azure: FakeAzure
    folder: Path
    store: Store
    image: Path | str
    said: list[str] = field(default_factory=list)
    _secrets: set[str] = field(default_factory=lambda: {TOKEN, CONNECTION_KEY, STORAGE_KEY, IDENTITY_HEADER})

    def __call__(self, *words: str, code: int = 0, **settings: Any) -> str:
        """What a command says. Raises Failed."""
        self.settle(**settings)
        arguments = ["deploy", "azure", *words, "--settings", str(self.folder / "azure.toml")]
        arguments += ["--state", str(self.folder / "state")]
        if words[0] in ("plan", "apply"):
            arguments += ["--serving-image", str(self.image), "--models", str(self.store.root)]
        result = CliRunner().invoke(app, arguments)
        self._notice()
        if words[0] != "keys":
            self.said.append(result.output)
        if isinstance(result.exception, HomeportError):
            self.said.append(str(result.exception))
            raise Failed(str(result.exception))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def settle(self, **changes: Any) -> None:
        """Write the file of settings."""
        settings = {
            "subscription": SUBSCRIPTION, "group": "homeport", "location": "westeurope", "name": "homeport-shop",
            "registry": "homeportshop", "management": self.azure.server.url, "poll_seconds": 0.01, "wait_seconds": 60,
        } | changes  # fmt: skip
        tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if name not in tables]
        for table, content in tables.items():
            lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in content.items())]
        (self.folder / "azure.toml").write_text("\n".join(lines))

    @property
    def group(self) -> dict[str, Any]:
        """The container group as it was deployed, with its secrets."""
        return next(one for one in self.azure.resources.values() if one["type"].endswith("/containerGroups"))

    @property
    def place(self) -> Any:
        return next(iter(self.azure.places.values()))

    @property
    def client(self) -> httpx.Client:
        """Of the endpoint, with the primary key."""
        keys = json.loads((self.folder / "state" / "azure" / "homeport-shop.keys.json").read_bytes())
        authorization = {"Authorization": f"Bearer {keys['primary']}"}
        return httpx.Client(
            base_url=f"http://{self.place.host}:{self.place.port}", headers=authorization, trust_env=False
        )

    def serves(self, version: str) -> bool:
        """Whether the endpoint answers with that version, and takes the key of this machine."""
        with self.client as client:
            ready = client.get("/health/ready").json()
            row = client.get("/swagger.json").json()["definitions"]["Row"]["example"]
            scored = client.post("/score", json={"data": [row]})
        return (ready["version"], scored.status_code) == (version, 200)

    def reveals(self, text: str) -> list[str]:
        """The secrets in a text."""
        return [secret for secret in self._secrets if secret in text]

    def _notice(self) -> None:
        for path in (self.folder / "state" / "azure").glob("*.keys.json*"):
            self._secrets |= set(json.loads(path.read_bytes()).values())


def prepared(
    folder: Path, store: Store, place: Run, monkeypatch: pytest.MonkeyPatch, **options: str
) -> Iterator[Commands]:
    """The commands, against an Azure whose container groups run in such places."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with FakeAzure(folder, place, **options) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield Commands(azure, folder, store, serving_archive(folder / "serving.tar"))


@pytest.fixture
def _silent(caplog, capfd):
    """At the end, nothing that was said or logged may hold a secret, but for what `keys` prints."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.INFO)
    watched: list[Commands] = []
    yield watched
    for commands in watched:
        assert not commands.reveals("\n".join([*commands.said, caplog.text, *capfd.readouterr()]))


@pytest.fixture
def deploy(tmp_path, own_store, monkeypatch, _silent):
    """The commands; the endpoint is a real one."""
    for commands in prepared(tmp_path, own_store, LocalPlace, monkeypatch):
        _silent.append(commands)
        yield commands


@pytest.fixture
def quick_deploy(tmp_path, own_store, monkeypatch, _silent):
    """The commands; the endpoint is one that starts at once."""
    for commands in prepared(tmp_path, own_store, StandIn, monkeypatch):
        _silent.append(commands)
        yield commands


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory, shop_store):
    """Two versions, the first of them champion. Tests copy it."""
    store = Store(tmp_path_factory.mktemp("two") / "models")
    shutil.copytree(shop_store.root, store.root)
    table = read_table(write_csv(shop_frame(400, seed=9), tmp_path_factory.mktemp("table") / "shop.csv"))
    assert train(quick(table, "buys", positive="yes", max_trials=2), store, Silent()).version == "2"
    return store
