"""The experiment log: a training as a run of MLflow, what it tried as children. The bundle stays the one truth.

All is written once the training has ended: what MLflow takes (an import of 1.3 s, tables of a new database
1.6 s, 13 ms a child on SQLite) is no time of the search. A log that cannot be written is told, and costs no training.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bundle import Manifest, Store
from bundle.manifest import MANIFEST_DIGEST
from observability.telemetry import Settings
from trainer.candidates import Candidate
from trainer.experiment_plot import search_plot
from trainer.fit import Request, Watcher
from trainer.guardrails import Finding
from trainer.search import Trial
from trainer.telemetry import train_told

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger("homeport.trainer")

MAX_CHILDREN = 500  # trials that become runs of their own, the best of them; a search by time may have thousands
FILES = ("report.html", "MODEL_CARD.md", "manifest.json")
_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}  # a server that is away


@dataclass(frozen=True)
class Log:
    """Where to write: an address as MLFLOW_TRACKING_URI has it, and the name of the experiment."""

    uri: str
    experiment: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def hide(self, text: str) -> str:
        """A text without the name and password that the address may hold."""
        secret = self.uri.partition("://")[2].rpartition("@")[0]
        return text.replace(f"{secret}@", "") if secret else text

    @property
    def artifacts(self) -> str | None:
        """Where files go of an experiment that is new: beside a SQLite database, elsewhere where the server says."""
        path = self.uri.partition("sqlite:///")[2]
        return (Path(path).absolute().parent / "artifacts" / self.experiment).as_uri() if path else None


def train_logged(request: Request, store: Store, watcher: Watcher, settings: Settings, to: Log | None) -> Manifest:
    """`trainer.telemetry.train_told`, whose end is also written to an experiment log if there is one.

    Raises what that raises.
    """
    if to is None:
        return train_told(request, store, watcher, settings)
    kept = KeptWatcher(watcher)
    started = _now()
    try:
        manifest = train_told(request, store, kept, settings)
    except BaseException as error:
        with _told(to):
            run = _Run(to, request, started)
            run.tried(kept)
            run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", type(error).__name__)
        raise
    with _told(to):
        run = _Run(to, request, started)
        run.tried(kept)
        run.result(manifest, store.path(manifest.name, manifest.version), kept)
        run.end("FINISHED")
    return manifest


class KeptWatcher:
    """A `Watcher` that hands on to another what it is told, and keeps what was tried."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.trials: list[tuple[Trial, int]] = []  # with the time of their end, ms of the epoch
        self.candidates: list[tuple[Candidate, int]] = []

    def guardrails(self, findings: Sequence[Finding]) -> None:
        """The table has been looked at."""
        self._watcher.guardrails(findings)

    def stage(self, title: str) -> None:
        """The next part of the job begins."""
        self._watcher.stage(title)

    def trial(self, trial: Trial) -> None:
        """The search has tried one configuration."""
        self._watcher.trial(trial)
        self.trials.append((trial, _now()))

    def candidate(self, candidate: Candidate) -> None:
        """One candidate has been scored out of fold."""
        self._watcher.candidate(candidate)
        self.candidates.append((replace(candidate, outputs=np.zeros(0), sample=None), _now()))


