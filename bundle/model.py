"""A verified bundle, ready to score: the float graph in ONNX Runtime behind the encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import onnxruntime

from bundle.encoding import Encoder, Matrix
from bundle.errors import BundleCorrupt, GoldenMismatch
from bundle.manifest import GOLDEN, SCORER_GRAPH, Label, Manifest, Value
from bundle.read import read_golden, verify

Outputs = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def inference_session(graph: bytes) -> onnxruntime.InferenceSession:
    """A session on one thread: for trees, more threads cost more CPU than they save time.

    Raises the runtime's own exceptions on a graph that it cannot run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class Model:
    """The model of one bundle.

    >>> model = Model(Path("models/bank-marketing/1"))
    >>> model.outputs(model.encode([row]))
    array([[0.93, 0.07]], dtype=float32)
    """

    def __init__(self, folder: Path) -> None:
        """Verify the files, create the session, replay the golden rows. Raises BundleError."""
        self.manifest: Manifest = verify(folder)
        self.names: tuple[str, ...] = tuple(column.name for column in self.manifest.columns)
        self.encode = Encoder(self.manifest.columns)
        try:
            self._session = inference_session((folder / SCORER_GRAPH).read_bytes())
        except Exception as error:  # the runtime's exceptions have no common base
            raise BundleCorrupt(
                f"{folder / SCORER_GRAPH} cannot be run by ONNX Runtime {onnxruntime.__version__}: {error}. "
                "Train the model again with this version of Homeport."
            ) from error
        self._result = [output.name for output in self._session.get_outputs()]
        self._replay(folder)

    def outputs(self, matrix: Matrix) -> Outputs:
        """Probabilities of shape (rows, classes); for regression values of shape (rows, 1)."""
        outputs: Outputs = self._session.run(self._result, {"matrix": matrix})[0]
        return outputs

    def labels(self, outputs: Outputs) -> list[Label] | list[float]:
        """The most probable class of each row; for regression the value itself."""
        if self.manifest.regression:
            return cast("list[float]", outputs[:, 0].tolist())
        classes = self.manifest.classes
        if len(outputs) == 1:  # a third of what numpy takes for one row
            row = outputs[0].tolist()
            return [classes[row.index(max(row))]]
        return [classes[place] for place in outputs.argmax(axis=1).tolist()]

    def tuples(self, rows: Iterable[Mapping[str, Value]]) -> list[Sequence[Value]]:
        """Rows as mappings → tuples in the order of the columns; absent columns are missing."""
        return [tuple(row.get(name) for name in self.names) for row in rows]

    def _replay(self, folder: Path) -> None:
        golden = read_golden(folder)
        outputs = self.outputs(self.encode(self.tuples(golden.rows)))
        difference = np.abs(outputs - np.array(golden.outputs)).max(axis=1)
        worst = int(difference.argmax())
        if not difference[worst] <= golden.tolerance:  # also when it is NaN
            raise GoldenMismatch(
                f"{folder / GOLDEN}: row {worst} gives {outputs[worst].tolist()} here, and gave "
                f"{list(golden.outputs[worst])} when the bundle was written. Train the model again on "
                f"this machine, or use the ONNX Runtime it was written with "
                f"({self.manifest.training.versions.get('onnxruntime', 'unknown')})."
            )
