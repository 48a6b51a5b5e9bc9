"""train: the search, which writes a bundle that nobody serves yet."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from bundle.manifest import MANIFEST_DIGEST
from observability.telemetry import Settings as TelemetrySettings
from pipeline.steps.data import Data, request
from pipeline.steps.step import Context, Step
from pipeline.steps.version import Version, is_there
from trainer.candidates import Candidate
from trainer.experiments import Log, train_logged
from trainer.guardrails import Finding
from trainer.search import Trial

log = logging.getLogger("homeport.pipeline")


class Training(msgspec.Struct, frozen=True):
    """What to train on, and how."""

    data: Data
    model: str
    metric: str | None
    learners: tuple[str, ...]
    budget: float
    max_trials: int | None
    seed: int


def train(inputs: Training, context: Context) -> Version:
    """Raises TrainerError; nothing is written then."""
    asked = replace(
        request(inputs.data, context, inputs.model, inputs.seed),
        metric=inputs.metric,
        learners=inputs.learners,
        budget=inputs.budget,
        max_trials=inputs.max_trials,
    )
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    tags = {"homeport.run": context.folder.run}
    to = Log(uri, context.experiment or inputs.model, tags) if uri else None
    manifest = train_logged(asked, context.store, Told(context, inputs), TelemetrySettings(), to)
    context.measured({name: manifest.metrics[name] for name in manifest.headline})
    digest = (context.store.path(manifest.name, manifest.version) / MANIFEST_DIGEST).read_text().split()[0]
    log.info("%s version %s is written, after %s trials", manifest.name, manifest.version, manifest.training.trials)
    return Version(manifest.name, manifest.version, digest)


class Told:
    """A `trainer.fit.Watcher` that makes what it is told the progress of the step."""

    def __init__(self, context: Context, inputs: Training) -> None:
        self._context = context
        self._total = inputs.max_trials or inputs.budget
        self._by_trials = inputs.max_trials is not None
        self._best: float | None = None

    def guardrails(self, findings: Sequence[Finding]) -> None:
        """They were told by the step before."""

    def stage(self, title: str) -> None:
        """The next part of the job begins."""
        log.info("%s", title)
        self._context.tell(title)

    def trial(self, trial: Trial) -> None:
        """The bar of the search moves."""
        done = trial.number if self._by_trials else trial.elapsed
        text = f"trial {trial.number}, {trial.learner}, best {trial.best:.4f}"
        self._context.tell(text, min(1.0, done / self._total), best=trial.best, trials=trial.number)
        if trial.best != self._best:
            self._best = trial.best
            log.info("trial %s: %s %.4f after %.0f s", trial.number, trial.learner, trial.score, trial.elapsed)

    def candidate(self, candidate: Candidate) -> None:
        """One more candidate has been scored."""
        self._context.tell(f"out of fold: {candidate.name} {candidate.score:.4f}")


TRAIN = Step(
    "train", train, Version, ("trainer", "bundle", "pipeline.steps.train"), "any run", is_there, timeout=86_400
)
