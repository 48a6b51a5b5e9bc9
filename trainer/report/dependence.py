"""How the answer changes with one column, and what is true of the rows there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.metrics import Array
from trainer.report.bins import bins
from trainer.report.scored import Scored

COLUMNS = 8
POINTS = 10
ROWS = 200  # whose column is set to each value
CLASSES = 3


@dataclass(frozen=True)
class Dependence:
    """One column's bins, in their order, with what the model answers and what is true there.

    `answers` (bins, lines) is the partial dependence (Friedman, "Greedy function approximation", 2001):
    the mean answer to test rows whose column is set to the bin's typical value, all others as they
    are. `actual` (bins, lines) is the mean of the truth over the rows of the bin, NaN where there are none.
    """

    column: str
    is_number: bool
    labels: tuple[str, ...]
    shares: Array  # (bins,) of the rows
    answers: Array
    actual: Array
    lines: tuple[str, ...]  # what is answered: a class, or the target


def dependences(scored: Scored, names: Sequence[str], target: str, seed: int) -> tuple[Dependence, ...]:
    """Look at the columns `names`."""
    sample = np.random.default_rng(seed).permutation(len(scored.x))[:ROWS]
    if scored.one is not None:
        outputs = [scored.positive or 0]
        lines = [target if scored.regression else str(scored.classes[outputs[0]])]
    else:
        counts = np.bincount(scored.values, minlength=len(scored.classes))
        outputs = np.argsort(-counts, kind="stable")[:CLASSES].tolist()
        lines = [str(scored.classes[place]) for place in outputs]
    truth = scored.values[:, None] if scored.regression else (scored.values[:, None] == np.array(outputs)).astype(float)
    places = {column.name: place for place, column in enumerate(scored.columns)}
    return tuple(_dependence(scored, places[name], sample, outputs, truth, tuple(lines)) for name in names)


def _dependence(
    scored: Scored, place: int, sample: Array, outputs: list[int], truth: Array, lines: tuple[str, ...]
) -> Dependence:
    found = bins(scored, place, POINTS, ranges=False)
    asked = np.tile(scored.x[sample], (len(found.labels), 1))
    asked[:, place] = np.repeat(found.typical, len(sample))
    given = scored.answers(asked).reshape(len(found.labels), len(sample), -1)
    inside = [found.place == number for number in range(len(found.labels))]
    column = scored.columns[place]
    return Dependence(
        column.name,
        column.kind == "number",
        found.labels,
        np.array([rows.mean() for rows in inside]),
        given.mean(axis=1)[:, [0] if scored.regression else outputs],
        np.array([truth[rows].mean(axis=0) if rows.any() else np.full(len(lines), np.nan) for rows in inside]),
        lines,
    )