class _Run:
    """The run of one training; whatever MLflow raises is the caller's to tell."""

    def __init__(self, to: Log, request: Request, started: int) -> None:
        self._client = _client(to.uri)
        if path := to.uri.partition("sqlite:///")[2]:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        found = self._client.get_experiment_by_name(to.experiment)
        self._experiment = (
            found.experiment_id
            if found
            else self._client.create_experiment(
                to.experiment, to.artifacts, {"mlflow.experimentKind": "custom_model_development"}
            )
        )
        params = {
            "source": request.table.source, "target": request.target, "rows": len(request.table.frame),
            "metric": request.metric, "budget": request.budget, "max_trials": request.max_trials,
            "seed": request.seed, "learners": ",".join(request.learners), "drop": ",".join(request.drop),
        }  # fmt: skip
        tags = {"homeport.model": request.name, "homeport.table.sha256": request.table.sha256, **to.tags}
        self.id = self._client.create_run(
            self._experiment, start_time=started, tags=tags, run_name=f"train {request.name}"
        ).info.run_id
        given = {name: value for name, value in params.items() if value not in (None, "")}
        self._batch(self.id, {}, given)

    def tried(self, kept: KeptWatcher) -> None:
        """Trials, and candidates: a finalist is one more metric of its trial, the others are children of their own."""
        children = self._trials(kept.trials)
        for candidate, ended in kept.candidates:
            if candidate.name not in children:
                given = {"learner": candidate.recipe.learner, **candidate.recipe.config} if candidate.recipe else {}
                measured = {"seconds": candidate.seconds}
                children[candidate.name] = self._child(candidate.name, ended, measured, given)
            self._batch(children[candidate.name], {"out of fold": candidate.score}, {})

    def _trials(self, trials: Sequence[tuple[Trial, int]]) -> dict[str, str]:
        """The best score over time, and the trials, the best of them if there are very many: name → its run."""
        from mlflow.entities import Metric

        best = [Metric("best", trial.best, ended, trial.number) for trial, ended in trials]
        for start in range(0, len(best), 1000):  # what a server takes at once
            self._client.log_batch(self.id, metrics=best[start : start + 1000])
        if not trials:
            return {}
        falls = trials[0][0].best > trials[-1][0].best  # of a loss less is better
        order = sorted(trials, key=lambda pair: pair[0].score if falls else -pair[0].score)[:MAX_CHILDREN]
        children = {}
        for trial, ended in sorted(order, key=lambda pair: pair[0].number):
            name = f"{trial.learner} {trial.number}"
            measured = {"score": trial.score, "best": trial.best, "seconds": trial.seconds}
            children[name] = self._child(name, ended, measured, {"learner": trial.learner, **trial.config})
        return children

    def _child(self, name: str, ended: int, measured: Mapping[str, float], given: Mapping[str, object]) -> str:
        """A finished run below this one, of so many `measured["seconds"]`; returns its id."""
        child: str = self._client.create_run(
            self._experiment,
            start_time=ended - int(measured["seconds"] * 1000),
            tags={"mlflow.parentRunId": self.id},
            run_name=name,
        ).info.run_id
        self._batch(child, measured, given)
        self._client.set_terminated(child, "FINISHED", ended)
        return child

    def result(self, manifest: Manifest, folder: Path, kept: KeptWatcher) -> None:
        """What came of it: metrics beside those of the baselines, the bundle's digest, report and plot."""
        metrics = dict(manifest.metrics)
        for baseline, measured in manifest.baselines.items():
            metrics |= {f"{baseline}/{name}": measured[name] for name in manifest.headline if name in measured}
        self._batch(self.id, metrics, {})
        tags = {
            "homeport.version": manifest.version,
            "homeport.bundle.digest": (folder / MANIFEST_DIGEST).read_text().split()[0],
            "homeport.interrupted": str(manifest.training.interrupted).lower(),
        }
        for name, value in tags.items():
            self._client.set_tag(self.id, name, value)
        for file in FILES:
            self._client.log_artifact(self.id, str(folder / file))
        names = ("candidate", "metric", "seconds", "chosen")
        board = {name: [getattr(row, name) for row in manifest.training.leaderboard] for name in names}
        self._client.log_table(self.id, board, "leaderboard.json")
        if kept.trials:
            self._client.log_figure(self.id, search_plot([trial for trial, _ in kept.trials]), "search.png")

    def end(self, status: str, error: str = "") -> None:
        """It has ended so."""
        if error:
            self._client.set_tag(self.id, "error.type", error)
        self._client.set_terminated(self.id, status, _now())

    def _batch(self, run: str, metrics: Mapping[str, float], params: Mapping[str, object]) -> None:
        from mlflow.entities import Metric, Param

        self._client.log_batch(
            run,
            metrics=[Metric(_name(name), float(value), _now(), 0) for name, value in metrics.items()],
            params=[Param(_name(name), str(value)[:6000]) for name, value in params.items()],
        )


def _client(uri: str) -> MlflowClient:
    """MLflow's client, which calls nobody but the server, and gives up on one that is away."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


@contextmanager
def _told(to: Log) -> Iterator[None]:
    """What the log could not take is one line, and nobody's failure."""
    try:
        yield
    except Exception as error:
        said = f"{to.uri}: {error}".splitlines()[0][:300]
        log.warning("the training is not in the experiment log %s", to.hide(said))


def _name(name: str) -> str:
    """What MLflow takes for a name: letters, digits, and a few signs."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


def _now() -> int:
    return time.time_ns() // 1_000_000
