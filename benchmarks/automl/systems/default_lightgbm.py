"""LightGBM with its defaults: pandas categories, 100 trees, no search."""

from __future__ import annotations

import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor

from benchmarks.automl.systems.harness import Job, Learned, run


def learn(job: Job) -> Learned:
    """Fit once."""
    x = job.train.drop(columns=job.target)
    types = {
        name: pd.CategoricalDtype(sorted(x[name].dropna().astype(str).unique()))
        for name in x.columns
        if not pd.api.types.is_numeric_dtype(x[name].dtype) and not pd.api.types.is_bool_dtype(x[name].dtype)
    }

    def coded(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.astype(types)

    made = LGBMRegressor if job.task == "regression" else LGBMClassifier
    model = made(n_jobs=job.cores, random_state=job.seed, verbose=-1).fit(coded(x), job.train[job.target])
    size = len(model.booster_.model_to_string().encode())
    if job.task == "regression":
        return Learned(lambda frame: model.predict(coded(frame)), (), size, "lgbm")
    return Learned(lambda frame: model.predict_proba(coded(frame)), model.classes_, size, "lgbm")


if __name__ == "__main__":
    run(learn)
