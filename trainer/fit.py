"""One honest round: split, search and choose on the training rows, evaluate once on the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from bundle import Column
from bundle.manifest import Label, Task, Value
from trainer.columns import describe, matrix
from trainer.errors import TrainerError
from trainer.guardrails import Finding, Inspected
from trainer.interrupt import interruptible
from trainer.learners import learners
from trainer.metrics import Array, Metric, classification_metrics, metric_for, regression_metrics
from trainer.problem import Problem
from trainer.search import MAX_TRIAL_SHARE, Found, Trial, search
from trainer.split import split
from trainer.table import Table
from trainer.target import Target
from trainer.vote import (
    BASELINE,
    DEFAULT_LIGHTGBM,
    Candidate,
    Chosen,
    Ensemble,
    baseline,
    choose,
    fit,
    out_of_fold,
    outputs,
    refit,
)


class Watcher(Protocol):
    """Is told what happens while it happens."""

    def guardrails(self, findings: Sequence[Finding]) -> None:
        """The table has been looked at."""

    def trial(self, trial: Trial) -> None:
        """The search has tried one configuration."""

    def candidate(self, candidate: Candidate) -> None:
        """The final round has scored one candidate out of fold."""

    def stage(self, title: str) -> None:
        """The next part of the job begins."""


@dataclass(frozen=True)
class Request:
    """What to train on, and how. Without `max_trials` the search ends by `budget` (seconds) alone."""

    table: Table
    target: str
    name: str
    task: Task | None = None
    positive: Label | None = None
    drop: tuple[str, ...] = ()
    time_column: str | None = None  # the latest rows by it are the untouched ones
    test: Table | None = None  # its rows are the untouched ones
    metric: str | None = None
    learners: tuple[str, ...] = ()  # all of them if empty
    budget: float | None = 60.0
    max_trials: int | None = None
    seed: int = 0
    repeats: int = 0
    credit: str = ""
    examples: tuple[dict[str, Value], ...] = field(default=())
    first_is_champion: bool = True  # a model's first version needs nobody's word; a pipeline has its own gate


@dataclass(frozen=True)
class Trained:
    """A fitted model with all that was measured of it. `train` and `test` are places of rows."""

    ensemble: Ensemble
    columns: tuple[Column, ...]
    scale: tuple[float, float]  # mean and spread of a regression's target; (0, 1) otherwise
    train: Array
    test: Array
    metric: Metric
    found: Found
    chosen: Chosen
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]


def train_once(request: Request, inspected: Inspected, repeat: int, watcher: Watcher) -> Trained:
    """Run one round; each `repeat` has a split of its own, and 0 that of every model's. Raises TrainerError."""
    seed = request.seed + repeat
    frame, target = inspected.frame, inspected.target
    metric = metric_for(target.task, request.metric)
    train, test = split(inspected, repeat)
    columns = describe(frame.iloc[train].dropna(axis="columns", how="all"))
    x, y = matrix(frame.iloc[train], columns), target.values[train]
    scale = (0.0, 1.0) if target.classes else (float(y.mean()), float(y.std()) or 1.0)
    if not target.classes:
        y = (y - scale[0]) / scale[1]
    classes = learners(target.task, columns)
    unknown = ", ".join(sorted(set(request.learners) - set(classes)))
    if unknown:
        raise TrainerError(f"No such learner for a {target.task} task: {unknown}. There are: {', '.join(classes)}.")
    wanted = {name: learner for name, learner in classes.items() if not request.learners or name in request.learners}

    problem = Problem(target.task, metric, x, y, classes, seed)

    watcher.stage("Search")
    budget = request.budget if request.max_trials is None else None
    searched = replace(problem, learners=wanted)
    found = search(searched, budget=budget, max_trials=request.max_trials, on_trial=watcher.trial)
    watcher.stage("Final round, out of fold")
    chosen = choose(problem, _candidates(request, problem, found, watcher))
    watcher.stage("Fit on all training rows")
    ensemble = refit(problem, chosen)

    x_test, y_test = matrix(frame.iloc[test], columns), target.values[test]
    default = fit(problem, "lgbm", {})
    constant = baseline(problem).outputs[:1]
    return Trained(
        ensemble,
        columns,
        scale,
        train,
        test,
        metric,
        found,
        chosen,
        evaluate(y_test, ensemble.outputs(x_test), target, scale),
        {
            DEFAULT_LIGHTGBM: evaluate(y_test, outputs(default, x_test, target.task), target, scale),
            BASELINE[target.task]: evaluate(y_test, np.repeat(constant, len(test), axis=0), target, scale),
        },
    )


def evaluate(values: Array, given: Array, target: Target, scale: tuple[float, float]) -> dict[str, float]:
    """All metrics of the task on rows that nothing was chosen on."""
    if target.classes:
        return classification_metrics(values, given)
    return regression_metrics(values, given * scale[1] + scale[0])


def _candidates(request: Request, problem: Problem, found: Found, watcher: Watcher) -> list[Candidate]:
    """The baselines and the best trial of each learner, until the time or the user's patience is over."""
    done = [baseline(problem)]
    watcher.candidate(done[0])
    # after Ctrl-C only the best so far is taken on
    best = found.best[:1] if found.interrupted else found.best
    entrants = [(trial.learner, trial.learner, trial.config) for trial in best]
    entrants.insert(1, (DEFAULT_LIGHTGBM, "lgbm", {}))
    share = None if request.budget is None or request.max_trials is not None else request.budget * (1 - MAX_TRIAL_SHARE)
    started = time.monotonic()
    try:
        with interruptible() as check:
            for place, (name, learner, config) in enumerate(entrants):
                if share is not None and place >= 2 and time.monotonic() - started > share:
                    break
                candidate = out_of_fold(problem, name, learner, config)
                excluded = request.learners and learner not in request.learners  # on the board, not to be chosen
                done.append(replace(candidate, learner="") if excluded else candidate)
                watcher.candidate(candidate)
                check()
    except KeyboardInterrupt:
        if not any(candidate.learner for candidate in done):
            raise
    return done
