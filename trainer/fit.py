"""One honest round: split, search and choose on the training rows, evaluate once on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from bundle import Column
from bundle.manifest import Label, Task, Value
from trainer.candidates import BASELINE, DEFAULT_LIGHTGBM, DEFAULTS, Candidate, baseline, fit, outputs
from trainer.columns import describe, matrix
from trainer.contest import Contest, Limits, Told
from trainer.cost import Limit
from trainer.errors import TrainerError
from trainer.guardrails import Finding, Inspected
from trainer.learners import learners
from trainer.measure import cost_of
from trainer.metrics import Array, Metric, classification_metrics, metric_for, regression_metrics
from trainer.problem import Problem, Scale
from trainer.search import Found, Trial
from trainer.split import split
from trainer.table import Table
from trainer.target import Target
from trainer.vote import Chosen, Ensemble, choose, refit


class Watcher(Protocol):
    """Is told what happens while it happens."""

    def guardrails(self, findings: Sequence[Finding]) -> None:
        """The table has been looked at."""

    def trial(self, trial: Trial) -> None:
        """The search has tried one configuration."""

    def candidate(self, candidate: Candidate) -> None:
        """One candidate has been scored out of fold."""

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
    limit: Limit = field(default=Limit())
    first_is_champion: bool = True  # a model's first version needs nobody's word; a pipeline has its own gate


@dataclass(frozen=True)
class Trained:
    """A fitted model with all that was measured of it. `train` and `test` are places of rows."""

    ensemble: Ensemble
    columns: tuple[Column, ...]
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
    scale = Scale() if target.classes else Scale.of(y)
    if not target.classes:
        y = scale.there(y)
    classes = learners(target.task, columns, seed)
    unknown = ", ".join(sorted(set(request.learners) - set(classes)))
    if unknown:
        raise TrainerError(f"No such learner for a {target.task} task: {unknown}. There are: {', '.join(classes)}.")
    wanted = {name: learner for name, learner in classes.items() if not request.learners or name in request.learners}

    problem = Problem(target.task, metric, x, y, classes, seed, scale)

    told = Told(watcher.stage, watcher.trial, watcher.candidate)
    contest = Contest(problem, wanted, Limits(request.budget, request.max_trials), told)
    contest.run()
    plain, problem = problem, contest.problem
    candidates = contest.priced(target.classes, all_of_them=bool(request.limit))
    watcher.stage("Fit on all training rows")
    chosen, ensemble = _within(request.limit, problem, candidates, target)

    x_test, y_test = matrix(frame.iloc[test], columns), target.values[test]
    default = scale.back(outputs(fit(plain, DEFAULTS), x_test, target.task))
    given = ensemble.outputs(x_test)
    constant = scale.back(baseline(plain).outputs[:1])
    return Trained(
        ensemble,
        columns,
        train,
        test,
        metric,
        contest.found,
        chosen,
        evaluate(y_test, given, target, ensemble),
        {
            DEFAULT_LIGHTGBM: evaluate(y_test, default, target),
            BASELINE[target.task]: evaluate(y_test, np.repeat(constant, len(test), axis=0), target),
        },
    )


def _within(limit: Limit, problem: Problem, candidates: Sequence[Candidate], target: Target) -> tuple[Chosen, Ensemble]:
    """Choose and fit what costs no more than the limit, measured of the very model. Raises SearchError."""
    wanted = limit
    positive = None if target.positive is None else target.classes.index(target.positive)
    while True:
        chosen = choose(problem, candidates, wanted)
        ensemble = refit(problem, chosen, positive)
        cost = cost_of(ensemble, problem.x, target.classes)
        if limit.allows(cost):
            return replace(
                chosen, board=tuple(replace(r, cost=cost) if r.chosen else r for r in chosen.board)
            ), ensemble
        wanted = wanted.below(cost)


def evaluate(values: Array, given: Array, target: Target, ensemble: Ensemble | None = None) -> dict[str, float]:
    """All metrics of the task on rows that nothing was chosen on, with the classes that the ensemble decides on."""
    if not target.classes:
        return regression_metrics(values, given)
    return classification_metrics(values, given, ensemble.decide(given) if ensemble else None)
