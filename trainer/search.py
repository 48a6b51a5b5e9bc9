"""FLAML's search: trial after trial until the budget, the number of trials or Ctrl-C ends it."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bundle.manifest import Value
from trainer.errors import SearchError
from trainer.interrupt import interruptible
from trainer.plain_flaml import AutoML, task_factory
from trainer.problem import Problem

MANY_ROWS = 10_000  # of fewer, a second thread costs boosted trees more than it helps them
HOLDOUT_ROWS = 5_000  # from here on one hold-out, below it five folds a trial
THREADS = 2  # fixed, not the machine's count: the number of threads changes the order of float sums


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried. `score` is the metric on FLAML's own validation rows."""

    number: int
    learner: str
    score: float
    best: float
    seconds: float
    elapsed: float
    config: dict[str, Value]


@dataclass(frozen=True)
class Found:
    """What a search found: the best trial of each learner, the best first, and all trials in their order."""

    best: tuple[Trial, ...]
    history: tuple[Trial, ...]
    interrupted: bool


def search(
    problem: Problem,
    *,
    budget: float | None,
    max_trials: int | None,
    starts: Mapping[str, Mapping[str, Value]],
    on_trial: Callable[[Trial], None],
) -> Found:
    """Search over the problem's learners, each from its configuration in `starts`, if it has one.

    At least one of `budget` (seconds) and `max_trials` must be given; with `max_trials` alone the
    same seed gives the same trials. Ctrl-C ends the search and keeps what was found. Raises
    SearchError if there is nothing to keep.
    """
    metric, classes = problem.metric, problem.learners
    plain = metric.unit == "target" and not problem.scale.logarithm
    unit = problem.scale.spread if plain else 1.0  # scores of a logarithm have none of the target's units
    best: dict[str, Trial] = {}
    history: list[Trial] = []

    class Watched(AutoML):  # type: ignore[misc]
        def _log_trial(self, search_state: Any, estimator: str) -> None:
            loss = float(search_state.val_loss)
            score = 1 - loss if metric.greater_is_better else loss * unit

            def better(trial: Trial) -> float:
                return -trial.score if metric.greater_is_better else trial.score

            config = {
                name: value.item() if hasattr(value, "item") else value
                for name, value in search_state.config.items()
                if name != "FLAML_sample_size"
            }
            elapsed = float(self._state.time_from_start)
            number = len(history) + 1
            trial = Trial(number, estimator, score, score, float(search_state.trial_time), elapsed, config)
            if estimator not in best or better(trial) < better(best[estimator]):
                best[estimator] = trial
            leader = min(best.values(), key=better)
            history.append(replace(trial, best=leader.score))
            on_trial(history[-1])
            check()

    automl = Watched()
    for name, learner in classes.items():
        automl.add_learner(name, learner)
    logging.getLogger("flaml").setLevel(logging.ERROR)
    interrupted = False
    started = time.monotonic()
    try:
        with interruptible() as check, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # solvers that stop at their iteration cap, mostly
            automl.fit(
                X_train=problem.x,
                y_train=problem.y,
                task="regression" if problem.task == "regression" else "classification",
                metric=metric.flaml,
                estimator_list=list(classes),
                time_budget=-1 if budget is None else budget,
                starting_points=_within(starts, problem),
                max_iter=max_trials or 1_000_000,
                eval_method="holdout" if len(problem.x) >= HOLDOUT_ROWS else "cv",
                seed=problem.seed,
                n_jobs=THREADS if len(problem.x) >= MANY_ROWS else 1,
                log_type="all",
                early_stop=True,
                retrain_full=False,
                skip_transform=True,
                ensemble=False,
                mlflow_logging=False,
                auto_augment=False,  # copies of rare rows on both sides of a split make the scores lie
                verbose=0,
            )
    except KeyboardInterrupt:
        interrupted = True
    if not best:
        raise SearchError(
            f"The search ended after {time.monotonic() - started:.0f} s before its first trial did. "
            + ("" if interrupted else "Give it more time with --budget.")
        )
    order = sorted(best.values(), key=lambda trial: trial.score, reverse=metric.greater_is_better)
    return Found(tuple(order), tuple(history), interrupted)


def _within(starts: Mapping[str, Mapping[str, Value]], problem: Problem) -> dict[str, dict[str, Value]]:
    """Of each start what the learner's search space has a name for."""
    task = task_factory(problem.task, problem.x, problem.y)
    spaces = {name: problem.learners[name].search_space(data_size=problem.x.shape, task=task) for name in starts}
    return {name: {key: value for key, value in start.items() if key in spaces[name]} for name, start in starts.items()}
