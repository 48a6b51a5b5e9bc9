"""`python -m benchmarks.peers.mlflow`: saves the bundle's graph as an MLflow model of the onnx flavour."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

_TYPES: dict[int, Any] = {
    onnx.TensorProto.STRING: np.dtype(str),
    onnx.TensorProto.FLOAT: np.dtype(np.float32),
    onnx.TensorProto.DOUBLE: np.dtype(np.float64),
}


def main() -> None:
    """Save with a signature, so that MLflow checks and converts the tensors."""
    folder = Path(os.environ["BENCH_WORK"]) / "mlflow"
    graph = onnx.load(Path(os.environ["BENCH_BUNDLE"]) / "model.onnx")
    specs = [TensorSpec(_TYPES[i.type.tensor_type.elem_type], (-1, 1), i.name) for i in graph.graph.input]
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.onnx.save_model(
        graph,
        folder,
        signature=ModelSignature(Schema(specs)),
        onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
    )


if __name__ == "__main__":
    main()
