"""FLAML alone, as its quick start has it: its own preprocessing, its default learners."""

from __future__ import annotations

import pickle

from flaml import AutoML

from benchmarks.automl.systems.harness import Job, Learned, run


def learn(job: Job) -> Learned:
    """Search for the whole budget."""
    automl = AutoML()
    automl.fit(
        job.train.drop(columns=job.target),
        job.train[job.target],
        task="regression" if job.task == "regression" else "classification",
        metric=job.metric,
        time_budget=job.budget,
        seed=job.seed,
        n_jobs=job.cores,
        verbose=0,
    )
    size = len(pickle.dumps(automl.model)) + len(pickle.dumps(automl._transformer))
    if job.task == "regression":
        return Learned(automl.predict, (), size, automl.best_estimator)
    return Learned(automl.predict_proba, automl.classes_, size, automl.best_estimator)


if __name__ == "__main__":
    run(learn)
