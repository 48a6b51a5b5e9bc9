"""Which columns move the answers: mean absolute Shapley values, by the algorithm behind `/explain`."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from bundle import Matrix
from bundle.shapley import Shapley
from trainer.report.scored import Scored

MAX_ROWS = 100
LEAST_ROWS = 10
SECONDS = 5.0  # past which no further row is explained: only a model of very many trees gets there


@dataclass(frozen=True)
class Ranking:
    """Mean |contribution| of each column, the largest first, in the unit of the answer; over `rows` test rows.

    `errors` are the standard errors of these means.
    """

    means: dict[str, float]
    errors: dict[str, float]
    rows: int


def rank(scored: Scored, background: Matrix, seed: int) -> Ranking:
    """Explain a random sample of the test rows towards the answer: value, positive or most probable class."""

    def function(x: Matrix) -> Matrix:
        return scored.answers(x).reshape(len(x), -1)

    shapley = Shapley(function, background)
    started = time.monotonic()
    found = []
    for row in np.random.default_rng(seed).permutation(len(scored.x))[:MAX_ROWS]:
        output = 0 if scored.regression else int(scored.outputs[row].argmax())
        if scored.positive is not None:
            output = scored.positive
        found.append(np.abs(shapley.explain(scored.x[row], output).contributions))
        if len(found) >= LEAST_ROWS and time.monotonic() - started > SECONDS:
            break
    moved = np.array(found)
    means = moved.mean(axis=0)
    errors = moved.std(axis=0, ddof=1) / len(moved) ** 0.5 if len(moved) > 1 else np.zeros_like(means)
    order = np.argsort(-means, kind="stable")
    names = [column.name for column in scored.columns]
    return Ranking(
        {names[place]: float(means[place]) for place in order},
        {names[place]: float(errors[place]) for place in order},
        len(moved),
    )
