"""Settings of the telemetry of any service: environment variables that start with `HOMEPORT_TELEMETRY_`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _address(endpoint: str) -> str:
    """Raises ValueError unless it is empty, or a host with or without a port."""
    parts = urlsplit(endpoint)
    wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query
    if endpoint and (wrong or parts.port == 0):  # `port` raises ValueError if it is none
        raise ValueError("it should look like http://127.0.0.1:4318")
    return endpoint


class Settings(BaseSettings):
    """One field a setting; the field's docstring is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_TELEMETRY_", extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    endpoint: Annotated[str, AfterValidator(_address)] = ""
    """Where OTLP over HTTP goes, such as `http://127.0.0.1:4318`; empty is nowhere."""

    azure: SecretStr = Field(default=SecretStr(""), validation_alias="APPLICATIONINSIGHTS_CONNECTION_STRING")
    """Connection string of Azure's Application Insights, which is sent the same; empty is none."""

    sample_share: float = Field(default=0.05, ge=0, le=1)
    """Share of the ordinary requests that are kept as spans; failed and slow ones all are."""

    slow_seconds: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    """A request that took longer is slow."""

    payload_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the scored requests whose rows and answers are sent as events `ml.payload`; 0: no value ever is."""

    payload_redact: str = ""
    """Columns whose values are replaced in what is kept, separated by commas."""

    drift_rows: int = Field(default=500, ge=1)
    """Rows over which drift is computed: of fewer it says more about chance."""

    drift_seconds: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """Shortest time over which drift is computed."""

    switch: Path | None = None
    """File that turns telemetry off while it is there, also of a service that runs."""

    interval_seconds: float = Field(default=5.0, gt=0, le=3600)
    """Time between two sendings."""

    @property
    def is_sent(self) -> bool:
        """Whether there is anywhere to send telemetry to."""
        return bool(self.endpoint or self.azure.get_secret_value())
