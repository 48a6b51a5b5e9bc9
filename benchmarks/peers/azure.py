"""The scoring script for Azure's inference server that its documentation shows, with ONNX Runtime."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.peers.portable import Portable

model: Portable


def init() -> None:
    """Load the model; the server calls it once."""
    global model  # noqa: PLW0603 - the server's protocol
    model = Portable()


def run(raw_data: str) -> dict[str, Any]:
    """Score one request; the server encodes what comes back."""
    return {"result": model.labels(json.loads(raw_data)["data"])}
