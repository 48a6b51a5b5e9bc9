"""A custom runtime for MLServer: tensors of the open inference protocol through ONNX Runtime."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.portable import Portable


class Runtime(MLModel):
    """The bundle's graph."""

    async def load(self) -> bool:
        """Make the session; called once in each worker."""
        self._session = Portable().session
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer the labels."""
        tensors = {given.name: NumpyCodec.decode_input(given) for given in payload.inputs}
        (labels,) = self._session.run(["label"], tensors)
        output = (StringCodec if labels.dtype == object else NumpyCodec).encode_output("label", labels)
        return InferenceResponse(model_name=self.name, outputs=[output])
