"""Encodings of categories beside their codes: what a member sees behind the columns of the matrix.

Every derived feature is a table that a column's code is looked up in, so that any of them exports as a few
nodes of a graph, and as a few arrays of a forest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from bundle import Column
from bundle.manifest import Task
from trainer.metrics import Array

MAX_HOT = 32  # the most frequent categories of a column get a feature each
MAX_TARGETS = 10  # with more classes, a feature for each class and column were too many


class Feature(NamedTuple):
    """One derived feature: `table[code]` of the code in a column of the matrix, float32."""

    column: int
    table: Array


@dataclass(frozen=True)
class Lookup:
    """The derived features of a member, which stand behind the columns of the matrix in their order."""

    features: tuple[Feature, ...]

    def __call__(self, x: Array) -> Array:
        """The matrix (rows, columns) → float32 (rows, columns + features)."""
        derived = np.empty((len(x), len(self.features)), dtype=np.float32)
        for place, (column, table) in enumerate(self.features):
            derived[:, place] = table[x[:, column].astype(np.int64)]
        return np.hstack([x, derived])


Encode = Callable[[Array, Array], tuple[Lookup, Array]]


def one_hot(columns: Sequence[Column]) -> Encode:
    """A feature for each frequent category, and one for what is missing; the codes themselves are hidden."""
    features = []
    for place, column in enumerate(columns):
        if column.kind == "category":
            codes = len(column.categories) + 2
            hot = [*range(min(MAX_HOT, len(column.categories))), codes - 1]
            features += [Feature(place, np.eye(codes, dtype=np.float32)[code]) for code in hot]
    lookup = Lookup(tuple(features))
    hidden = sorted({feature.column for feature in features})

    def encode(x: Array, y: Array) -> tuple[Lookup, Array]:
        encoded = lookup(x)
        encoded[:, hidden] = 0  # what is constant is never split on
        return lookup, encoded

    return encode


def target_means(columns: Sequence[Column], task: Task, seed: int) -> Encode:
    """The mean target of each category (of each class of more than two), shrunk to the mean of all.

    Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes" (2001). A training row is
    encoded by rows of other folds, so that its own target is not in it.
    """
    places = [place for place, column in enumerate(columns) if column.kind == "category"]
    sizes = [len(columns[place].categories) + 2 for place in places]
    kind = {"regression": "continuous"}.get(task, task)

    def encode(x: Array, y: Array) -> tuple[Lookup, Array]:
        if not places or (task == "multiclass" and len(np.unique(y)) > MAX_TARGETS):
            return Lookup(()), x
        encoder = TargetEncoder(target_type=kind, cv=KFold(5, shuffle=True, random_state=seed))
        trained = encoder.fit_transform(x[:, places], y).astype(np.float32)
        width = trained.shape[1] // len(places)
        codes = np.minimum(np.arange(max(sizes))[:, np.newaxis], np.array(sizes) - 1)
        tables = encoder.transform(codes.astype(np.float32)).astype(np.float32)
        features = tuple(
            Feature(place, tables[:size, number * width + part].copy())
            for number, (place, size) in enumerate(zip(places, sizes, strict=True))
            for part in range(width)
        )
        return Lookup(features), np.hstack([x, trained])

    return encode
