"""The final choice: the best candidate, or the soft vote of several where that wins.

All that is chosen here is chosen on out-of-fold predictions of the training rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bundle.decision import decision
from bundle.manifest import Task, Value
from trainer.candidates import Candidate, fit, folds, outputs
from trainer.cost import Cost, Limit
from trainer.errors import SearchError
from trainer.metrics import Array
from trainer.problem import Problem, Scale
from trainer.threshold import choose_threshold

MAX_MEMBERS = 5
STEPS = 20  # of the greedy choice: weights are twentieths
NOTHING, NO_LIMIT = Cost(0.0, 0), Limit()


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
    cost: Cost | None = None


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
    scale: Scale = field(default=Scale())
    threshold: float | None = None  # of two classes: that at `positive` is answered from this probability on
    positive: int | None = None

    def decide(self, outputs: Array) -> Array:
        """Places of the answered classes (rows,), of probabilities."""
        return decision(self.threshold, self.positive)(outputs)

    def outputs(self, x: Array) -> Array:
        """Probabilities of shape (rows, classes), or values of shape (rows,)."""
        parts = [member.weight * outputs(member.estimator, x, self.task) for member in self.members]
        total: Array = np.sum(parts, axis=0)
        return self.scale.back(total) if self.task == "regression" else total


def choose(problem: Problem, candidates: Sequence[Candidate], limit: Limit = NO_LIMIT) -> Chosen:
    """Choose the best candidate, or the soft vote where it wins, of what the limit allows.

    The vote is scored with weights that were chosen without the rows they are scored on, so that it
    has no advantage over the single candidates. Candidates without a recipe are shown only. Raises SearchError
    if nothing is within the limit.
    """
    able = [candidate for candidate in candidates if candidate.recipe]
    eligible = [candidate for candidate in able if limit.allows(candidate.cost or NOTHING)]
    if not eligible:
        raise SearchError(_too_dear(able, limit))
    best = min(eligible, key=lambda candidate: problem.loss(candidate.outputs))
    shares: tuple[tuple[Candidate, float], ...] = ((best, 1.0),)
    rows = [Row(c.name, c.score, c.seconds, False, c.cost) for c in candidates]
    if len(eligible) > 1:
        started = time.monotonic()
        crossed = np.empty_like(best.outputs)
        for train, held_out in folds(problem):
            weights = greedy_weights(problem, eligible, limit, train)
            crossed[held_out] = np.tensordot(weights, [c.outputs[held_out] for c in eligible], axes=1)
        weights = greedy_weights(problem, eligible, limit)
        voters = tuple((c, float(w)) for c, w in zip(eligible, weights, strict=True) if w)
        if len(voters) > 1 and problem.loss(crossed) < problem.loss(best.outputs):
            shares = voters
        if len(voters) > 1:
            name = f"vote of {' + '.join(c.name for c, _ in voters)}"
            cost = sum((c.cost or NOTHING for c, _ in voters), NOTHING)
            rows.append(Row(name, problem.score(crossed), time.monotonic() - started, shares is voters, cost))
    if len(shares) == 1:
        rows = [replace(row, chosen=row.name == best.name) for row in rows]
    return Chosen(shares, tuple(sorted(rows, key=lambda row: row.score, reverse=problem.metric.greater_is_better)))


def greedy_weights(
    problem: Problem, candidates: Sequence[Candidate], limit: Limit = NO_LIMIT, rows: Array | slice = slice(None)
) -> Array:
    """Weights of shape (candidates,) that sum to 1, chosen on some rows, of no more members than the limit allows.

    Ensemble selection with replacement (Caruana et al., "Ensemble selection from libraries of
    models", ICML 2004): at each step add the candidate that helps most; the best step counts.
    """
    parts = [candidate.outputs[rows] for candidate in candidates]
    costs = [candidate.cost or NOTHING for candidate in candidates]
    counts = np.zeros(len(candidates))
    total = np.zeros_like(parts[0])
    best_loss, best_counts = np.inf, counts
    for step in range(1, STEPS + 1):
        members = np.flatnonzero(counts)
        spent = sum((costs[place] for place in members), NOTHING)
        losses = [
            problem.loss((total + part) / step, rows)
            if counts[place] or (len(members) < MAX_MEMBERS and limit.allows(spent + costs[place]))
            else np.inf
            for place, part in enumerate(parts)
        ]
        place = int(np.argmin(losses))
        counts[place] += 1
        total = total + parts[place]
        if losses[place] < best_loss:
            best_loss, best_counts = losses[place], counts.copy()
    return np.asarray(best_counts / best_counts.sum())


def _too_dear(able: Sequence[Candidate], limit: Limit) -> str:
    costs = [candidate.cost or NOTHING for candidate in able]
    fastest, smallest = min(cost.row_us for cost in costs), min(cost.size for cost in costs)
    return (
        f"No model is within {limit.row_us:.3g} µs a row and {limit.size / 1e6:.3g} MB: the fastest takes "
        f"{fastest:.3g} µs, the smallest {smallest / 1e6:.3g} MB. Raise --max-latency-us or --max-size-mb."
    )


def refit(problem: Problem, chosen: Chosen, positive: int | None) -> Ensemble:
    """Fit what was chosen on all training rows; `positive` is the place of that class of two."""
    members = []
    for candidate, weight in chosen.shares:
        recipe = candidate.recipe
        assert recipe is not None
        members.append(Fitted(recipe.learner, weight, recipe.config, fit(problem, recipe, rounds=candidate.rounds)))
    outputs = np.tensordot([weight for _, weight in chosen.shares], [c.outputs for c, _ in chosen.shares], axes=1)
    threshold = choose_threshold(problem, outputs, positive)
    return Ensemble(problem.task, tuple(members), problem.scale, threshold, positive)
