"""From which probability on the positive class of two is answered, where the metric looks at answers.

Half is right for accuracy alone, and only of probabilities that are true; of a rare class macro F1 wants less.
"""

from __future__ import annotations

import numpy as np

from bundle.decision import decision
from trainer.candidates import folds
from trainer.metrics import Array
from trainer.problem import Problem

TRIED = 200  # thresholds, as many rows between each two


def choose_threshold(problem: Problem, outputs: Array, positive: int | None) -> float | None:
    """The best threshold for out-of-fold probabilities (rows, 2); None where half does as well, or none applies.

    It is taken only where thresholds that were chosen without a fold do better on that fold, all folds together.
    """
    if positive is None or problem.metric.decided is None:
        return None
    crossed = np.empty(len(problem.y), dtype=np.int64)
    for train, held_out in folds(problem):
        crossed[held_out] = decision(_best(problem, outputs, positive, train), positive)(outputs[held_out])
    if problem.metric.value(problem.y, outputs, crossed) <= problem.metric.value(problem.y, outputs):
        return None
    return _best(problem, outputs, positive, np.arange(len(problem.y)))


def _best(problem: Problem, outputs: Array, positive: int, rows: Array) -> float:
    """The middle of the best thresholds that are next to each other, exact in float32."""
    shares = outputs[rows, positive]
    tried = np.unique(np.append(np.quantile(shares, np.linspace(0, 1, TRIED + 1)), 0.5).astype(np.float32))
    y = problem.y[rows]
    values = np.array(
        [problem.metric.value(y, outputs[rows], decision(float(t), positive)(outputs[rows])) for t in tried]
    )
    best = np.flatnonzero(values == values.max())
    return float(tried[best[len(best) // 2]])
