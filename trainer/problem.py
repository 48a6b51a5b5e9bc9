"""What a search, a final round and a fit have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np

from bundle.manifest import Task
from trainer.metrics import Array, Metric


class Scale(NamedTuple):
    """How a regression's target is scaled for the learners: z = (target - mean) / spread, perhaps of its logarithm."""

    mean: float = 0.0
    spread: float = 1.0
    logarithm: bool = False
    unit: float = 1.0  # standard deviation of the target itself, which tolerances are in

    @classmethod
    def of(cls, values: Array, logarithm: bool = False) -> Self:
        """That of training rows."""
        known = np.log(values) if logarithm else values
        return cls(float(known.mean()), float(known.std()) or 1.0, logarithm, float(values.std()) or 1.0)

    def there(self, values: Array) -> Array:
        """Target → z."""
        return ((np.log(values) if self.logarithm else values) - self.mean) / self.spread

    def back(self, z: Array) -> Array:
        """Z → target."""
        values = z * self.spread + self.mean
        with np.errstate(over="ignore"):  # a wild row
            return np.exp(values) if self.logarithm else values


@dataclass(frozen=True)
class Problem:
    """Training rows and how to learn from them.

    `x` is the encoded matrix (rows, columns), `y` holds the places of the classes or, for regression,
    the scaled target (rows,). `learners` maps names to FLAML's learner classes.
    """

    task: Task
    metric: Metric
    x: Array
    y: Array
    learners: dict[str, type[Any]]
    seed: int
    scale: Scale = field(default=Scale())

    def score(self, outputs: Array, rows: Array | slice = slice(None)) -> float:
        """The metric of outputs for these rows, in its own unit."""
        if self.task == "regression":
            return self.metric.function(self.scale.back(self.y[rows]), self.scale.back(outputs))
        return self.metric.function(self.y[rows], outputs)

    def loss(self, outputs: Array, rows: Array | slice = slice(None)) -> float:
        """The same with its sign turned so that less is better."""
        score = self.score(outputs, rows)
        return -score if self.metric.greater_is_better else score

    def at(self, rows: Array) -> Problem:
        """The same on some of the rows."""
        return replace(self, x=self.x[rows], y=self.y[rows])
