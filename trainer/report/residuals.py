"""How far a regression is off: rows to draw, and the distribution of the errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.metrics import Array
from trainer.report.scored import Scored

MAX_DOTS = 600
BINS = 40


@dataclass(frozen=True)
class Residuals:
    """Errors are actual − predicted, in the target's unit. `actual` and `predicted` are some rows' (dots,)."""

    actual: Array
    predicted: Array
    edges: Array  # (bins + 1,) of the errors between their 0.5 and 99.5 percentiles
    counts: Array  # (bins,)
    middle: float  # the median error
    within: tuple[float, float]  # half and nine tenths of the rows are off by no more


def residuals(scored: Scored, seed: int) -> Residuals:
    """Look at the errors of a regression."""
    errors = scored.values - scored.outputs
    chosen = np.random.default_rng(seed).permutation(len(errors))[:MAX_DOTS]
    low, high = np.quantile(errors, [0.005, 0.995])
    counts, edges = np.histogram(np.clip(errors, low, high), bins=BINS, range=(low, high) if low < high else None)
    half, most = np.quantile(np.abs(errors), [0.5, 0.9])
    return Residuals(
        scored.values[chosen],
        scored.outputs[chosen],
        edges,
        counts,
        float(np.median(errors)),
        (float(half), float(most)),
    )
