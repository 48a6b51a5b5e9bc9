"""The target column: which task it asks for, its classes, its values as numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bundle.manifest import Kind, Label, Task
from trainer.columns import kind_of
from trainer.errors import TableError

MAX_INFERRED_CLASSES = 20
MAX_CLASSES = 200
MIN_CLASS_ROWS = 10
TINY, HUGE = 1e-30, 1e30  # standard deviations that float32 can scale


@dataclass(frozen=True)
class Target:
    """A target of n values.

    `values` are places in `classes` (int64) or, for regression, the numbers (float64). `kept` marks
    those rows of the column that `values` is of.
    """

    name: str
    task: Task
    classes: tuple[Label, ...]
    positive: Label | None
    values: npt.NDArray[Any]
    kept: npt.NDArray[np.bool_]
    dropped_classes: tuple[Label, ...]

    def at(self, places: npt.NDArray[Any]) -> Target:
        """The same target of some of its values, which no longer belong to `kept`."""
        return replace(self, values=self.values[places])


def read_target(series: pd.Series, task: Task | None, positive: object) -> Target:
    """Read a target column without missing values. Raises TableError."""
    name = str(series.name)
    kind = kind_of(series)
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        raise TableError(f"The target '{name}' holds dates: derive a number or a class from them.")
    distinct = series.nunique()
    if distinct < 2:
        raise TableError(f"The target '{name}' has {distinct} distinct value: there is nothing to predict.")
    if task is None:
        few = distinct <= MAX_INFERRED_CLASSES and bool((series == series.round()).all()) if kind == "number" else True
        task = ("binary" if distinct == 2 else "multiclass") if few else "regression"
    if task == "regression":
        if kind == "category":
            raise TableError(f"The target '{name}' holds text such as '{series.iloc[0]}': use --task multiclass.")
        values = series.to_numpy(dtype="float64")
        with np.errstate(over="ignore"):
            spread = float(values.std())
        if not TINY < spread < HUGE:
            raise TableError(
                f"The target '{name}' has a standard deviation of {spread:g}: scale it to ordinary numbers."
            )
        return Target(name, task, (), None, values, np.ones(len(series), dtype=bool), ())
    labels = _labels(series, kind)
    counts = Counter(labels)
    rare = tuple(label for label, count in counts.items() if count < MIN_CLASS_ROWS)
    classes: tuple[Label, ...] = tuple(sorted(label for label, count in counts.items() if count >= MIN_CLASS_ROWS))
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise TableError(
            f"The target '{name}' has {len(classes)} classes of at least {MIN_CLASS_ROWS} rows; it needs 2 to "
            f"{MAX_CLASSES}."
            + (
                " If it is a quantity, use --task regression."
                if kind == "number"
                else f" Its values are text such as '{series.iloc[0]}': is it a number with a unit?"
            )
        )
    if task == "binary" and len(classes) != 2:
        raise TableError(f"The target '{name}' has {len(classes)} classes: use --task multiclass.")
    places = {label: place for place, label in enumerate(classes)}
    kept = np.array([label in places for label in labels])
    values = np.array([places[label] for label in labels if label in places], dtype=np.int64)
    if len(classes) == 2:
        chosen = classes[1] if positive is None else next((c for c in classes if _same(c, positive)), None)
        if chosen is None:
            raise TableError(f"The positive class '{positive}' is not one of '{classes[0]}' and '{classes[1]}'.")
        return Target(name, "binary", classes, chosen, values, kept, rare)
    return Target(name, "multiclass", classes, None, values, kept, rare)


def _labels(series: pd.Series, kind: Kind) -> list[Label]:
    """Text and booleans as they are; numbers as integers, or all as text where one is not whole."""
    if kind == "boolean":
        return [bool(value) for value in series]
    if kind == "category":
        return list(series)
    numbers = [float(value) for value in series]
    return [int(n) for n in numbers] if all(n.is_integer() for n in numbers) else [str(n) for n in numbers]


def _same(label: Label, asked: object) -> bool:
    """Whether a class is the one that was asked for, in any usual spelling: `true`, `1`, `1.0`."""
    spellings = {str(label).lower()}
    if not isinstance(label, str):
        spellings |= {str(int(label)), str(float(label))}
    return str(asked).lower() in spellings
