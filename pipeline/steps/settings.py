"""Where steps find and put things: environment variables that start with `HOMEPORT_PIPELINE_`."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Places(BaseSettings):
    """One field a setting; the field's docstring is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_PIPELINE_", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    data: Path = Path(".homeport/pipeline")
    """Folder of what pipelines remember: published ones, runs, results, Prefect's database."""

    models: Path = Path("models")
    """Folder of the bundles."""

    endpoint: str = "http://127.0.0.1:8000"
    """Address of the endpoint that a promoted version is tried on."""

    keys: Path = Path(".homeport/keys.json")
    """File of the endpoint's keys, of which the primary one is used."""

    cache: Path | None = None
    """Folder of downloaded data sets; by default the user's cache."""
