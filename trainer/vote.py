"""The final round: the best of each learner and the baselines on the same folds, and their soft vote.

All that is chosen here is chosen on out-of-fold predictions of the training rows.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from bundle.manifest import Task, Value
from trainer.metrics import Array, Metric
from trainer.plain_flaml import task_factory
from trainer.problem import Problem
from trainer.search import THREADS

FOLDS = 5
MAX_MEMBERS = 3  # a fourth gained 0.0002 ROC-AUC on Bank Marketing, and costs 5 µs a row
STEPS = 12  # of the greedy choice: weights are twelfths
DEFAULT_LIGHTGBM = "lgbm (defaults)"
BASELINE = {"binary": "majority class", "multiclass": "majority class", "regression": "mean"}


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator with its share of the vote. `estimator` is FLAML's wrapper."""

    learner: str
    weight: float
    config: dict[str, Value]
    estimator: Any


@dataclass(frozen=True)
class Candidate:
    """A contender of the final round; `score` is the metric of its out-of-fold predictions."""

    name: str
    learner: str
    config: dict[str, Value]
    score: float
    seconds: float
    outputs: Array
    rounds: int | None = None  # trees that early stopping kept, where the learner stops early


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
    """The model in Python: the weighted mean of its members' outputs."""

    task: Task
    members: tuple[Fitted, ...]

    def outputs(self, x: Array) -> Array:
        """Probabilities of shape (rows, classes), or values of shape (rows,)."""
        parts = [member.weight * outputs(member.estimator, x, self.task) for member in self.members]
        total: Array = np.sum(parts, axis=0)
        return total


def outputs(estimator: Any, x: Array, task: Task) -> Array:
    """What one estimator gives: probabilities (rows, classes), or values (rows,), as float64."""
    predict: Callable[[Array], Array] = estimator.predict if task == "regression" else estimator.predict_proba
    with np.errstate(all="ignore"):  # scikit-learn sums its input to see whether it is finite
        return np.asarray(predict(x), dtype=np.float64)


def fit(problem: Problem, learner: str, config: dict[str, Value], rounds: int | None = None) -> Any:
    """Fit one configuration. `rounds` fixes the number of trees instead of stopping early."""
    arguments: dict[str, Any] = {}
    if rounds is not None:
        config = {name: value for name, value in config.items() if name != "early_stopping_rounds"}
        config["n_estimators"] = rounds
        arguments["use_best_model"] = False
    task = task_factory(problem.task, problem.x, problem.y)
    estimator = problem.learners[learner](task=task, n_jobs=THREADS, random_seed=problem.seed, **config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(problem.x, problem.y, **arguments)
    return estimator


def out_of_fold(problem: Problem, name: str, learner: str, config: dict[str, Value]) -> Candidate:
    """Predict every training row by an estimator that was fitted without it."""
    started = time.monotonic()
    given: Array | None = None
    counts: list[int | None] = []
    for train, held_out in folds(problem):
        estimator = fit(problem.at(train), learner, config)
        part = outputs(estimator, problem.x[held_out], problem.task)
        given = np.empty((len(problem.y), *part.shape[1:])) if given is None else given
        given[held_out] = part
        counts.append(getattr(estimator.estimator, "tree_count_", None))
    assert given is not None
    kept = [count for count in counts if count is not None]
    rounds = max(1, round(sum(kept) / len(kept))) if kept else None
    score = problem.metric.function(problem.y, given)
    return Candidate(name, learner, config, score, time.monotonic() - started, given, rounds)


def baseline(problem: Problem) -> Candidate:
    """What needs no model: the share of each class, or the mean."""
    y = problem.y
    constant = y.mean() if problem.task == "regression" else np.bincount(y) / len(y)
    given = np.broadcast_to(constant, (len(y), *np.shape(constant)))
    return Candidate(BASELINE[problem.task], "", {}, problem.metric.function(y, given), 0.0, given)


def folds(problem: Problem) -> list[tuple[Array, Array]]:
    """The folds on which all candidates are compared."""
    splitter = KFold if problem.task == "regression" else StratifiedKFold
    return list(splitter(FOLDS, shuffle=True, random_state=problem.seed).split(problem.y, problem.y))


def choose(problem: Problem, candidates: Sequence[Candidate]) -> Chosen:
    """Choose the best candidate, or the soft vote where it wins.

    The vote is scored with weights that were chosen without the rows they are scored on, so that it
    has no advantage over the single candidates. Candidates without a learner are shown only.
    """
    y, metric = problem.y, problem.metric
    eligible = [candidate for candidate in candidates if candidate.learner]
    best = min(eligible, key=lambda candidate: metric.loss(y, candidate.outputs))
    shares: tuple[tuple[Candidate, float], ...] = ((best, 1.0),)
    rows = [Row(c.name, c.score, c.seconds, False) for c in candidates]
    if len(eligible) > 1:
        started = time.monotonic()
        crossed = np.empty_like(best.outputs)
        for train, held_out in folds(problem):
            weights = greedy_weights([c.outputs[train] for c in eligible], y[train], metric)
            crossed[held_out] = np.tensordot(weights, [c.outputs[held_out] for c in eligible], axes=1)
        weights = greedy_weights([candidate.outputs for candidate in eligible], y, metric)
        voters = tuple((c, float(w)) for c, w in zip(eligible, weights, strict=True) if w)
        if len(voters) > 1 and metric.loss(y, crossed) < metric.loss(y, best.outputs):
            shares = voters
        if len(voters) > 1:
            name = f"vote of {' + '.join(c.name for c, _ in voters)}"
            rows.append(Row(name, metric.function(y, crossed), time.monotonic() - started, shares is voters))
    if len(shares) == 1:
        rows = [replace(row, chosen=row.name == best.name) for row in rows]
    return Chosen(shares, tuple(sorted(rows, key=lambda row: row.score, reverse=metric.greater_is_better)))


def greedy_weights(given: Sequence[Array], y: Array, metric: Metric) -> Array:
    """Weights of shape (candidates,) that sum to 1.

    Ensemble selection with replacement (Caruana et al., "Ensemble selection from libraries of
    models", ICML 2004): at each step add the candidate that helps most; the best step counts.
    """
    counts = np.zeros(len(given))
    total = np.zeros_like(given[0])
    best_loss, best_counts = np.inf, counts
    for step in range(1, STEPS + 1):
        full = np.count_nonzero(counts) == MAX_MEMBERS
        losses = [
            np.inf if full and not counts[place] else metric.loss(y, (total + part) / step)
            for place, part in enumerate(given)
        ]
        place = int(np.argmin(losses))
        counts[place] += 1
        total = total + given[place]
        if losses[place] < best_loss:
            best_loss, best_counts = losses[place], counts.copy()
    return np.asarray(best_counts / best_counts.sum())


def refit(problem: Problem, chosen: Chosen) -> Ensemble:
    """Fit what was chosen on all training rows."""
    members = tuple(
        Fitted(c.learner, weight, c.config, fit(problem, c.learner, c.config, c.rounds)) for c, weight in chosen.shares
    )
    return Ensemble(problem.task, members)
