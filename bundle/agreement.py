"""Whether the compiled kernel answers as ONNX Runtime does, on this machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle.encoding import Matrix
from bundle.forest import Array, Forest
from bundle.manifest import Column

TOLERANCE = 1e-5  # as at the trainer's gate; for a regression in standard deviations of the target
_ROWS = 500


def trial_rows(forest: Forest, columns: Sequence[Column]) -> Matrix:
    """Rows to compare on, the same ones each time: float32 (rows, columns).

    Numbers of the column's range, on its thresholds and just above them, one in ten NaN; every category, unseen and
    missing ones.
    """
    rng = np.random.default_rng(0)
    matrix = np.empty((_ROWS, len(columns)), dtype=np.float32)
    for place, column in enumerate(columns):
        if column.kind == "category":
            matrix[:, place] = rng.integers(len(column.categories) + 2, size=_ROWS)
            continue
        low, high = column.minimum or 0.0, 1.0 if column.maximum is None else column.maximum
        matrix[:, place] = rng.uniform(low - column.offset, high - column.offset, _ROWS)
        thresholds = forest.threshold[forest.feature == place]
        thresholds = thresholds[np.abs(thresholds) < np.finfo(np.float32).max]
        if len(thresholds):
            near = rng.choice(np.append(thresholds, np.nextafter(thresholds, np.float32(np.inf))), _ROWS)
            matrix[:, place] = np.where(rng.random(_ROWS) < 0.5, near, matrix[:, place])
        matrix[rng.random(_ROWS) < 0.1, place] = np.nan
    return matrix


def disagreement(given: Array, expected: Array, spread: float) -> str | None:
    """How two sets of outputs differ, in words; None if they agree.

    They do if no value differs by more than TOLERANCE, and no label but for ties. `spread` is a
    regression's unit, and 1 otherwise.
    """
    difference = float(np.abs(given - expected).max()) / spread
    if not difference <= TOLERANCE:  # also when it is NaN
        return f"by {difference:.2g}"
    ranked = np.sort(expected, axis=1)
    clear = ranked[:, -1] - ranked[:, max(0, ranked.shape[1] - 2)] >= TOLERANCE
    flips = np.count_nonzero(clear & (given.argmax(axis=1) != expected.argmax(axis=1)))
    return f"in {flips} labels" if flips else None
