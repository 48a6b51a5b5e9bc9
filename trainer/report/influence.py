"""Standard errors of the metrics, by the influence of each row.

A metric of n rows is, for large n, a mean over rows; what a row adds is its influence, and the standard
error is the influences' standard deviation by √n (Huber & Ronchetti, "Robust statistics", chapter 1).
For a mean it is the usual one; for ROC-AUC it is that of DeLong, DeLong and Clarke-Pearson (Biometrics,
1988), computed from ranks as in Sun and Xu (IEEE Signal Processing Letters, 2014).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from trainer.metrics import Array, one_hot


def standard_error(metric: str, values: Array, outputs: Array, places: Array | None = None) -> float:
    """Of a metric in `trainer.metrics.METRICS`; NaN where it is not defined on these rows.

    `places` are the classes that were decided on, if not the most probable ones.
    """
    if len(values) < 2:
        return float("nan")
    if metric in _DECIDED:
        found = _DECIDED[metric](values, outputs.argmax(axis=1) if places is None else places)
    else:
        found = _INFLUENCES[metric](values, outputs)
    return float(found.std(ddof=1) / len(values) ** 0.5)


def _log_loss(values: Array, outputs: Array) -> Array:
    shares = outputs / outputs.sum(axis=1, keepdims=True)
    found: Array = -np.log(np.clip(shares[np.arange(len(values)), values], np.finfo(np.float64).eps, 1))
    return found


def _accuracy(values: Array, said: Array) -> Array:
    return np.asarray(said == values, dtype=np.float64)


def _macro_f1(values: Array, said: Array) -> Array:
    """F1 of a class is the ratio of two means, 2·[hit] and [said] + [true]."""
    total = np.zeros(len(values))
    kinds = np.union1d(values, said)  # as scikit-learn counts the classes
    for kind in kinds:
        hit, either = 2.0 * ((values == kind) & (said == kind)), 1.0 * (values == kind) + (said == kind)
        total += (hit - hit.mean() / either.mean() * either) / either.mean()
    return np.asarray(total / len(kinds))


def _roc_auc(values: Array, outputs: Array) -> Array:
    present = np.unique(values)
    if len(present) < 2:
        return np.full(len(values), np.nan)
    hot = one_hot(values, outputs.shape[1])[:, present].astype(bool)
    parts = [_one_auc(hot[:, place], outputs[:, kind]) for place, kind in enumerate(present)]
    mean: Array = np.mean(parts, axis=0)
    return mean


def _one_auc(actual: Array, given: Array) -> Array:
    """A row's share of the pairs in which it stands on the right side, centred, by the weight of its class."""
    count, positives = len(actual), int(actual.sum())
    ranks = rankdata(given)
    right = np.empty(count)
    right[actual] = (ranks[actual] - rankdata(given[actual])) / (count - positives)
    right[~actual] = 1 - (ranks[~actual] - rankdata(given[~actual])) / positives
    area = right[actual].mean()
    return np.asarray(np.where(actual, count / positives, count / (count - positives)) * (right - area))


def _rmse(values: Array, outputs: Array) -> Array:
    squares = (values - outputs) ** 2
    return np.asarray(squares / (2 * float(np.sqrt(squares.mean())) or 1.0))


def _mae(values: Array, outputs: Array) -> Array:
    return np.asarray(np.abs(values - outputs))


def _r2(values: Array, outputs: Array) -> Array:
    squares, spread = (values - outputs) ** 2, (values - values.mean()) ** 2
    if not spread.any():
        return np.full(len(values), np.nan)
    ratio = squares.mean() / spread.mean()
    found: Array = -(squares - ratio * spread) / spread.mean()
    return found


_DECIDED = {"accuracy": _accuracy, "macro_f1": _macro_f1}
_INFLUENCES = {
    "roc_auc": _roc_auc,
    "roc_auc_ovr": _roc_auc,
    "log_loss": _log_loss,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
}
