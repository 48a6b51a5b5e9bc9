"""Settings of the endpoint: environment variables that start with `HOMEPORT_SERVING_`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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

    shadow: Path = Path(".homeport/shadow")
    """Folder of the comparisons with challengers."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""

    workers: int = Field(default=1, ge=1)
    """Server processes; one a core is the most that helps."""

    kernel: Literal["auto", "onnxruntime"] = "auto"
    """What scores: the compiled kernel where there is one and it agrees with ONNX Runtime, or always the latter."""

    max_body_bytes: int = Field(default=10_000_000, ge=1)
    """Longest request body; a longer one is answered with 413."""

    max_rows: int = Field(default=50_000, ge=1)
    """Most rows of one request; more are answered with 422."""

    max_seconds: float = Field(default=30.0, gt=0)
    """Longest time to answer a request; past it the answer is 504."""

    max_concurrency: int = Field(default=64, ge=1)
    """Requests that one worker has under way beside the small ones it answers at once; past it 429."""

    receive_seconds: int = Field(default=20, ge=1)
    """Longest time for a client to send its request or to take its answer; past it the connection is cut."""

    inline_bytes: int = Field(default=32_768, ge=0)
    """Requests with bodies up to this length are scored in the event loop, longer ones in a thread beside it."""

    cors_origins: str = ""
    """Origins that browsers may call from, separated by commas; `*` is any."""

    string_results: bool = False
    """Answer a JSON string that holds the JSON object, as deployments of Azure's first SDK did."""
