"""A LitServe API around ONNX Runtime: `python -m benchmarks.peers.litserve`.

LitServe reads the annotations of the body and the answer itself: they must not be strings.
"""

import os
from typing import Any

import litserve

from benchmarks.peers.portable import Portable


class Scorer(litserve.LitAPI):
    """The bundle's graph."""

    def setup(self, device: str) -> None:
        """Make the session; called once in each worker."""
        self._model = Portable()

    def decode_request(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the rows out of the body."""
        rows: list[dict[str, Any]] = request["data"]
        return rows

    def predict(self, x: list[dict[str, Any]]) -> list[Any]:
        """Score the rows."""
        return self._model.labels(x)

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """Put the labels into the answer."""
        return {"result": output}


if __name__ == "__main__":
    # the fast queue is what its documentation says to use above 100 requests a second
    server = litserve.LitServer(Scorer(api_path="/score"), accelerator="cpu", fast_queue=True)
    server.run(host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), generate_client_file=False)
