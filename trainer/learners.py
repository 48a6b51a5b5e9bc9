"""The learners that FLAML searches over, each on the preprocessing that suits it and that exports.

All of them see the same float matrix (`trainer.columns.matrix`): boosted trees take it as it is,
forests impute it, the linear models one-hot encode its categories and scale its numbers. FLAML's own
preprocessing is not used: it does not convert to ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from bundle import Column
from bundle.manifest import Task
from trainer.plain_flaml import (
    BaseEstimator,
    CatBoostEstimator,
    ElasticNetEstimator,
    ExtraTreesEstimator,
    LGBMEstimator,
    LRL1Classifier,
    RandomForestEstimator,
    XGBoostSklearnEstimator,
)

Estimator = Any  # scikit-learn's estimators have no common typed base
Prepare = Callable[[], Estimator]


def _behind(prepare: Prepare, estimator_class: Callable[..., Estimator]) -> Callable[..., Pipeline]:
    """A constructor of pipelines, in the place where FLAML expects one of estimators."""
    return lambda **params: make_pipeline(prepare(), estimator_class(**params))


def _imputer() -> Estimator:
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _one_hot_and_scaled(columns: Sequence[Column]) -> Prepare:
    categories = [place for place, column in enumerate(columns) if column.kind == "category"]
    numbers = [place for place, column in enumerate(columns) if column.kind != "category"]

    def prepare() -> Estimator:
        # the first scaler clips to what training saw: a wild value cannot overflow a linear model
        scaled = make_pipeline(_imputer(), MinMaxScaler(clip=True), StandardScaler())
        hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        return ColumnTransformer(
            [part for part in (("numbers", scaled, numbers), ("categories", hot, categories)) if part[2]]
        )

    return prepare


class _LightGBM(LGBMEstimator):  # type: ignore[misc]
    def __init__(self, task: Any = "binary", **config: Any) -> None:
        super().__init__(task, **config)
        seed = self.params.pop("random_seed", 0)
        # the same bits on the same machine, whatever the threads do
        self.params |= {"deterministic": True, "force_row_wise": True, "random_state": seed}


class _CatBoost(CatBoostEstimator):  # type: ignore[misc]
    @classmethod
    def search_space(cls, data_size: tuple[int, int], **params: Any) -> dict[str, Any]:
        """FLAML's, with an end to the trees where early stopping finds none."""
        return {**super().search_space(data_size, **params), "n_estimators": {"domain": 1000, "init_value": 1000}}

    def __init__(self, task: Any = "binary", **config: Any) -> None:
        super().__init__(task, **config)
        self.params["allow_writing_files"] = False  # else it leaves folders where the user works


def learners(task: Task, columns: Sequence[Column]) -> dict[str, type[BaseEstimator]]:
    """Name → FLAML learner class, in the order in which the search starts them."""

    class Forest(RandomForestEstimator):  # type: ignore[misc]
        def __init__(self, task: Any, **config: Any) -> None:
            super().__init__(task, **config)
            self.estimator_class: Any = _behind(_imputer, self.estimator_class)

    class ExtraTrees(ExtraTreesEstimator):  # type: ignore[misc]
        def __init__(self, task: Any = "binary", **config: Any) -> None:
            super().__init__(task, **config)
            self.estimator_class: Any = _behind(_imputer, self.estimator_class)

    linear = LRL1Classifier if task != "regression" else ElasticNetEstimator

    class Linear(linear):  # type: ignore[misc, valid-type]
        def __init__(self, task: Any = "binary", **config: Any) -> None:
            super().__init__(task, **config)
            self.params.pop("random_seed", None)  # LRL1Classifier has made it random_state
            self.params.setdefault("max_iter", 300)
            self.estimator_class: Any = _behind(_one_hot_and_scaled(columns), self.estimator_class)

    return {
        "lgbm": _LightGBM,
        "xgboost": XGBoostSklearnEstimator,
        "catboost": _CatBoost,
        "rf": Forest,
        "extra_tree": ExtraTrees,
        "lrl1" if task != "regression" else "enet": Linear,
    }
