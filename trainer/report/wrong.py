"""The rows on which the model is most wrong: mistakes of the model, or of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundle.manifest import Label, Value
from trainer.columns import rows
from trainer.report.scored import Scored

MOST = 10


@dataclass(frozen=True)
class Wrong:
    """One row with its values. `chance` is the probability that its actual class was given; None for regression."""

    values: dict[str, Value]
    actual: Label | float
    predicted: Label | float
    chance: float | None


def most_wrong(scored: Scored) -> tuple[Wrong, ...]:
    """The rows of the largest loss: log loss, or absolute error."""
    if scored.regression:
        losses = np.abs(scored.values - scored.outputs)
    else:
        losses = -scored.outputs[np.arange(len(scored.values)), scored.values]  # falls as the log loss rises
    chosen = np.argsort(-losses, kind="stable")[:MOST]
    content = rows(scored.frame.iloc[chosen], scored.columns)
    if scored.regression:
        return tuple(
            Wrong(row, float(scored.values[place]), float(scored.outputs[place]), None)
            for row, place in zip(content, chosen, strict=True)
        )
    return tuple(
        Wrong(
            row,
            scored.classes[scored.values[place]],
            scored.classes[scored.predicted[place]],
            float(scored.outputs[place, scored.values[place]]),
        )
        for row, place in zip(content, chosen, strict=True)
    )
