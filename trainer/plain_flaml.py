"""FLAML without MLflow, which it imports where that is installed: 1.5 s at each start, and a second log beside ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _without(module: str) -> Iterator[None]:
    """To whoever imports it meanwhile, the module is not installed."""
    before = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not None:
            sys.modules[module] = before


with _without("mlflow"):
    from flaml import AutoML, tune
    from flaml.automl.model import (
        BaseEstimator,
        CatBoostEstimator,
        ElasticNetEstimator,
        ExtraTreesEstimator,
        LGBMEstimator,
        LRL1Classifier,
        RandomForestEstimator,
        SKLearnEstimator,
        XGBoostSklearnEstimator,
    )
    from flaml.automl.task.factory import task_factory

__all__ = [
    "AutoML",
    "BaseEstimator",
    "CatBoostEstimator",
    "ElasticNetEstimator",
    "ExtraTreesEstimator",
    "LGBMEstimator",
    "LRL1Classifier",
    "RandomForestEstimator",
    "SKLearnEstimator",
    "XGBoostSklearnEstimator",
    "task_factory",
    "tune",
]
