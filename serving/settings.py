"""Settings of the endpoint: environment variables that start with `HOMEPORT_SERVING_`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One field a setting; the field's docstring is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_SERVING_", extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    models: Path = Path("models")
    """Folder of the bundles."""

    model: str | None = None
    """Name of the model to serve; by default the one that was promoted last."""

    keys: Path = Path(".homeport/keys.json")
    """File of the two keys; made with new keys at the first start."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""

    workers: int = Field(default=1, ge=1)
    """Server processes; one a core is the most that helps."""

    max_body_bytes: int = Field(default=10_000_000, ge=1)
    """Longest request body; a longer one is answered with 413."""

    inline_rows: int = Field(default=128, ge=0)
    """Requests up to this many rows are scored in the event loop, larger ones in a thread beside it."""

    cors_origins: str = ""
    """Origins that browsers may call from, separated by commas; `*` is any."""

    string_results: bool = False
    """Answer a JSON string that holds the JSON object, as deployments of Azure's first SDK did."""
