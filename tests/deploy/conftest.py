"""The commands of `homeport deploy azure`, against an Azure of our own, in a folder of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bundle import Store
from homeport.__main__ import app
from homeport.errors import HomeportError
from tests.deploy.fake_azure import CONNECTION_KEY, IDENTITY_HEADER, STORAGE_KEY, SUBSCRIPTION, TOKEN, FakeAzure
from tests.deploy.runners import LocalPlace, serving_archive


class Failed(Exception):
    """A command ended with an error, as a person reads it."""


@dataclass
class Commands:
    """Runs commands, and keeps all that they say."""

    azure: FakeAzure
    folder: Path
    store: Store
    image: Path
    said: list[str]

    def __call__(self, *words: str, **settings: Any) -> str:
        """What a command says. Raises Failed."""
        self.settle(**settings)
        arguments = ["deploy", "azure", *words, "--settings", str(self.folder / "azure.toml")]
        arguments += ["--state", str(self.folder / "state")]
        if words[0] in ("plan", "apply"):
            arguments += ["--serving-image", str(self.image), "--models", str(self.store.root)]
        result = CliRunner().invoke(app, arguments)
        self.said.append(result.output)
        if isinstance(result.exception, HomeportError):
            self.said.append(str(result.exception))
            raise Failed(str(result.exception))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    def settle(self, **changes: Any) -> None:
        """Write the file of settings."""
        settings = {
            "subscription": SUBSCRIPTION, "group": "homeport", "location": "westeurope", "name": "homeport-shop",
            "registry": "homeportshop", "management": self.azure.server.url, "poll_seconds": 0.01, "wait_seconds": 60,
        } | changes  # fmt: skip
        lines = [
            f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
            for name, value in settings.items()
        ]
        (self.folder / "azure.toml").write_text("\n".join(lines))

    @property
    def group(self) -> dict[str, Any]:
        """The container group as it was deployed, with its secrets."""
        return next(one for one in self.azure.resources.values() if one["type"].endswith("/containerGroups"))

    @property
    def place(self) -> Any:
        return next(iter(self.azure.places.values()))

    def secrets(self) -> list[str]:
        """All that nobody may read."""
        found = [TOKEN, CONNECTION_KEY, STORAGE_KEY, IDENTITY_HEADER]
        for path in (self.folder / "state" / "azure").glob("*.keys.json*"):
            found += path.read_text().split('"')[3::4]
        return found


@pytest.fixture
def deploy(tmp_path, own_store, monkeypatch, caplog, capfd) -> Callable[..., str]:
    """The commands; at the end, nothing that was said or logged may hold a secret, but for what `keys` prints."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.INFO)
    with FakeAzure(tmp_path, LocalPlace) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        commands = Commands(azure, tmp_path, own_store, serving_archive(tmp_path / "serving.tar"), [])
        secrets: set[str] = set()
        yield commands
        secrets |= set(commands.secrets())
    everything = "\n".join([*commands.said, caplog.text, *capfd.readouterr()])
    for secret in secrets:
        assert secret not in everything
