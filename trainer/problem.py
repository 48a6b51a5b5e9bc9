"""What a search, the comparison of candidates and a fit have in common."""

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

    def lifted(self, values: Array, outputs: Array) -> Scale:
        """The same, with outputs raised to where the error of these (in z) is least squared.

        The exponential of a mean logarithm is below the mean: Duan, "Smearing estimate" (1983). Of no logarithm
        outputs stay as they are.
        """
        if not self.logarithm:
            return self
        given = self.back(outputs)
        return self._replace(mean=self.mean + float(np.log((self.back(values) @ given) / (given @ given))))

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

    def lifted(self, outputs: Array) -> Scale:
        """The scale to answer by, given out-of-fold outputs for all rows: see `Scale.lifted`."""
        return self.scale if self.metric.name == "mae" else self.scale.lifted(self.y, outputs)

    def shortfall(self, outputs: Array) -> float:
        """What is lacking to a perfect score, for all rows; 0 or more."""
        score = self.score(outputs)
        return 1 - score if self.metric.greater_is_better else score

    def of_logarithm(self) -> Problem:
        """The same, but learners see the logarithm of the target, whose values must be positive."""
        values = self.scale.back(self.y)
        scale = Scale.of(values, logarithm=True)
        return replace(self, y=scale.there(values), scale=scale)

    def at(self, rows: Array) -> Problem:
        """The same on some of the rows."""
        return replace(self, x=self.x[rows], y=self.y[rows])
