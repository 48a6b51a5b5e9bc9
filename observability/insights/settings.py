"""Settings of insights: environment variables that start with `HOMEPORT_INSIGHTS_`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def pairs(text: str) -> dict[str, str]:
    """Addresses by name from `name=address`, separated by commas. Raises ValueError."""
    found = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, address = part.partition("=")
        if not name or not address.startswith(("http://", "https://")):
            raise ValueError(f"'{part}' should be a name, '=' and an address that starts with http:// or https://")
        found[name] = address
    return found


def _checked(text: str) -> str:
    pairs(text)
    return text


Pairs = Annotated[str, AfterValidator(_checked)]


class Settings(BaseSettings):
    """One field a setting; the field's docstring is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_INSIGHTS_", extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    data: Path = Path(".homeport/insights")
    """Folder of the database."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(default=8080, ge=1, le=65535)
    """Port to listen on."""

    hosts: str = ""
    """Names in the `Host` header to answer to beside loopback's and `insights`, separated by commas."""

    links: Pairs = "Swagger=http://127.0.0.1:8000/docs,MLflow=http://127.0.0.1:5001,Prefect=http://127.0.0.1:4200"
    """Pages of other services that the page links to: `name=address`, separated by commas."""

    availability: Pairs = ""
    """Addresses that are asked again and again whether they answer: `name=address`, separated by commas."""

    availability_seconds: float = Field(default=30.0, gt=0)
    """Time between two tests of an address."""

    alerts: Path | None = None
    """File of alert rules; by default those of `observability/insights/alerts.toml`."""

    alerts_seconds: float = Field(default=15.0, gt=0)
    """Time between two looks at the rules."""

    webhook: SecretStr = SecretStr("")
    """Address that alerts are posted to; empty is nowhere."""

    retention_days: float = Field(default=30.0, gt=0)
    """Older rows are deleted."""

    payload_days: float = Field(default=7.0, gt=0)
    """Older payloads, which hold values of rows, are deleted."""

    max_bytes: int = Field(default=2_000_000_000, ge=20_000_000)
    """Size of the database past which the oldest rows are deleted."""

    max_body_bytes: int = Field(default=16_000_000, ge=1)
    """Longest body of an export, compressed or not; a longer one is answered with 413."""

    max_waiting_bytes: int = Field(default=64_000_000, ge=1)
    """What may wait to be stored; past it an export is answered with 503."""

    memory_bytes: int = Field(default=256_000_000, ge=64_000_000)
    """Memory of the database for its cache and all queries together."""

    max_query_rows: int = Field(default=10_000, ge=1)
    """Most rows of an answer to a query."""

    max_query_seconds: float = Field(default=10.0, gt=0)
    """Longest time of a query; past it it is interrupted and answered with 400."""
