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
from trainer.candidates import Candidate, fit, folds, outputs, side_by_side
from trainer.cost import Cost, Limit
from trainer.errors import SearchError
from trainer.learners import NO_TREES
from trainer.metrics import Array
from trainer.problem import Problem, Scale
from trainer.search import THREADS
from trainer.threshold import choose_threshold

MAX_MEMBERS = 5
STEPS = 15  # of the greedy choice: weights are fifteenths
MOST = 10  # candidates, the best ones, are asked to vote
WORTH = 0.01  # of what is lacking to a perfect score
EARNED = 0.003  # the same, for all of a vote's cost
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
    """Choose the best candidate, or a soft vote where it wins, of what the limit allows.

    All are scored as they would have been chosen without the rows they are scored on: neither the best of many
    nor the best weights have an advantage. A vote with members that are no trees is scored by ONNX Runtime, at several
    times the cost, and has to be WORTH it. Candidates without a recipe are shown only. Raises SearchError if nothing
    is within the limit.
    """
    able = sorted((c for c in candidates if c.recipe), key=lambda candidate: problem.loss(candidate.outputs))
    eligible = [c for c in able if not limit or (c.cost and limit.allows(c.cost))][:MOST]
    if not eligible:
        raise SearchError(_too_dear(able, limit))
    trees = [candidate for candidate in eligible if candidate.recipe and candidate.recipe.learner not in NO_TREES]
    best = eligible[0]
    shares: tuple[tuple[Candidate, float], ...] = ((best, 1.0),)
    lost = problem.shortfall(_crossed_best(problem, eligible))
    rows = [Row(c.name, c.score, c.seconds, False, c.cost) for c in candidates]
    for voters, worth in ((trees, 0.0), (eligible, WORTH)):
        if len(voters) < 2 or (worth and len(trees) == len(eligible)):
            continue
        started = time.monotonic()
        crossed = _crossed_vote(problem, voters, limit)
        taken = _earning(problem, voters, limit)
        if len(taken) < 2:
            continue
        if problem.shortfall(crossed) < lost * (1 - worth):
            shares, lost = taken, problem.shortfall(crossed)
        cost = sum((c.cost or NOTHING for c, _ in taken), NOTHING)
        name = f"vote of {' + '.join(c.name for c, _ in taken)}"
        rows = [row for row in rows if row.name != name]
        rows.append(Row(name, problem.score(crossed), time.monotonic() - started, False, cost))
    winner = best.name if len(shares) == 1 else f"vote of {' + '.join(c.name for c, _ in shares)}"
    rows = [replace(row, chosen=row.name == winner) for row in rows]
    return Chosen(shares, tuple(sorted(rows, key=lambda row: row.score, reverse=problem.metric.greater_is_better)))


def _earning(problem: Problem, voters: Sequence[Candidate], limit: Limit) -> tuple[tuple[Candidate, float], ...]:
    """The vote without members that do not earn their cost: of all, saved, the score may fall short by EARNED more."""
    kept = list(voters)
    while True:
        weights = greedy_weights(problem, kept, limit)
        taken = [(c, float(w)) for c, w in zip(kept, weights, strict=True) if w]
        lost = problem.shortfall(_sum(taken))
        cost = sum((c.cost.row_us if c.cost else 0.0) for c, _ in taken)
        for member, _ in sorted(taken, key=lambda share: share[1]):
            others = [c for c, _ in taken if c is not member]
            if not others or not member.cost:
                continue
            without = list(zip(others, greedy_weights(problem, others, limit).tolist(), strict=True))
            if problem.shortfall(_sum(without)) < lost * (1 + EARNED * member.cost.row_us / cost):
                kept = others
                break
        else:
            return tuple(taken)


def _sum(shares: Sequence[tuple[Candidate, float]]) -> Array:
    return np.tensordot([weight for _, weight in shares], [c.outputs for c, _ in shares], axes=1)


def _crossed_best(problem: Problem, candidates: Sequence[Candidate]) -> Array:
    """Of each fold the outputs of the candidate that is best on the others."""
    crossed = np.empty_like(candidates[0].outputs)
    for train, held_out in folds(problem):
        leader = min(candidates, key=lambda candidate: problem.loss(candidate.outputs[train], train))
        crossed[held_out] = leader.outputs[held_out]
    return crossed


def _crossed_vote(problem: Problem, candidates: Sequence[Candidate], limit: Limit) -> Array:
    """Of each fold the vote by weights that were chosen on the others."""
    crossed = np.empty_like(candidates[0].outputs)
    for train, held_out in folds(problem):
        weights = greedy_weights(problem, candidates, limit, train)
        crossed[held_out] = np.tensordot(weights, [c.outputs[held_out] for c in candidates], axes=1)
    return crossed


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
    threads = THREADS if len(chosen.shares) == 1 else 1  # members side by side: it is what folds do, too

    def one(share: tuple[Candidate, float]) -> Fitted:
        candidate, weight = share
        recipe = candidate.recipe
        assert recipe is not None
        estimator = fit(problem, recipe, rounds=candidate.rounds, threads=threads)
        return Fitted(recipe.learner, weight, recipe.config, estimator)

    members = side_by_side(one, chosen.shares)
    outputs = _sum(chosen.shares)
    threshold = choose_threshold(problem, outputs, positive)
    return Ensemble(problem.task, tuple(members), problem.lifted(outputs), threshold, positive)
