"""A BentoML service around ONNX Runtime."""

from __future__ import annotations

from typing import Any

import bentoml

from benchmarks.peers.portable import Portable


@bentoml.service(workers=1)
class Scorer:
    """The bundle's graph."""

    def __init__(self) -> None:
        self._model = Portable()

    @bentoml.api(route="/score")
    def score(self, data: list[dict[str, Any]]) -> dict[str, Any]:
        """Score all rows of one request."""
        return {"result": self._model.labels(data)}
