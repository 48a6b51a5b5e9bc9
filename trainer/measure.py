"""What an answer of an ensemble costs: µs a row and bytes, measured of its exported graph as it would serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from bundle.compiled import Compiled, KernelMissing
from bundle.forest import Forest, read_forest
from bundle.manifest import Label
from bundle.model import inference_session
from trainer.cost import Cost
from trainer.forest import export_forest
from trainer.graph import export_scorer
from trainer.metrics import Array
from trainer.vote import Ensemble

ROWS = 1_000
REPEATS = 7


def cost_of(ensemble: Ensemble, x: Array, classes: Sequence[Label]) -> Cost:
    """Export an ensemble and measure it on rows of the matrix `x`."""
    columns = x.shape[1]
    scorer = export_scorer(ensemble, columns, classes)
    weights = [member.weight for member in ensemble.members]
    forest = export_forest(scorer, weights, columns, ensemble.scale, len(classes))
    return measure(scorer, forest, x, len(classes))


def measure(scorer: bytes, forest: Forest | None, x: Array, classes: int) -> Cost:
    """The cost of what was exported: the compiled kernel's where that would serve, else ONNX Runtime's."""
    rows = np.ascontiguousarray(np.resize(x, (ROWS, x.shape[1])).astype(np.float32))
    run = kernel_of(forest, x.shape[1], classes or 1) or _graph(scorer)
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run(rows)
        taken.append(time.perf_counter() - started)
    return Cost(median(taken) / ROWS * 1e6, len(scorer))


def _graph(scorer: bytes) -> Callable[[Array], object]:
    session = inference_session(scorer)
    return lambda matrix: session.run(None, {"matrix": matrix})


def kernel_of(forest: Forest | None, columns: int, outputs: int) -> Compiled | None:
    """The compiled kernel over a forest as a server will read it; None without a forest, or a kernel here."""
    if forest is None:
        return None
    try:
        return Compiled(read_forest(forest.dumps(), columns, outputs), columns)
    except KernelMissing:
        return None
