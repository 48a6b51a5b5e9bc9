"""Metrics: the few that a search can optimise, and all that a model is reported with.

The reported names are those of Azure Machine Learning's runs, so that numbers can be laid side by
side: https://learn.microsoft.com/azure/machine-learning/how-to-understand-automated-ml.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn import metrics as sk

from bundle.manifest import Task
from trainer.errors import TrainerError

Array = npt.NDArray[Any]


def one_hot(values: Array, classes: int) -> Array:
    """Places of shape (rows,) → 0/1 of shape (rows, classes)."""
    return np.eye(classes, dtype=np.int64)[values]


def roc_auc(values: Array, probabilities: Array) -> float:
    """Area under the ROC curve; of more than two classes the mean of each against the rest."""
    present = np.unique(values)
    hot = one_hot(values, probabilities.shape[1])[:, present]
    return float(sk.roc_auc_score(hot, probabilities[:, present], average="macro"))


def log_loss(values: Array, probabilities: Array) -> float:
    """Mean negative log-likelihood of the true class, in nats."""
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # float32 sums to 1 only nearly
    return float(sk.log_loss(values, probabilities, labels=np.arange(probabilities.shape[1])))


@dataclass(frozen=True)
class Metric:
    """A metric that a search can optimise. `function(values, outputs)`: see `trainer.candidates.outputs`.

    One that looks at answered classes alone is `decided(values, places)`, too: its function takes the most probable.
    """

    name: str
    flaml: str
    tasks: tuple[Task, ...]
    greater_is_better: bool
    function: Callable[[Array, Array], float]
    unit: Literal["", "target"] = ""  # whether it is in units of the target
    decided: Callable[[Array, Array], float] | None = None

    def value(self, values: Array, outputs: Array, places: Array | None = None) -> float:
        """The metric, where `places` of classes have been decided on, or the most probable ones are."""
        return self.decided(values, places) if self.decided and places is not None else self.function(values, outputs)

    def loss(self, values: Array, outputs: Array, places: Array | None = None) -> float:
        """The same with its sign turned so that less is better."""
        score = self.value(values, outputs, places)
        return -score if self.greater_is_better else score


def _accuracy(values: Array, places: Array) -> float:
    return float(sk.accuracy_score(values, places))


def _macro_f1(values: Array, places: Array) -> float:
    return float(sk.f1_score(values, places, average="macro"))


_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
METRICS = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", "roc_auc", ("binary",), True, roc_auc),
        Metric("roc_auc_ovr", "roc_auc_ovr", ("multiclass",), True, roc_auc),
        Metric("log_loss", "log_loss", _CLASSES, False, log_loss),
        Metric("accuracy", "accuracy", _CLASSES, True, lambda v, p: _accuracy(v, p.argmax(axis=1)), decided=_accuracy),
        Metric("macro_f1", "macro_f1", _CLASSES, True, lambda v, p: _macro_f1(v, p.argmax(axis=1)), decided=_macro_f1),
        Metric("rmse", "rmse", ("regression",), False, lambda v, o: float(sk.root_mean_squared_error(v, o)), "target"),
        Metric("mae", "mae", ("regression",), False, lambda v, o: float(sk.mean_absolute_error(v, o)), "target"),
        Metric("r2", "r2", ("regression",), True, lambda v, o: float(sk.r2_score(v, o))),
    )
}
_DEFAULT: dict[Task, str] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def metric_for(task: Task, name: str | None) -> Metric:
    """The metric of that name, or the task's default. Raises TrainerError."""
    metric = METRICS.get(name or _DEFAULT[task])
    if metric is None or task not in metric.tasks:
        fitting = ", ".join(metric.name for metric in METRICS.values() if task in metric.tasks)
        raise TrainerError(f"The metric '{name}' does not fit a {task} task; these do: {fitting}.")
    return metric


def classification_metrics(values: Array, probabilities: Array, places: Array | None = None) -> dict[str, float]:
    """All metrics of a classification: `values` (rows,) places, `probabilities` (rows, classes).

    `places` (rows,) are the answered classes, if they are not the most probable ones.
    """
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1) if places is None else places
    counts = np.bincount(values, minlength=classes)
    present = np.flatnonzero(counts)
    hot, shares = one_hot(values, classes)[:, present], probabilities[:, present]
    recall = sk.recall_score(values, predicted, average="macro", labels=present, zero_division=0)
    result = {
        "accuracy": sk.accuracy_score(values, predicted),
        "balanced_accuracy": recall,
        # rows weighted by the size of their class
        "weighted_accuracy": sk.accuracy_score(values, predicted, sample_weight=counts[values]),
        "log_loss": log_loss(values, probabilities),
        "matthews_correlation": sk.matthews_corrcoef(values, predicted),
        "norm_macro_recall": (recall - 1 / len(present)) / (1 - 1 / len(present)) if len(present) > 1 else 0.0,
    }
    for average in ("macro", "micro", "weighted"):
        result[f"AUC_{average}"] = sk.roc_auc_score(hot, shares, average=average)
        result[f"average_precision_score_{average}"] = sk.average_precision_score(hot, shares, average=average)
        for name, function in (
            ("f1_score", sk.f1_score),
            ("precision_score", sk.precision_score),
            ("recall_score", sk.recall_score),
        ):
            result[f"{name}_{average}"] = function(values, predicted, average=average, labels=present, zero_division=0)
    return {name: float(value) for name, value in result.items()}


def regression_metrics(values: Array, predicted: Array) -> dict[str, float]:
    """All metrics of a regression; both of shape (rows,). `normalized_` is by the range of `values`."""
    span = float(values.max() - values.min()) or 1.0
    rmse = float(sk.root_mean_squared_error(values, predicted))
    mae = float(sk.mean_absolute_error(values, predicted))
    constant = len(np.unique(predicted)) < 2  # a rank correlation is not defined then
    result = {
        "r2_score": float(sk.r2_score(values, predicted)),
        "explained_variance": float(sk.explained_variance_score(values, predicted)),
        "root_mean_squared_error": rmse,
        "normalized_root_mean_squared_error": rmse / span,
        "mean_absolute_error": mae,
        "normalized_mean_absolute_error": mae / span,
        "median_absolute_error": float(sk.median_absolute_error(values, predicted)),
        "spearman_correlation": 0.0 if constant else float(spearmanr(values, predicted).statistic),
    }
    if (values != 0).all():
        result["mean_absolute_percentage_error"] = float(sk.mean_absolute_percentage_error(values, predicted))
    if values.min() >= 0 and predicted.min() >= 0:
        result["root_mean_squared_log_error"] = float(sk.root_mean_squared_log_error(values, predicted))
    return result
