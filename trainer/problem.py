"""What a search, a final round and a fit have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bundle.manifest import Task
from trainer.metrics import Array, Metric


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

    def at(self, rows: Array) -> Problem:
        """The same on some of the rows."""
        return replace(self, x=self.x[rows], y=self.y[rows])
