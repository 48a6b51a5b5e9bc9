"""A training as telemetry: a trace of its steps and trials, how many there were, the best score, lines of the log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from opentelemetry.sdk.metrics.export import Metric

from bundle import Manifest, Store, __version__
from observability.telemetry import Job, Outlet, Settings, counter, gauge
from trainer.candidates import Candidate
from trainer.fit import Request, Watcher
from trainer.guardrails import Finding
from trainer.job import train
from trainer.search import Trial

log = logging.getLogger("homeport.trainer")


def train_told(request: Request, store: Store, watcher: Watcher, settings: Settings) -> Manifest:
    """`trainer.job.train`, which also tells what it does if there is anywhere to send it.

    Raises TelemetryError beside what that raises.
    """
    if not settings.is_sent:
        return train(request, store, watcher)
    told = ToldWatcher(request, watcher)
    with Outlet(settings, "trainer", __version__).sending(told), told:
        told.say(logging.INFO, "training of %s on %s rows begins", request.name, f"{len(request.table.frame):,}")
        try:
            manifest = train(request, store, told)
        except Exception as error:
            log.error("training of %s failed", request.name, exc_info=error, extra={"span": told.here})
            raise
        scores = {f"ml.metric.{name}": manifest.metrics[name] for name in manifest.headline}
        told.event("model.trained", {"ml.model.version": manifest.version, **scores})
        told.say(logging.INFO, "%s version %s is written", manifest.name, manifest.version)
        return manifest


class ToldWatcher(Job):
    """A `Watcher` that hands on to another what it is told, and keeps it for telemetry; no value of a row."""

    def __init__(self, request: Request, watcher: Watcher) -> None:
        super().__init__(f"train {request.name}", {"ml.model.name": request.name})
        self._model = {"ml.model.name": request.name}
        self._watcher = watcher
        self._trials: Counter[str] = Counter()  # by learner
        self._best: float | None = None  # None: told already
        log.setLevel(logging.INFO)
        self.step("Guardrails")

    def say(self, level: int, message: str, *values: object) -> None:
        """Write a line to the log that belongs to the step."""
        log.log(level, message, *values, extra={"span": self.here})

    def guardrails(self, findings: Sequence[Finding]) -> None:
        """Say which checks had something to say. Their details may quote the table."""
        self._watcher.guardrails(findings)
        for finding in findings:
            if finding.outcome != "passed":
                level = logging.WARNING if finding.outcome == "alert" else logging.INFO
                self.say(level, "guardrail %s: %s", finding.check, finding.outcome)

    def stage(self, title: str) -> None:
        """Begin the next step of the trace."""
        self._watcher.stage(title)
        self.step(title)

    def trial(self, trial: Trial) -> None:
        """Count it and make it a part of the search."""
        self._watcher.trial(trial)
        self._trials[trial.learner] += 1
        self._best = trial.best
        found = {"ml.trial.number": trial.number, "ml.trial.score": trial.score, "ml.trial.best": trial.best}
        self.part(f"trial {trial.learner}", trial.seconds, found)

    def candidate(self, candidate: Candidate) -> None:
        """Make it a part of the step that it belongs to."""
        self._watcher.candidate(candidate)
        self.part(f"out of fold {candidate.name}", candidate.seconds, {"ml.trial.score": candidate.score})

    def metrics(self, since: int, now: int) -> list[Metric]:
        """Trials by learner, and the best score if it is news."""
        trials = [({**self._model, "ml.learner": learner}, count) for learner, count in list(self._trials.items())]
        best, self._best = self._best, None
        scores = [] if best is None else [(self._model, best)]
        return [
            counter("ml.training.trials", "{trial}", "Configurations that were tried.", trials, since, now),
            gauge("ml.training.best", "1", "The best score so far, on the search's validation rows.", scores, now),
        ]

    def restart(self) -> None:
        """Count anew."""
        super().restart()
        self._trials = Counter()
