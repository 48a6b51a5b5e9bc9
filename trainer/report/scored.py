"""The test rows beside what the graph answers to them: what every part of the report starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bundle import Column, Manifest, Matrix
from bundle.decision import decision_of
from bundle.manifest import Label, Task
from bundle.model import inference_session
from trainer.columns import matrix
from trainer.fit import Trained
from trainer.guardrails import Inspected
from trainer.measure import kernel_of
from trainer.metrics import Array, Metric
from trainer.parity import Graphs

MAX_ROWS = 20_000  # of the test rows; of more a random sample is looked at


@dataclass(frozen=True)
class Scored:
    """Test rows, what is true of them, and what the served graph answers.

    `values` are places in `classes` or, for regression, numbers in the target's unit; `outputs` are
    probabilities (rows, classes), or values (rows,) in that unit; `predicted` is like `values`, at the
    model's threshold. `total` counts all test rows, of which these may be a sample.
    """

    task: Task
    classes: tuple[Label, ...]
    positive: int | None  # place of the positive class
    columns: tuple[Column, ...]
    metric: Metric
    frame: pd.DataFrame
    x: Matrix
    values: Array
    outputs: Array
    predicted: Array
    total: int
    answers: Callable[[Matrix], Array]  # encoded rows → as `outputs`

    @property
    def regression(self) -> bool:
        """Whether the model answers a number instead of a class."""
        return self.task == "regression"

    @property
    def one(self) -> Array | None:
        """What a reader follows if one number a row will do: value, or probability of the positive class."""
        if self.positive is not None:
            found: Array = self.outputs[:, self.positive]
            return found
        return self.outputs if self.regression else None

    @property
    def truth(self) -> Array | None:
        """What is true on the scale of `one`: value, or 1 for the positive class and 0 for the other."""
        if self.positive is not None:
            return np.asarray(self.values == self.positive, dtype=np.float64)
        return self.values if self.regression else None


def score(manifest: Manifest, inspected: Inspected, trained: Trained, graphs: Graphs) -> Scored:
    """Ask for the test rows what the endpoint will ask: the kernel that the gate has tried, or else the graph."""
    session = inference_session(graphs.scorer)
    kernel = kernel_of(graphs.forest, len(trained.columns), len(manifest.classes) or 1)

    def answers(x: Matrix) -> Array:
        given = kernel(x) if kernel else session.run(None, {"matrix": x})[0]
        return np.asarray(given[:, 0] if manifest.regression else given, dtype=np.float64)

    places = trained.test
    if len(places) > MAX_ROWS:
        places = np.sort(np.random.default_rng(manifest.training.seed).choice(places, MAX_ROWS, replace=False))
    frame = inspected.frame.iloc[places]
    x = matrix(frame, trained.columns)
    outputs = answers(x)
    positive = None if manifest.positive_class is None else manifest.classes.index(manifest.positive_class)
    predicted = outputs if manifest.regression else decision_of(manifest)(outputs)
    return Scored(
        manifest.task,
        manifest.classes,
        positive,
        trained.columns,
        trained.metric,
        frame,
        x,
        inspected.target.values[places],
        outputs,
        predicted,
        len(trained.test),
        answers,
    )
