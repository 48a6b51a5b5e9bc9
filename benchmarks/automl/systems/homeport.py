"""Homeport by the product's way: a table, a training job, a bundle, and the scorer that its endpoint serves.

A model that fails the parity gate is not written, and there is no result then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from benchmarks.automl.systems.harness import Job, Learned, run
from bundle import Column, Store
from bundle.forest import FOREST
from bundle.manifest import SCORER_GRAPH, Task
from bundle.model import Model, Outputs
from trainer.candidates import Candidate
from trainer.columns import matrix
from trainer.fit import Request
from trainer.guardrails import Finding
from trainer.job import train
from trainer.look import read_test
from trainer.search import Trial
from trainer.table import Table, read_table

NAME = "benchmark"
REPEATED = 1_000  # rows


class Silent:
    """A watcher that says nothing."""

    def guardrails(self, findings: Sequence[Finding]) -> None:
        """Nothing."""

    def trial(self, trial: Trial) -> None:
        """Nothing."""

    def candidate(self, candidate: Candidate) -> None:
        """Nothing."""

    def stage(self, title: str) -> None:
        """Nothing."""


def training_request(job: Job) -> Request:
    """What is asked of the training job.

    The others learn from all of these rows. So does Homeport, told that its untouched rows are in another file; as
    nobody here has the test rows' target, that file repeats some training rows, and what it measures is not looked at.
    """
    table = _table(job.train, job.folder / "rows.csv")
    repeated = job.folder / "repeated.csv"
    job.train.sample(min(REPEATED, len(job.train)), random_state=0).to_csv(repeated, index=False)
    return Request(
        table,
        job.target,
        NAME,
        test=read_test(repeated, table),
        task=cast("Task", job.task),
        metric=job.metric,
        budget=job.budget,
        seed=job.seed,
    )


def learn(job: Job) -> Learned:
    """Train, load the bundle, predict from data frames."""
    store = Store(job.folder / "models")
    manifest = train(training_request(job), store, Silent())
    folder = store.champion_path(NAME)
    model = Model(folder)
    _same_rows(job, manifest.columns)
    size = (folder / (FOREST if model.runtime == "compiled" else SCORER_GRAPH)).stat().st_size
    winner = " + ".join(f"{member.learner} {member.weight:g}" for member in manifest.training.members)

    def outputs(frame: pd.DataFrame) -> Outputs:
        return model.outputs(matrix(frame, manifest.columns))

    if manifest.regression:
        return Learned(lambda frame: outputs(frame)[:, 0], (), size, winner)
    return Learned(outputs, manifest.classes, size, winner)


def _table(frame: pd.DataFrame, path: Path, text: Sequence[str] = ()) -> Table:
    """Rows as every system sees them, in a file of their own: what pandas took for missing is missing here, too."""
    frame.to_csv(path, index=False)
    return read_table(path, text=text)


def _same_rows(job: Job, columns: Sequence[Column]) -> None:
    """Homeport must read from a file what the scorer is asked with: to it categories are text, whatever pandas sees."""
    categories = [column.name for column in columns if column.kind == "category"]
    own = _table(job.test, job.folder / "asked.csv", categories).frame
    if not np.array_equal(matrix(own, columns), matrix(job.test, columns), equal_nan=True):
        raise ValueError("the test rows mean something else in pandas' types than in Homeport's")


if __name__ == "__main__":
    run(learn)
