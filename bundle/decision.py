"""Which class a row is answered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.manifest import Manifest

Places = npt.NDArray[np.int64]
Decide = Callable[[npt.NDArray[Any]], Places]


def decision(threshold: float | None, positive: int | None) -> Decide:
    """A function from probabilities (rows, classes) to places of classes (rows,).

    Without a threshold the most probable class, the first of equals. With one the class at the place `positive`, of
    two, where its probability is no less.
    """
    if threshold is None or positive is None:
        return lambda outputs: outputs.argmax(axis=1)
    least = np.float32(threshold)  # as the graph compares
    return lambda outputs: np.where(outputs[:, positive] >= least, positive, 1 - positive)


def decision_of(manifest: Manifest) -> Decide:
    """That of a model with classes."""
    positive = None if manifest.positive_class is None else manifest.classes.index(manifest.positive_class)
    return decision(manifest.threshold, positive)
