"""All contenders of one round: the baselines, the known good configurations, and what the search finds from there.

Every one of them is scored out of fold on the same rows, so that all can be voters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bundle.manifest import Value
from trainer.candidates import DEFAULTS, Candidate, Recipe, baseline, out_of_fold
from trainer.errors import SearchError
from trainer.interrupt import interruptible
from trainer.portfolio import portfolio
from trainer.problem import Problem
from trainer.search import Found, Trial, search

# Shares of the budget that have gone when a part of the round has to end; what is left is for the fit on all rows.
START, SEARCH, END = 0.5, 0.7, 0.82
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
        self._problem, self._wanted, self._limits, self._told = problem, wanted, limits, told
        self._gone = limits.clock()
        self.candidates: list[Candidate] = []
        self.found = Found((), (), interrupted=False)

    def run(self) -> None:
        """Run all of it. Raises SearchError or KeyboardInterrupt if nothing could be chosen then."""
        self._add(baseline(self._problem))
        recipes = [recipe for recipe in portfolio(self._problem.task) if recipe.learner in self._wanted]
        if self._limits.max_trials is not None:
            recipes = recipes[: self._limits.max_trials // 2]
        try:
            self._told.stage(STAGES[0])
            self._compete([DEFAULTS, *recipes], START)
            self._search(len(recipes))
            if not self.found.interrupted:
                self._told.stage(STAGES[2])
            best = self.found.best[:1] if self.found.interrupted else self.found.best
            tried = [Recipe(f"{trial.learner} {trial.number}", trial.learner, trial.config) for trial in best]
            self._compete(tried, END)
        except KeyboardInterrupt:
            self.found = replace(self.found, interrupted=True)
            if not any(candidate.recipe for candidate in self.candidates):
                raise

    def _compete(self, recipes: list[Recipe], until: float) -> None:
        """Score one after the other, while there is time; the slowest so far says what the next may take."""
        with interruptible() as check:
            for recipe in recipes:
                before = self._gone()
                if before >= until and any(candidate.recipe for candidate in self.candidates):
                    break
                candidate = out_of_fold(self._problem, recipe)
                shown_only = recipe.learner not in self._wanted
                self._add(replace(candidate, recipe=None) if shown_only else candidate)
                check()

    def _search(self, tried: int) -> None:
        share = SEARCH - self._gone()
        if share < LEAST:
            return
        limits = self._limits
        trials = None if limits.max_trials is None else max(1, limits.max_trials - tried)
        budget = None if trials is not None or limits.budget is None else limits.budget * share
        self._told.stage(STAGES[1])
        searched = replace(self._problem, learners=dict(self._wanted))
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
        for candidate in sorted(self.candidates, key=lambda candidate: self._problem.loss(candidate.outputs)):
            if candidate.recipe and candidate.recipe.learner not in starts:
                rounds = {"n_estimators": candidate.rounds} if candidate.rounds else {}
                starts[candidate.recipe.learner] = {**candidate.recipe.config, **rounds}
        return starts

    def _add(self, candidate: Candidate) -> None:
        self.candidates.append(candidate)
        self._told.candidate(candidate)
