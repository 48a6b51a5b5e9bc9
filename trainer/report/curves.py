"""How well the probabilities of a classification order the rows, and how true they are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from bundle.manifest import Label
from trainer.metrics import Array
from trainer.report.scored import Scored

MAX_CLASSES = 6  # with curves of their own
MAX_POINTS = 200  # of a curve: more are not seen
BINS = 10


@dataclass(frozen=True)
class Curve:
    """A line through `x` and `y`, both (points,) from 0 to 1, and its summary where it has one."""

    x: Array
    y: Array
    area: float = float("nan")


@dataclass(frozen=True)
class ClassCurves:
    """One class against the others; `mark` is (fpr, tpr, precision, share taken) at a binary model's threshold."""

    label: Label
    rows: int
    share: float
    roc: Curve  # false positive rate, true positive rate
    recall: Curve  # recall, precision; the area is the average precision
    gains: Curve  # share of the rows taken, by falling probability; share of the class among them
    mark: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Calibration:
    """Rows by what was predicted, in bins of equal width: all (bins,), of bins that hold rows.

    `gap` is the mean distance of the two over all rows, the expected calibration error of Guo et al.,
    "On calibration of modern neural networks", ICML 2017. `low` and `high` bound the frequency with 95 %
    (Wilson).
    """

    title: str  # of what the probability is
    predicted: Array
    actual: Array
    counts: Array
    low: Array
    high: Array
    gap: float


@dataclass(frozen=True)
class Confusion:
    """Rows by actual (first axis) and predicted class. Classes without a place of their own are the last, `other`."""

    labels: tuple[str, ...]
    counts: Array  # (labels, labels)


def class_curves(scored: Scored) -> tuple[ClassCurves, ...]:
    """Curves of the positive class, or of the most frequent classes; of those that have rows and leave some."""
    counts = np.bincount(scored.values, minlength=len(scored.classes))
    shown = [scored.positive] if scored.positive is not None else np.argsort(-counts, kind="stable")[:MAX_CLASSES]
    return tuple(_curves(scored, int(place)) for place in shown if 0 < counts[place] < len(scored.values))


def calibration(scored: Scored) -> Calibration:
    """Of the positive class's probability; of more than two classes the probability of the one that is answered."""
    if scored.positive is not None:
        given, actual = scored.outputs[:, scored.positive], scored.values == scored.positive
        title = f"probability of {scored.classes[scored.positive]}"
    else:
        given, actual = scored.outputs.max(axis=1), scored.values == scored.predicted
        title = "probability of the class that is answered"
    given = np.clip(given, 0, 1)
    true, predicted = calibration_curve(actual, given, n_bins=BINS) if len(set(actual)) > 1 else _flat(actual, given)
    # as calibration_curve has its bins, which it does not count
    counts = np.bincount(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], given), minlength=BINS)
    counts = counts[counts > 0]
    if len(counts) != len(true):  # one class only: a single point
        counts = np.array([len(given)])
    bounds = [
        binomtest(round(share * count), int(count)).proportion_ci(method="wilson")
        for share, count in zip(true, counts, strict=True)
    ]
    return Calibration(
        title,
        predicted,
        true,
        counts,
        np.array([bound.low for bound in bounds]),
        np.array([bound.high for bound in bounds]),
        float(np.average(np.abs(true - predicted), weights=counts)),
    )


def confusion(scored: Scored, most: int = 12) -> Confusion:
    """Counts of the `most` most frequent classes, in the order of the classes."""
    kinds = len(scored.classes)
    labels = [str(label) for label in scored.classes]
    counts = sk.confusion_matrix(scored.values, scored.predicted, labels=np.arange(kinds))
    if kinds <= most:
        return Confusion(tuple(labels), counts)
    frequent = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[: most - 1])
    place = np.full(kinds, most - 1)
    place[frequent] = np.arange(most - 1)
    merged = np.zeros((most, most), dtype=np.int64)
    np.add.at(merged, (place[:, None], place[None, :]), counts)
    return Confusion((*(labels[number] for number in frequent), f"{kinds - most + 1} others"), merged)


def _curves(scored: Scored, place: int) -> ClassCurves:
    actual, given = scored.values == place, scored.outputs[:, place]
    false, true, _ = sk.roc_curve(actual, given)
    precision, recall, _ = sk.precision_recall_curve(actual, given)
    order = np.argsort(-given, kind="stable")
    taken = np.arange(len(given) + 1) / len(given)
    found = np.concatenate([[0], np.cumsum(actual[order])]) / actual.sum()
    mark = None
    if scored.positive == place:
        said = scored.predicted == place
        hits = int((said & actual).sum())
        mark = (
            float((said & ~actual).sum() / (~actual).sum()),
            hits / int(actual.sum()),
            hits / int(said.sum()) if said.any() else 1.0,
            float(said.mean()),
        )
    return ClassCurves(
        scored.classes[place],
        int(actual.sum()),
        float(actual.mean()),
        Curve(*_thin(false, true), float(sk.roc_auc_score(actual, given))),
        Curve(*_thin(recall[::-1], precision[::-1]), float(sk.average_precision_score(actual, given))),
        Curve(*_thin(taken, found)),
        mark,
    )


def _thin(x: Array, y: Array) -> tuple[Array, Array]:
    """Some of the points, with both ends, evenly along the line."""
    if len(x) <= MAX_POINTS:
        return x, y
    way = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    chosen = np.unique(np.searchsorted(way, np.linspace(0, way[-1], MAX_POINTS)).clip(max=len(x) - 1))
    return x[chosen], y[chosen]


def _flat(actual: Array, given: Array) -> tuple[Array, Array]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([actual.mean()]), np.array([given.mean()])
