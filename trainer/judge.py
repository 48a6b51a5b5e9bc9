"""Bundles beside each other on rows that neither has learned from, scored by the graph that would serve."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from bundle import Manifest
from bundle.model import Model
from trainer.columns import matrix
from trainer.errors import TrainerError
from trainer.fit import Request
from trainer.look import look, whole
from trainer.metrics import Array, Metric, classification_metrics, metric_for, regression_metrics
from trainer.split import split
from trainer.target import Target

DRAWS = 200  # of the bootstrap


@dataclass(frozen=True)
class Untouched:
    """Rows with all columns of their table, and what they should be answered with: see `Target.values`."""

    frame: pd.DataFrame
    target: Target
    values: Array


@dataclass(frozen=True)
class Difference:
    """`value` is how much better the first is than the second, in the metric's unit; `error` its standard error."""

    value: float
    error: float


def untouched(request: Request) -> Untouched:
    """The rows that every training of this request's table leaves out. Raises TableError."""
    inspected = look(request)
    test = split(inspected, 0)[1]
    frame = whole(request)[0]
    kept = frame[frame[request.target].notna()].loc[inspected.target.kept].iloc[test]
    return Untouched(kept, inspected.target, inspected.target.values[test])


def labelled(frame: pd.DataFrame, manifest: Manifest) -> Untouched:
    """All rows of a table that have a target which the model knows. Raises TrainerError if there are none."""
    if manifest.target not in frame.columns:
        raise TrainerError(f"The table has no column '{manifest.target}', which {manifest.name} predicts.")
    given = frame[manifest.target]
    if manifest.regression:
        values = pd.to_numeric(given, errors="coerce").to_numpy(dtype="float64")
        known = ~np.isnan(values)
    else:
        places = {str(label).lower(): place for place, label in enumerate(manifest.classes)}
        found = given.map(lambda label: places.get(_spelt(label), -1)).to_numpy(dtype="int64")
        values, known = found, found >= 0
    if not known.any():
        raise TrainerError(f"No row of the table has a '{manifest.target}' that {manifest.name} knows.")
    target = Target(manifest.target, manifest.task, manifest.classes, manifest.positive_class, values[known], known, ())
    return Untouched(frame.loc[known], target, values[known])


def _spelt(label: object) -> str:
    """A class as a table has it, in the spelling of the manifest: 1.0 is 1."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).lower()


class Answers(NamedTuple):
    """Probabilities in the order of the rows' classes, shape (rows, classes); values of a regression, shape (rows,).

    `places` (rows,) are the classes that were answered, in the same order.
    """

    outputs: Array
    places: Array | None


def answers(model: Model, rows: Untouched) -> Answers:
    """What a model answers to the rows.

    A column that the rows do not have is missing in all of them; a class that the model does not know
    has probability 0. Raises TrainerError if the model answers another question.
    """
    manifest = model.manifest
    if (manifest.target, manifest.regression) != (rows.target.name, not rows.target.classes):
        raise TrainerError(
            f"{manifest.name} {manifest.version} predicts '{manifest.target}' ({manifest.task}), the table's target is "
            f"'{rows.target.name}' ({rows.target.task}). Give the model another name, or the table the same target."
        )
    frame = rows.frame.reindex(columns=list(model.names))
    try:
        outputs = model.outputs(matrix(frame, manifest.columns))
    except (ValueError, TypeError) as error:
        raise TrainerError(f"The rows do not fit {manifest.name} {manifest.version}: {error}.") from error
    if manifest.regression:
        return Answers(np.asarray(outputs[:, 0], dtype=np.float64), None)
    place = {label: number for number, label in enumerate(manifest.classes)}
    columns = [outputs[:, place[c]] if c in place else np.zeros(len(outputs)) for c in rows.target.classes]
    known = np.array([rows.target.classes.index(c) if c in rows.target.classes else -1 for c in manifest.classes])
    found = np.stack(columns, axis=1).astype(np.float64)
    places = known[model.decide(outputs)]
    return Answers(found, np.where(places < 0, found.argmax(axis=1), places))


def measured(rows: Untouched, given: Answers) -> dict[str, float]:
    """All metrics of the task, under the names that a manifest has them."""
    if rows.target.classes:
        return classification_metrics(rows.values, given.outputs, given.places)
    return regression_metrics(rows.values, given.outputs)


def value(metric: Metric, rows: Untouched, given: Answers) -> float:
    """One metric."""
    return metric.value(rows.values, given.outputs, given.places)


def metric_of(rows: Untouched, name: str | None) -> Metric:
    """The metric that decides. Raises TrainerError."""
    return metric_for(rows.target.task, name)


def compared(metric: Metric, rows: Untouched, first: Answers, second: Answers, seed: int) -> Difference:
    """How much better the first answers are; its error by the paired bootstrap (Efron, Tibshirani, 1993)."""

    def gain(chosen: Array | slice) -> float:
        values = rows.values[chosen]
        losses = [
            metric.loss(values, given.outputs[chosen], None if given.places is None else given.places[chosen])
            for given in (first, second)
        ]
        return losses[1] - losses[0]

    rng = np.random.default_rng(seed)
    count = len(rows.values)
    gains = []
    for _ in range(DRAWS):
        with contextlib.suppress(ValueError):  # a draw without one of the classes
            gains.append(gain(rng.integers(0, count, count)))
    return Difference(gain(slice(None)), float(np.std(gains)) if gains else 0.0)
