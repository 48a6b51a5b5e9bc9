"""`/v2/models/<name>[/versions/<version>]/infer`: the Open Inference Protocol, version 2, over HTTP.

What KServe, Triton, MLServer and others speak: https://github.com/kserve/open-inference-protocol, with
Triton's binary tensor data extension, which its client uses unless told otherwise. Each column is a
tensor of shape [rows] or [rows, 1], under its own name or its name in `model.onnx`.

| column | datatypes | missing |
| --- | --- | --- |
| number | FP64, FP32, FP16 (in binary), INT8 to INT64, UINT8 to UINT64 | null or NaN |
| boolean | BOOL; or 0 and 1 in those of numbers, as `model.onnx` has them | null or NaN |
| category | BYTES | null or "" |
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from bundle import Manifest
from bundle.model import Outputs
from serving.errors import InvalidRequest
from serving.exchange import Answer, Dialect, Request, worded
from serving.nan import nan_as_null
from serving.scorer import Scorer, shown
from serving.tensors import NUMBERS, Tensor, packed

EXTENSIONS = ("binary_tensor_data",)
DATATYPES = (*NUMBERS, "BOOL", "BYTES")
NATURAL = {"number": "FP64", "boolean": "BOOL", "category": "BYTES"}
_ACCEPTED = {"number": tuple(NUMBERS), "boolean": ("BOOL", *NUMBERS), "category": ("BYTES",)}
_TRUTH = {0: False, 1: True}
_HEAD_LENGTH = b"inference-header-content-length"


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """One output that the client asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class Inference(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a request; some clients repeat in it the model that the path names."""

    inputs: list[Tensor]
    outputs: list[Wanted] | None = None
    parameters: dict[str, Any] | None = None
    id: str | None = None
    model_name: str | None = None
    model_version: str | None = None


def metadata(manifest: Manifest) -> dict[str, Any]:
    """What the protocol says of a model; -1 is any number of rows."""
    return {
        "name": manifest.name,
        "versions": [manifest.version],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": column.name, "datatype": NATURAL[column.kind], "shape": [-1, 1]} for column in manifest.columns
        ],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1, *shape]}
            for name, (datatype, shape) in _outputs(manifest).items()
        ],
    }


def _outputs(manifest: Manifest) -> dict[str, tuple[str, list[int]]]:
    """The outputs of `model.onnx`: datatype, and shape of one row."""
    if manifest.regression:
        return {"value": ("FP64", [1])}
    label = {bool: "BOOL", int: "INT64"}.get(type(manifest.classes[0]), "BYTES")
    return {"label": (label, []), "probabilities": ("FP32", [len(manifest.classes)])}


class OpenInference(Dialect):
    """Tensors in, tensors out, each as JSON or in binary."""

    name = "oip"

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._manifest = scorer.manifest
        self._decode = msgspec.json.Decoder(Inference).decode
        columns = scorer.manifest.columns
        self._columns = {column.onnx_name: column for column in columns} | {column.name: column for column in columns}
        self._outputs = _outputs(scorer.manifest)
        self._no_rows: Outputs = np.empty((0, len(scorer.manifest.classes) or 1), dtype=np.float32)

    def answer(self, request: Request) -> Answer:
        """Score the rows that the input tensors make."""
        inference, binary = self._read(request)
        wanted = self._wanted(inference)
        rows = self._rows(inference.inputs, binary)
        found = self._scorer.outputs(rows, request.deadline) if rows else self._no_rows
        outputs, tail = [], []
        for name, in_binary in wanted.items():
            datatype, shape = self._outputs[name]
            values = self._scorer.model.labels(found) if name == "label" else found.ravel().tolist()
            output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [len(rows), *shape]}
            if in_binary:
                tail.append(packed(datatype, values))
                output["parameters"] = {"binary_data_size": len(tail[-1])}
            else:
                output["data"] = values
            outputs.append(output)
        answer = {"model_name": self._manifest.name, "model_version": self._manifest.version, "outputs": outputs}
        if inference.id is not None:
            answer["id"] = inference.id
        head = msgspec.json.encode(answer)
        if not tail:
            return Answer(head, rows=len(rows))
        length = [(_HEAD_LENGTH, b"%d" % len(head))]
        return Answer(b"".join((head, *tail)), headers=length, media=b"application/octet-stream", rows=len(rows))

    @classmethod
    def refusal(cls, status: int, message: str) -> bytes:
        """The protocol's error."""
        return worded({"error": message})

    def _read(self, request: Request) -> tuple[Inference, memoryview]:
        """The JSON of a request and the bytes after it. Raises InvalidRequest."""
        body = memoryview(request.body)
        length = len(body)
        declared = request.headers.get(_HEAD_LENGTH)
        if declared is not None:
            if not declared.isdigit() or len(declared) > 18 or int(declared) > length:
                raise InvalidRequest(
                    f"Inference-Header-Content-Length is {declared[:80].decode('latin-1')}, expected the length of "
                    f"the JSON, at most the body's {length}."
                )
            length = int(declared)
        try:
            return nan_as_null(self._decode, body[:length]), body[length:]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f"The body is no inference request in JSON: {error}.") from error

    def _wanted(self, inference: Inference) -> dict[str, bool]:
        """The outputs to answer, each with whether it is to be binary. Raises InvalidRequest."""
        binary = _flag(inference.parameters, "binary_data_output", False)
        if not inference.outputs:
            return dict.fromkeys(self._outputs, binary)
        wanted: dict[str, bool] = {}
        for output in inference.outputs:
            if output.name not in self._outputs:
                raise InvalidRequest(
                    f"Output {shown(output.name)} is unknown. The model answers: {', '.join(self._outputs)}."
                )
            if output.name in wanted:
                raise InvalidRequest(f"Output {shown(output.name)} is there twice.")
            wanted[output.name] = _flag(output.parameters, "binary_data", binary)
        return wanted

    def _rows(self, inputs: list[Tensor], binary: memoryview) -> list[Any]:
        """Rows of the model's columns. Raises InvalidRequest, TooManyRows."""
        count = inputs[0].rows if inputs else 0
        self._scorer.admit(count)
        values: dict[str, list[Any]] = {}
        for tensor in inputs:
            column = self._columns.get(tensor.name)
            if column is None:
                known = ", ".join(column.name for column in self._manifest.columns)
                raise InvalidRequest(f"Input {shown(tensor.name)} is unknown. The model takes: {known}.")
            if column.name in values:
                raise tensor.wrong("the column is there twice")
            if tensor.datatype not in _ACCEPTED[column.kind]:
                expected = ", ".join(_ACCEPTED[column.kind])
                raise tensor.wrong(f"got datatype {shown(tensor.datatype)}, expected {expected} for a {column.kind}")
            if tensor.rows != count:
                raise tensor.wrong(f"got {tensor.rows} rows, expected {count} as in {shown(inputs[0].name)}")
            size = (tensor.parameters or {}).get("binary_data_size")
            if size is None:
                found = tensor.values(None)
            elif type(size) is int and 0 <= size <= len(binary):
                found, binary = tensor.values(binary[:size]), binary[size:]
            else:
                raise tensor.wrong(
                    f"binary_data_size is {shown(size)}, and {len(binary)} bytes are left; "
                    "Inference-Header-Content-Length says where the JSON ends and they begin"
                )
            if column.kind == "boolean":
                found = [_TRUTH.get(value, value) for value in found]
            values[column.name] = found
        if binary:
            raise InvalidRequest(f"{len(binary)} bytes after the JSON belong to no input.")
        for column in self._manifest.columns:
            if column.required and column.name not in values:
                raise InvalidRequest(
                    f"Input {shown(column.name)} is missing. Expected a tensor of {NATURAL[column.kind]} and shape "
                    f"[rows, 1], with values such as {shown(column.example)}."
                )
        names = tuple(values)
        return self._scorer.rows([dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)])


def _flag(parameters: dict[str, Any] | None, name: str, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise InvalidRequest(f"Parameter '{name}' is {shown(value)}, expected true or false.")
    return value
