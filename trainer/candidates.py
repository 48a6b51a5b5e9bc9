"""Candidates: configurations whose predictions of every training row come from estimators that have not seen it.

Folds run side by side, a thread each: that keeps both cores busier than one fold on two threads. Boosted trees stop
where the fold that is held out says so, and the fit on all training rows takes as many as the folds did on average.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from bundle.manifest import Task, Value
from trainer.cost import Cost
from trainer.learners import BOOSTED, xgboost_rounds
from trainer.metrics import Array
from trainer.plain_flaml import task_factory
from trainer.problem import Problem
from trainer.search import MANY_ROWS, THREADS

Given = TypeVar("Given")
Made = TypeVar("Made")

FOLDS = 5
MAX_ROUNDS = 1_200  # of boosting, where nothing stops it
MORE_ROUNDS = 1.3  # times those of a trial may be taken
DEFAULT_LIGHTGBM = "lgbm (defaults)"
BASELINE = {"binary": "majority class", "multiclass": "majority class", "regression": "mean"}


@dataclass(frozen=True)
class Recipe:
    """A learner with its configuration; one that `stops` takes as many rounds as held-out rows want.

    `effort` is about what it takes, in times of the first recipe of the portfolio; `seconds` if that is known.
    """

    name: str
    learner: str
    config: dict[str, Value]
    stops: bool = True
    effort: float = 2.0
    seconds: float | None = None


DEFAULTS = Recipe(DEFAULT_LIGHTGBM, "lgbm", {}, stops=False, effort=1.0)


@dataclass(frozen=True)
class Candidate:
    """A contender; `score` is the metric of its out-of-fold predictions. Without a recipe it is shown only."""

    name: str
    recipe: Recipe | None
    score: float
    seconds: float
    outputs: Array
    rounds: int | None = None  # of boosting, that early stopping kept
    sample: Any = None  # the estimator of one fold, to be measured
    cost: Cost | None = None


def outputs(estimator: Any, x: Array, task: Task) -> Array:
    """What one estimator gives: probabilities (rows, classes), or values (rows,), as float64."""
    predict: Callable[[Array], Array] = estimator.predict if task == "regression" else estimator.predict_proba
    with np.errstate(all="ignore"):  # scikit-learn sums its input to see whether it is finite
        return np.asarray(predict(x), dtype=np.float64)


def fit(
    problem: Problem,
    recipe: Recipe,
    *,
    rounds: int | None = None,
    watched: Problem | None = None,
    threads: int = THREADS,
    seconds: float | None = None,
) -> Any:
    """Fit one configuration.

    `rounds` fixes the rounds of boosting; `watched` has the rows to stop early on; `seconds` end it in any case.
    Few rows are fitted on one of the `threads`.
    """
    learner = problem.learners[recipe.learner]
    config = dict(recipe.config)
    given: dict[str, Any] = {}
    if issubclass(learner, BOOSTED) and recipe.stops:
        config.pop("early_stopping_rounds", None)
        most = math.ceil(MORE_ROUNDS * int(config.get("n_estimators") or MAX_ROUNDS / MORE_ROUNDS))
        config["n_estimators"] = rounds or min(most, MAX_ROUNDS)
        if watched is not None:
            given = {"eval_set": [(watched.x, watched.y)], "budget": seconds}
    task = task_factory(problem.task, problem.x, problem.y)
    estimator = learner(
        task=task, n_jobs=threads if len(problem.x) >= MANY_ROWS else 1, random_seed=problem.seed, **config
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # solvers that stop at their iteration cap, mostly
        estimator.fit(problem.x, problem.y, **given)
    return estimator


def out_of_fold(problem: Problem, recipe: Recipe, most: float | None = None) -> Candidate:
    """Predict every training row by an estimator that was fitted without it, in `most` seconds if trees are boosted."""
    started = time.monotonic()
    each = None if most is None else most / math.ceil(FOLDS / THREADS)

    def one(fold: tuple[Array, Array]) -> tuple[Array, int | None, Any]:
        train, held_out = fold
        watched = problem.at(held_out)
        estimator = fit(problem.at(train), recipe, watched=watched if recipe.stops else None, threads=1, seconds=each)
        return outputs(estimator, watched.x, problem.task), _rounds(estimator.estimator), estimator

    splits = folds(problem)
    parts = side_by_side(one, splits)
    given = np.empty((len(problem.y), *parts[0][0].shape[1:]))
    for (_, held_out), (part, *_) in zip(splits, parts, strict=True):
        given[held_out] = part
    counts = [rounds for _, rounds, _ in parts if rounds is not None]
    kept = max(1, round(sum(counts) / len(counts))) if counts else None
    score = problem.score(given)
    seconds = time.monotonic() - started
    return Candidate(recipe.name, recipe, score, seconds, given, kept, parts[0][-1])


def side_by_side(work: Callable[[Given], Made], of: Sequence[Given]) -> list[Made]:
    """The work of each, as many at a time as there are THREADS; of Ctrl-C, what has not begun is given up."""
    with warnings.catch_warnings():  # what threads do to the filters ends with all of them
        warnings.simplefilter("ignore")
        pool = ThreadPoolExecutor(THREADS)
        try:
            return list(pool.map(work, of))
        finally:
            pool.shutdown(cancel_futures=True)


def _rounds(estimator: Any) -> int | None:
    """How many rounds early stopping kept; None where there are none, or nothing stopped them."""
    if hasattr(estimator, "tree_count_"):
        return int(estimator.tree_count_)
    best = getattr(estimator, "best_iteration_", None)  # LightGBM counts from 1, XGBoost from 0
    if best is None and getattr(estimator, "early_stopping_rounds", None):
        return xgboost_rounds(estimator)
    return int(best) if best else None


def baseline(problem: Problem) -> Candidate:
    """What needs no model: the share of each class, or the mean."""
    y = problem.y
    constant = y.mean() if problem.task == "regression" else np.bincount(y) / len(y)
    given = np.broadcast_to(constant, (len(y), *np.shape(constant)))
    return Candidate(BASELINE[problem.task], None, problem.score(given), 0.0, given)


def folds(problem: Problem) -> list[tuple[Array, Array]]:
    """The folds on which all candidates are compared."""
    splitter = KFold if problem.task == "regression" else StratifiedKFold
    return list(splitter(FOLDS, shuffle=True, random_state=problem.seed).split(problem.y, problem.y))
