"""A verified bundle, ready to score: its trees in the compiled kernel, or its graph in ONNX Runtime.

The kernel scores only where it agrees with the graph, on this machine and on each load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import onnxruntime

from bundle.agreement import TOLERANCE, disagreement, trial_rows
from bundle.compiled import Compiled, KernelMissing
from bundle.decision import decision_of
from bundle.encoding import Encoder, Matrix
from bundle.errors import BundleCorrupt, GoldenMismatch
from bundle.forest import FOREST, read_forest
from bundle.manifest import GOLDEN, SCORER_GRAPH, Label, Manifest, Value
from bundle.read import read_golden, verify

log = logging.getLogger("homeport.bundle")

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

    def __init__(self, folder: Path, compiled: bool = True) -> None:
        """Verify the files, create the session, replay the golden rows. Raises BundleError.

        With `compiled` the kernel takes over if the bundle has a forest, there is a kernel, and the two
        agree; `runtime` says which of them scores.
        """
        self.manifest: Manifest = verify(folder)
        self.names: tuple[str, ...] = tuple(column.name for column in self.manifest.columns)
        self.encode = Encoder(self.manifest.columns)
        self.decide = decision_of(self.manifest)
        try:
            session = inference_session((folder / SCORER_GRAPH).read_bytes())
        except Exception as error:  # the runtime's exceptions have no common base
            raise BundleCorrupt(
                f"{folder / SCORER_GRAPH} cannot be run by ONNX Runtime {onnxruntime.__version__}: {error}. "
                "Train the model again with this version of Homeport."
            ) from error
        result = [output.name for output in session.get_outputs()]
        self._run: Callable[[Matrix], Outputs] = lambda matrix: session.run(result, {"matrix": matrix})[0]
        self.runtime: Literal["compiled", "onnxruntime"] = "onnxruntime"
        golden, unit = self._replay(folder)
        if compiled and (kernel := self._kernel(folder, golden, unit)):
            self._run = kernel  # which lets the session go, and its memory
            self.runtime = "compiled"

    def outputs(self, matrix: Matrix) -> Outputs:
        """Probabilities of shape (rows, classes); for regression values of shape (rows, 1)."""
        return self._run(matrix)

    def labels(self, outputs: Outputs) -> list[Label] | list[float]:
        """The class of each row that `bundle.decision` decides on; for regression the value itself."""
        if self.manifest.regression:
            return cast("list[float]", outputs[:, 0].tolist())
        classes = self.manifest.classes
        if len(outputs) == 1 and self.manifest.threshold is None:  # a third of what numpy takes for one row
            row = outputs[0].tolist()
            return [classes[row.index(max(row))]]
        return [classes[place] for place in self.decide(outputs).tolist()]

    def tuples(self, rows: Iterable[Mapping[str, Value]]) -> list[Sequence[Value]]:
        """Rows as mappings → tuples in the order of the columns; absent columns are missing."""
        return [tuple(row.get(name) for name in self.names) for row in rows]

    def _kernel(self, folder: Path, golden: Matrix, unit: float) -> Compiled | None:
        """The kernel if it may score; otherwise the log says why not. `unit` is what a regression's error is in."""
        columns, outputs = self.manifest.columns, len(self.manifest.classes) or 1
        title = f"Model {self.manifest.name} {self.manifest.version}: "
        if FOREST not in self.manifest.files:
            log.info("%sONNX Runtime scores, the bundle has no %s.", title, FOREST)
            return None
        forest = read_forest((folder / FOREST).read_bytes(), len(columns), outputs)
        try:
            kernel = Compiled(forest, len(columns))
        except KernelMissing as missing:
            log.info("%sONNX Runtime scores, there is no compiled kernel: %s.", title, missing)
            return None
        tried = np.concatenate([golden, trial_rows(forest, columns)])
        differs = disagreement(kernel(tried), self._run(tried), unit)
        if differs:
            log.warning("%sONNX Runtime scores, the compiled kernel differs from it %s.", title, differs)
            return None
        log.info("%sthe compiled kernel scores.", title)
        return kernel

    def _replay(self, folder: Path) -> tuple[Matrix, float]:
        golden = read_golden(folder)
        encoded = self.encode(self.tuples(golden.rows))
        outputs = self.outputs(encoded)
        difference = np.abs(outputs - np.array(golden.outputs)).max(axis=1)
        worst = int(difference.argmax())
        if not difference[worst] <= golden.tolerance:  # also when it is NaN
            raise GoldenMismatch(
                f"{folder / GOLDEN}: row {worst} gives {outputs[worst].tolist()} here, and gave "
                f"{list(golden.outputs[worst])} when the bundle was written. Train the model again on "
                f"this machine, or use the ONNX Runtime it was written with "
                f"({self.manifest.training.versions.get('onnxruntime', 'unknown')})."
            )
        return encoded, golden.tolerance / TOLERANCE
