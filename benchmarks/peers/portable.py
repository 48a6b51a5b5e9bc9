"""A bundle's portable graph (`model.onnx`) for the peers: rows in, one tensor a column, labels out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

_TYPES: dict[str, Any] = {"tensor(string)": object, "tensor(float)": np.float32, "tensor(double)": np.float64}


class Portable:
    """The session and the names of its inputs.

    >>> Portable().labels([{"age": 41, "job": "admin."}])
    ['no']
    """

    def __init__(self) -> None:
        """Load the bundle that the environment variable BENCH_BUNDLE names."""
        bundle = Path(os.environ["BENCH_BUNDLE"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # more threads cost a peer twice the CPU at 1,000 rows
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(bundle / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        types = {given.name: _TYPES[given.type] for given in self.session.get_inputs()}
        columns = json.loads((bundle / "manifest.json").read_text())["columns"]
        self.columns = [(column["name"], column["onnx_name"], types[column["onnx_name"]]) for column in columns]
        self.kinds = {column["name"]: str(column["kind"]) for column in columns}

    def labels(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The label of each row."""
        tensors = {
            onnx_name: np.array([row[name] for row in rows], dtype=kind).reshape(-1, 1)
            for name, onnx_name, kind in self.columns
        }
        labels: list[Any] = self.session.run(["label"], tensors)[0].tolist()
        return labels
