"""`python -m benchmarks.peers.mlflow`: saves the bundle's graph as an MLflow model of the onnx flavour."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from onnx import helper

_TYPES: dict[int, Any] = {
    onnx.TensorProto.STRING: np.dtype(str),
    onnx.TensorProto.FLOAT: np.dtype(np.float32),
    onnx.TensorProto.DOUBLE: np.dtype(np.float64),
}


def flat(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with inputs of shape (rows), not (rows, 1).

    MLflow copies lists of lists so slowly that 1,000 rows would cost six times as much.
    """
    given = [(value.name, value.type.tensor_type.elem_type) for value in model.graph.input]
    inner = {name: f"{name}_column" for name, _ in given}
    for node in model.graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
    nodes = [helper.make_node("Unsqueeze", [name, "column_axis"], [inner[name]]) for name, _ in given]
    nodes.extend(model.graph.node)
    inputs = [helper.make_tensor_value_info(name, kind, [None]) for name, kind in given]
    constants = [*model.graph.initializer, helper.make_tensor("column_axis", onnx.TensorProto.INT64, [1], [1])]
    graph = helper.make_graph(nodes, model.graph.name, inputs, list(model.graph.output), constants)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def main() -> None:
    """Save with a signature, so that MLflow checks and converts the tensors."""
    model = flat(onnx.load(Path(os.environ["BENCH_BUNDLE"]) / "model.onnx"))
    specs = [TensorSpec(_TYPES[i.type.tensor_type.elem_type], (-1,), i.name) for i in model.graph.input]
    mlflow.onnx.save_model(
        model,
        Path(os.environ["BENCH_WORK"]) / "mlflow",
        signature=ModelSignature(Schema(specs)),
        onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
    )


if __name__ == "__main__":
    main()
