"""Settings of the telemetry of any service: environment variables that start with `HOMEPORT_TELEMETRY_`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One field a setting; the field's docstring is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_TELEMETRY_", extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    endpoint: str = Field(default="", pattern=r"^(https?://[^/]+/?)?$")
    """Where OTLP over HTTP goes, such as `http://127.0.0.1:4318`; empty is nowhere."""

    sample_share: float = Field(default=0.05, ge=0, le=1)
    """Share of the ordinary requests that are kept as spans; failed and slow ones all are."""

    slow_seconds: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    """A request that took longer is slow."""

    drift_rows: int = Field(default=500, ge=1)
    """Rows over which drift is computed: of fewer it says more about chance."""

    drift_seconds: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """Shortest time over which drift is computed."""

    switch: Path | None = None
    """File that turns telemetry off while it is there, also of a service that runs."""

    interval_seconds: float = Field(default=5.0, gt=0, le=3600)
    """Time between two sendings."""
