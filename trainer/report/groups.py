"""Performance by group: whether the model is worse for some rows than for the others, or off for them.

Of each column's groups the metric is compared with that of all other rows, and, where an answer is one
number, the mean answer with the mean truth. What is called a gap lies so many standard errors from none
that among reports on models without any gap one in twenty would show one (Bonferroni's correction over
all comparisons of the report).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from trainer.metrics import Array
from trainer.report.bins import bins
from trainer.report.influence import standard_error
from trainer.report.scored import Scored

MAX_COLUMNS = 15
MAX_GROUPS = 8
QUANTILES = 4  # of a column of numbers
LEAST_ROWS = 30
LEAST_OF_CLASS = 10  # of each class in a group, where classes are ranked against each other
ERROR_RATE = 0.05


@dataclass(frozen=True)
class Group:
    """Rows with one value, or a range of values, of one column; numbers are None where they would say nothing."""

    label: str
    rows: int
    score: float | None = None
    error: float | None = None  # standard error of the score
    others: float | None = None  # the score of all other rows
    distance: float | None = None  # standard errors by which the score is worse than the others'
    actual: float | None = None  # mean of the truth, and of the answers
    answered: float | None = None
    bias: float | None = None  # standard errors between these two
    worse: bool = False
    off: bool = False


@dataclass(frozen=True)
class Groups:
    """The groups of each column, and the distance in standard errors from which a gap is flagged."""

    columns: dict[str, tuple[Group, ...]]
    limit: float
    comparisons: int

    @property
    def flagged(self) -> list[tuple[str, Group]]:
        """What is flagged as either, the worse ones first."""
        return self.gaps + [pair for pair in self.biased if not pair[1].worse]

    @property
    def gaps(self) -> list[tuple[str, Group]]:
        """What is flagged as worse, the largest distance first."""
        found = [(name, group) for name, groups in self.columns.items() for group in groups if group.worse]
        return sorted(found, key=lambda pair: -(pair[1].distance or 0))

    @property
    def biased(self) -> list[tuple[str, Group]]:
        """What is flagged as off, the largest distance first."""
        found = [(name, group) for name, groups in self.columns.items() for group in groups if group.off]
        return sorted(found, key=lambda pair: -abs(pair[1].bias or 0))


def compare(scored: Scored, names: Sequence[str]) -> Groups:
    """Compare the groups of the first columns in `names` that have at least two groups."""
    places = {column.name: place for place, column in enumerate(scored.columns)}
    columns: dict[str, tuple[Group, ...]] = {}
    for name in names:
        number = places[name]
        most = QUANTILES if scored.columns[number].kind == "number" else MAX_GROUPS
        found = bins(scored, number, most, ranges=True)
        if len(found.labels) > 1:
            columns[name] = tuple(
                _measure(scored, found.place == place, label) for place, label in enumerate(found.labels)
            )
        if len(columns) == MAX_COLUMNS:
            break
    everything = [group for groups in columns.values() for group in groups]
    # worse is one-sided, off two-sided
    comparisons = sum((group.distance is not None) + 2 * (group.bias is not None) for group in everything)
    limit = float(norm.isf(ERROR_RATE / max(1, comparisons)))
    flagged = {
        name: tuple(
            replace(group, worse=(group.distance or 0) > limit, off=abs(group.bias or 0) > limit) for group in groups
        )
        for name, groups in columns.items()
    }
    return Groups(flagged, limit, comparisons)


def _measure(scored: Scored, inside: Array, label: str) -> Group:
    group = Group(label, int(inside.sum()))
    if group.rows < LEAST_ROWS:
        return group
    if scored.one is not None and scored.truth is not None:
        answered, actual = scored.one[inside], scored.truth[inside]
        distances = answered - actual
        noise = float(distances.std(ddof=1)) / group.rows**0.5
        bias = float(distances.mean()) / noise if noise else 0.0
        group = replace(group, actual=float(actual.mean()), answered=float(answered.mean()), bias=bias)
    if _is_ranked(scored, inside) and _is_ranked(scored, ~inside):
        (score, error), (other, other_error) = _score(scored, inside), _score(scored, ~inside)
        better = 1 if scored.metric.greater_is_better else -1
        apart = float(np.hypot(error, other_error))
        distance = better * (other - score) / apart if apart > 0 else 0.0
        if np.isfinite(distance):
            group = replace(group, score=score, error=error, others=other, distance=distance)
    return group


def _score(scored: Scored, inside: Array) -> tuple[float, float]:
    values, outputs = scored.values[inside], scored.outputs[inside]
    places = None if scored.regression else scored.predicted[inside]
    error = standard_error(scored.metric.name, values, outputs, places)
    return scored.metric.value(values, outputs, places), error


def _is_ranked(scored: Scored, inside: Array) -> bool:
    """Whether there are enough rows for the metric, of each class where it ranks them."""
    if inside.sum() < LEAST_ROWS:
        return False
    if not scored.metric.name.startswith("roc_auc"):
        return True
    counts = np.bincount(scored.values[inside])
    return bool((counts > 0).sum() > 1 and counts[counts > 0].min() >= LEAST_OF_CLASS)
