"""All contenders of one round: the baselines, the known good configurations, and what the search finds from there.

Every one of them is scored out of fold on the same rows, so that all can be voters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import skew

from bundle.manifest import Label, Value
from trainer.candidates import DEFAULTS, FOLDS, Candidate, Recipe, baseline, out_of_fold
from trainer.errors import SearchError
from trainer.interrupt import interruptible
from trainer.measure import cost_of
from trainer.portfolio import portfolio
from trainer.problem import Problem
from trainer.search import HOLDOUT_ROWS, MANY_ROWS, THREADS, Found, Trial, search
from trainer.vote import Ensemble, Fitted

# Shares of the budget that have gone when a part of the round has to end; what is left is for the fit on all rows.
START, SEARCH, END, PRICED = 0.45, 0.62, 0.75, 0.8
STAGES = ("Known good configurations", "Search", "Final round, out of fold")
LEAST = 0.05  # of the budget, that a search is worth


@dataclass(frozen=True)
class Told:
    """Whom a round tells what happens."""

    stage: Callable[[str], None]
    trial: Callable[[Trial], None]
    candidate: Callable[[Candidate], None]


@dataclass(frozen=True)
class Limits:
    """When a round ends: by `budget` (seconds), or with `max_trials` by the number of configurations alone."""

    budget: float | None
    max_trials: int | None

    def clock(self) -> Callable[[], float]:
        """A function that says which share of the budget has gone; it stays 0 where trials are counted."""
        if self.max_trials is not None or self.budget is None:
            return lambda: 0.0
        started, budget = time.monotonic(), self.budget
        return lambda: (time.monotonic() - started) / budget


class Contest:
    """Collects the candidates of one round; `interrupted` if Ctrl-C ended it."""

    def __init__(self, problem: Problem, wanted: Mapping[str, type[Any]], limits: Limits, told: Told) -> None:
        """`wanted` are the learners that may be chosen; the default LightGBM is shown beside them."""
        self.problem, self._wanted, self._limits, self._told = problem, wanted, limits, told
        self._gone = limits.clock()
        self.candidates: list[Candidate] = []
        self.found = Found((), (), interrupted=False)

    def run(self) -> None:
        """Run all of it. Raises SearchError or KeyboardInterrupt if nothing could be chosen then."""
        self._add(baseline(self.problem))
        recipes = [recipe for recipe in portfolio(self.problem.task) if recipe.learner in self._wanted]
        if self._limits.max_trials is not None:
            recipes = recipes[: self._limits.max_trials // 2]
        tried = len(recipes)
        try:
            self._told.stage(STAGES[0])
            self._compete([DEFAULTS], START)
            if recipes and tries_logarithm(self.problem):
                self._choose_scale(recipes[0])
                recipes = recipes[1:]
            self._compete(recipes, START)
            self._search(tried)
            if not self.found.interrupted:
                self._told.stage(STAGES[2])
            best = self.found.best[:1] if self.found.interrupted else self.found.best
            self._compete([self._finalist(trial) for trial in best], END)
        except KeyboardInterrupt:
            self.found = replace(self.found, interrupted=True)
            if not any(candidate.recipe for candidate in self.candidates):
                raise

    def priced(self, classes: Sequence[Label], all_of_them: bool) -> list[Candidate]:
        """The candidates with what each would cost alone; the worst are not measured where that takes too long."""
        order = sorted((c for c in self.candidates if c.recipe), key=lambda c: self.problem.loss(c.outputs))
        found = {}
        for candidate in order:
            if all_of_them or self._gone() < PRICED:
                recipe, sample = candidate.recipe, candidate.sample
                assert recipe is not None
                member = Fitted(recipe.learner, 1.0, recipe.config, sample)
                alone = Ensemble(self.problem.task, (member,), self.problem.scale)
                found[candidate.name] = cost_of(alone, self.problem.x, classes)
        return [replace(c, sample=None, cost=found.get(c.name)) for c in self.candidates]

    def _choose_scale(self, recipe: Recipe) -> None:
        """Let the learners see the logarithm of the target if one does better so; what came before is shown only."""
        self._compete([recipe], START)
        if self.candidates[-1].recipe is not recipe:
            return
        of_logarithm = self.problem.of_logarithm()
        candidate = out_of_fold(of_logarithm, replace(recipe, name=f"{recipe.name} of the logarithm"))
        values, lifted = self.problem.scale.back(self.problem.y), of_logarithm.lifted(candidate.outputs)
        loss = self.problem.metric.loss(values, lifted.back(candidate.outputs))
        if loss < self.problem.loss(self.candidates[-1].outputs):
            self.candidates = [replace(before, recipe=None) for before in self.candidates]
            self.problem = of_logarithm
            self._add(candidate)

    def _compete(self, recipes: list[Recipe], until: float) -> None:
        """Score one after the other, of those that there is time for; how long the others took says for which."""
        with interruptible() as check:
            for recipe in recipes:
                if self._gone() + self._expected(recipe) > until:
                    continue
                candidate = out_of_fold(self.problem, recipe, self._left(until))
                shown_only = recipe.learner not in self._wanted
                self._add(replace(candidate, recipe=None) if shown_only else candidate)
                check()

    def _left(self, until: float) -> float | None:
        """Seconds until that share of the budget has gone; at least a little."""
        if self._limits.budget is None or self._limits.max_trials is not None:
            return None
        return max(until - self._gone(), LEAST) * self._limits.budget

    def _expected(self, recipe: Recipe) -> float:
        """Which share of the budget it may take; nothing is known of the first one, which is always tried."""
        if self._limits.budget is None or self._limits.max_trials is not None:
            return 0.0
        if recipe.seconds is not None:
            return recipe.seconds / self._limits.budget
        paces = [c.seconds / c.recipe.effort for c in self.candidates if c.recipe]
        return recipe.effort * max(paces) / self._limits.budget if paces else -1.0

    def _finalist(self, trial: Trial) -> Recipe:
        rows = len(self.problem.y)
        fits = FOLDS if rows >= HOLDOUT_ROWS else 1  # a trial was one fit, or all folds of one
        threads = THREADS if rows < MANY_ROWS else 1  # on one thread: side by side they take as much less
        seconds = trial.seconds * fits / threads
        return Recipe(f"{trial.learner} {trial.number}", trial.learner, trial.config, seconds=seconds)

    def _search(self, tried: int) -> None:
        share = SEARCH - self._gone()
        if share < LEAST:
            return
        limits = self._limits
        trials = None if limits.max_trials is None else max(1, limits.max_trials - tried)
        budget = None if trials is not None or limits.budget is None else limits.budget * share
        self._told.stage(STAGES[1])
        searched = replace(self.problem, learners=dict(self._wanted))
        try:
            self.found = search(
                searched, budget=budget, max_trials=trials, starts=self._starts(), on_trial=self._told.trial
            )
        except SearchError:
            if not any(candidate.recipe for candidate in self.candidates):
                raise

    def _starts(self) -> dict[str, dict[str, Value]]:
        """The best configuration so far of each learner, where the search starts."""
        starts: dict[str, dict[str, Value]] = {}
        for candidate in sorted(self.candidates, key=lambda candidate: self.problem.loss(candidate.outputs)):
            if candidate.recipe and candidate.recipe.learner not in starts:
                rounds = {"n_estimators": candidate.rounds} if candidate.rounds else {}
                starts[candidate.recipe.learner] = {**candidate.recipe.config, **rounds}
        return starts

    def _add(self, candidate: Candidate) -> None:
        self.candidates.append(candidate)
        self._told.candidate(candidate)


def tries_logarithm(problem: Problem) -> bool:
    """Whether the target is one of positive numbers that are less skewed on a logarithmic scale."""
    if problem.task != "regression":
        return False
    values = problem.scale.back(problem.y)
    positive = values.min() > 1e-9 * problem.scale.unit  # there and back, a 0 is no longer exact
    return bool(positive) and abs(skew(np.log(values))) < abs(skew(values))
