"""AutoGluon with one of its presets: persisted in memory to predict, weighed as its clone for deployment."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from autogluon.tabular import TabularPredictor

from benchmarks.automl.systems.harness import Job, Learned

METRICS = {"roc_auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}


def learn_with(preset: str) -> Callable[[Job], Learned]:
    """A fit as in its quick start, with the whole budget."""

    def learn(job: Job) -> Learned:
        predictor = TabularPredictor(
            job.target,
            problem_type=job.task,
            eval_metric=METRICS[job.metric],
            path=str(job.folder / "model"),
            verbosity=0,
        )
        predictor.fit(job.train, presets=preset, time_limit=job.budget, num_cpus=job.cores, num_gpus=0)
        predictor.persist(max_memory=None)  # by default a large one stays on the disk, to be read for each prediction
        deployed = job.folder / "deployed"
        predictor.clone_for_deployment(str(deployed))
        size = sum(file.stat().st_size for file in deployed.rglob("*") if file.is_file())
        shutil.rmtree(deployed)
        predict = predictor.predict if job.task == "regression" else predictor.predict_proba
        return Learned(predict, predictor.class_labels or (), size, str(predictor.model_best))

    return learn
