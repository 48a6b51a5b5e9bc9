"""AutoGluon with the preset that the job's budget is meant for; what it serves is optimised for deployment."""

from __future__ import annotations

import shutil

from autogluon.tabular import TabularPredictor
from harness import Job, Learned, run

METRICS = {"roc_auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}


def learn(job: Job) -> Learned:
    """Fit with its default preset, as its quick start does."""
    folder = job.folder / "model"
    predictor = TabularPredictor(
        job.target, problem_type=job.task, eval_metric=METRICS[job.metric], path=str(folder), verbosity=0
    )
    predictor.fit(job.train, presets="medium_quality", time_limit=job.budget, num_cpus=job.cores, num_gpus=0)
    predictor.persist()
    copy = predictor.clone_for_deployment(str(job.folder / "deployed"))
    size = sum(file.stat().st_size for file in (job.folder / "deployed").rglob("*") if file.is_file())
    shutil.rmtree(copy, ignore_errors=True)
    if job.task == "regression":
        return Learned(predictor.predict, (), size, str(predictor.model_best))
    return Learned(predictor.predict_proba, predictor.class_labels, size, str(predictor.model_best))


if __name__ == "__main__":
    run(learn)
