"""Settings of the pipeline service: environment variables that start with `HOMEPORT_PIPELINE_`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from pipeline.steps.settings import Places


class Settings(Places):
    """One field a setting, beside those of `Places`; the field's docstring is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_PIPELINE_", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(default=8010, ge=1, le=65535)
    """Port to listen on."""

    public_url: str = ""
    """Address that clients call, as answers name it; by default that of host and port."""

    prefect_url: str = "http://127.0.0.1:4200"
    """Address of Prefect's server; its page is there too."""

    prefect_host: str = "127.0.0.1"
    """Address that Prefect's server listens on, on the port of its address."""

    prefect_page: str = ""
    """Address of Prefect's page as people open it; by default that of the server."""

    engine: bool = True
    """Run Prefect's server and worker as processes of this service; else they run elsewhere."""

    concurrency: int = Field(default=1, ge=1)
    """Runs at the same time; further ones wait."""

    insights: str = ""
    """Address of insights, which triggers ask for drift; empty is none."""
