"""The final choice: the best candidate, or the soft vote of several where that wins.

All that is chosen here is chosen on out-of-fold predictions of the training rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bundle.manifest import Task, Value
from trainer.candidates import Candidate, fit, folds, outputs
from trainer.metrics import Array
from trainer.problem import Problem, Scale

MAX_MEMBERS = 5
STEPS = 20  # of the greedy choice: weights are twentieths


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator with its share of the vote. `estimator` is FLAML's wrapper."""

    learner: str
    weight: float
    config: dict[str, Value]
    estimator: Any


@dataclass(frozen=True)
class Row:
    """One row of the final leaderboard."""

    name: str
    score: float
    seconds: float
    chosen: bool


@dataclass(frozen=True)
class Chosen:
    """The winner, candidates with their weights (one alone, or a vote), and the leaderboard."""

    shares: tuple[tuple[Candidate, float], ...]
    board: tuple[Row, ...]


@dataclass(frozen=True)
class Ensemble:
    """The model in Python: the weighted mean of its members' outputs, of a regression in the target's unit."""

    task: Task
    members: tuple[Fitted, ...]
    scale: Scale = Scale()

    def outputs(self, x: Array) -> Array:
        """Probabilities of shape (rows, classes), or values of shape (rows,)."""
        parts = [member.weight * outputs(member.estimator, x, self.task) for member in self.members]
        total: Array = np.sum(parts, axis=0)
        return self.scale.back(total) if self.task == "regression" else total


def choose(problem: Problem, candidates: Sequence[Candidate]) -> Chosen:
    """Choose the best candidate, or the soft vote where it wins.

    The vote is scored with weights that were chosen without the rows they are scored on, so that it
    has no advantage over the single candidates. Candidates without a recipe are shown only.
    """
    eligible = [candidate for candidate in candidates if candidate.recipe]
    best = min(eligible, key=lambda candidate: problem.loss(candidate.outputs))
    shares: tuple[tuple[Candidate, float], ...] = ((best, 1.0),)
    rows = [Row(c.name, c.score, c.seconds, False) for c in candidates]
    if len(eligible) > 1:
        started = time.monotonic()
        crossed = np.empty_like(best.outputs)
        for train, held_out in folds(problem):
            weights = greedy_weights(problem, [c.outputs for c in eligible], train)
            crossed[held_out] = np.tensordot(weights, [c.outputs[held_out] for c in eligible], axes=1)
        weights = greedy_weights(problem, [candidate.outputs for candidate in eligible])
        voters = tuple((c, float(w)) for c, w in zip(eligible, weights, strict=True) if w)
        if len(voters) > 1 and problem.loss(crossed) < problem.loss(best.outputs):
            shares = voters
        if len(voters) > 1:
            name = f"vote of {' + '.join(c.name for c, _ in voters)}"
            rows.append(Row(name, problem.score(crossed), time.monotonic() - started, shares is voters))
    if len(shares) == 1:
        rows = [replace(row, chosen=row.name == best.name) for row in rows]
    return Chosen(shares, tuple(sorted(rows, key=lambda row: row.score, reverse=problem.metric.greater_is_better)))


def greedy_weights(problem: Problem, given: Sequence[Array], rows: Array | slice = slice(None)) -> Array:
    """Weights of shape (candidates,) that sum to 1, for the outputs `given` of all rows, chosen on some.

    Ensemble selection with replacement (Caruana et al., "Ensemble selection from libraries of
    models", ICML 2004): at each step add the candidate that helps most; the best step counts.
    """
    parts = [outputs[rows] for outputs in given]
    counts = np.zeros(len(given))
    total = np.zeros_like(parts[0])
    best_loss, best_counts = np.inf, counts
    for step in range(1, STEPS + 1):
        full = np.count_nonzero(counts) == MAX_MEMBERS
        losses = [
            np.inf if full and not counts[place] else problem.loss((total + part) / step, rows)
            for place, part in enumerate(parts)
        ]
        place = int(np.argmin(losses))
        counts[place] += 1
        total = total + parts[place]
        if losses[place] < best_loss:
            best_loss, best_counts = losses[place], counts.copy()
    return np.asarray(best_counts / best_counts.sum())


def refit(problem: Problem, chosen: Chosen) -> Ensemble:
    """Fit what was chosen on all training rows."""
    members = []
    for candidate, weight in chosen.shares:
        recipe = candidate.recipe
        assert recipe is not None
        members.append(Fitted(recipe.learner, weight, recipe.config, fit(problem, recipe, rounds=candidate.rounds)))
    return Ensemble(problem.task, tuple(members), problem.scale)
