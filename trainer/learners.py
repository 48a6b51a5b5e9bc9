"""The learners that FLAML searches over, each on the preprocessing that suits it and that exports.

All of them are given the same float matrix (`trainer.columns.matrix`). What varies is how they see its categories, as
members that see the same make the same mistakes: by their codes, as a feature each (`one_hot`), or by the mean of the
target (`target_means`). Forests impute it; linear models and networks scale its numbers, too. FLAML's own
preprocessing is not used: it does not convert to ONNX.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from bundle import Column
from bundle.manifest import Task
from trainer.lookup import Encode, Lookup, one_hot, target_means
from trainer.metrics import Array
from trainer.plain_flaml import (
    BaseEstimator,
    CatBoostEstimator,
    ElasticNetEstimator,
    ExtraTreesEstimator,
    LGBMEstimator,
    LRL1Classifier,
    RandomForestEstimator,
    SKLearnEstimator,
    XGBoostSklearnEstimator,
    tune,
)

MANY_ROWS = 5_000
STOP_ROUNDS = 40  # without a better score on the watched rows, boosting ends

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


class _Looked:
    """A learner that has derived features: `encode` makes them of the training rows, `lookup` of others."""

    encode: ClassVar[Encode]
    lookup: Lookup | None = None

    def fit(self, X_train: Array, y_train: Array, *arguments: Any, **given: Any) -> Any:  # noqa: N803 - FLAML's names
        """FLAML's, on the encoded rows; those to watch are encoded, too."""
        self.lookup, encoded = type(self).encode(X_train, y_train)
        if "eval_set" in given:
            given["eval_set"] = [(self.lookup(x), y) for x, y in given["eval_set"]]
        return super().fit(encoded, y_train, *arguments, **given)  # type: ignore[misc]

    def predict(self, X: Array, **given: Any) -> Any:  # noqa: N803
        """FLAML's."""
        return super().predict(X if self.lookup is None else self.lookup(X), **given)  # type: ignore[misc]

    def predict_proba(self, X: Array, **given: Any) -> Any:  # noqa: N803
        """FLAML's."""
        return super().predict_proba(X if self.lookup is None else self.lookup(X), **given)  # type: ignore[misc]


class _LightGBM(LGBMEstimator):  # type: ignore[misc]
    def __init__(self, task: Any = "binary", **config: Any) -> None:
        super().__init__(task, **config)
        seed = self.params.pop("random_seed", 0)
        # the same bits on the same machine, whatever the threads do
        self.params |= {"deterministic": True, "force_row_wise": True, "random_state": seed}

    def fit(self, *arguments: Any, **given: Any) -> Any:
        """FLAML's; `eval_set=[(x, y)]` are rows to stop early on."""
        if "eval_set" in given:
            from lightgbm import early_stopping  # noqa: PLC0415 - seconds

            given["callbacks"] = [early_stopping(STOP_ROUNDS, verbose=False)]
        return super().fit(*arguments, **given)


class _XGBoost(XGBoostSklearnEstimator):  # type: ignore[misc]
    def fit(self, *arguments: Any, **given: Any) -> Any:
        """FLAML's; `eval_set=[(x, y)]` are rows to stop early on."""
        if "eval_set" in given:
            self.params["early_stopping_rounds"] = STOP_ROUNDS
            given["verbose"] = False
        return super().fit(*arguments, **given)


def xgboost_rounds(estimator: Any) -> int:
    """Those that early stopping kept; all there are where time ended the first one, of which there is no best."""
    booster = estimator.get_booster()
    return int(getattr(booster, "best_iteration", booster.num_boosted_rounds() - 1)) + 1


class _Deadline:
    """Ends CatBoost in time: FLAML 2.7's own callback looks at the memory alone."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def after_iteration(self, _: Any) -> bool:
        """Whether to go on."""
        return time.monotonic() < self._end


class _CatBoost(CatBoostEstimator):  # type: ignore[misc]
    @classmethod
    def search_space(cls, data_size: tuple[int, int], **params: Any) -> dict[str, Any]:
        """FLAML's, with an end to the trees where early stopping finds none."""
        return {**super().search_space(data_size, **params), "n_estimators": {"domain": 1000, "init_value": 1000}}

    def __init__(self, task: Any = "binary", **config: Any) -> None:
        super().__init__(task, **config)
        self.params["allow_writing_files"] = False  # else it leaves folders where the user works

    def fit(self, X_train: Array, y_train: Array, *arguments: Any, **given: Any) -> Any:  # noqa: N803
        """FLAML's, which holds back the last rows to stop early on; not where others are given, or nothing stops."""
        if "eval_set" not in given:
            stops = "early_stopping_rounds" in self.params
            return super().fit(X_train, y_train, *arguments, use_best_model=stops, **given)
        self.params["early_stopping_rounds"] = STOP_ROUNDS
        started, seconds = time.monotonic(), given["budget"]
        limit = [] if seconds is None else [_Deadline(seconds)]
        self._model = self.estimator_class(**self.params)
        self._model.fit(X_train, y_train, eval_set=given["eval_set"], callbacks=limit)
        return time.monotonic() - started


NO_TREES = ("lrl1", "enet", "mlp")
BOOSTED = (_LightGBM, _XGBoost, _CatBoost)  # can watch rows


def learners(task: Task, columns: Sequence[Column], seed: int) -> dict[str, type[BaseEstimator]]:
    """Name → FLAML learner class, in the order in which the search starts them."""
    hot, means = one_hot(columns), target_means(columns, task, seed)

    class TargetLightGBM(_Looked, _LightGBM):
        encode = means

        def __init__(self, task: Any = "binary", **config: Any) -> None:
            super().__init__(task, **config)
            self.params["extra_trees"] = True

    class HotXGBoost(_Looked, _XGBoost):
        encode = hot

    class TargetCatBoost(_Looked, _CatBoost):
        encode = means

    class Forest(RandomForestEstimator):  # type: ignore[misc]
        def __init__(self, task: Any, **config: Any) -> None:
            super().__init__(task, **config)
            self.estimator_class: Any = _behind(_imputer, self.estimator_class)

    class TargetExtraTrees(_Looked, ExtraTreesEstimator):  # type: ignore[misc]
        encode = means

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

    class Network(SKLearnEstimator):  # type: ignore[misc]
        @classmethod
        def search_space(cls, **_: Any) -> dict[str, Any]:
            """Width, decay and step of a network with one hidden layer."""
            return {
                "width": {"domain": tune.lograndint(lower=8, upper=129), "init_value": 32, "low_cost_init_value": 8},
                "alpha": {"domain": tune.loguniform(lower=1e-5, upper=10.0), "init_value": 1e-2},
                "learning_rate_init": {"domain": tune.loguniform(lower=5e-4, upper=2e-2), "init_value": 3e-3},
            }

        @classmethod
        def cost_relative2lgbm(cls) -> float:
            """As FLAML has it for a linear model."""
            return 160

        def __init__(self, task: Any = "binary", **config: Any) -> None:
            super().__init__(task, **config)
            given = {name: value for name, value in self.params.items() if name in ("alpha", "learning_rate_init")}
            fixed = {"max_iter": 100, "random_state": config.get("random_seed", 0)}
            self.params: dict[str, Any] = {"hidden_layer_sizes": (int(config.get("width", 32)),), **fixed, **given}
            network = MLPClassifier if self._task.is_classification() else MLPRegressor
            self.estimator_class = _behind(_one_hot_and_scaled(columns), network)

        def fit(self, X_train: Array, *arguments: Any, **given: Any) -> Any:  # noqa: N803
            """FLAML's; of few rows none are spared to stop early on."""
            many = len(X_train) >= MANY_ROWS
            self.params |= {"early_stopping": many, "batch_size": 256 if many else 32}
            return super().fit(X_train, *arguments, **given)

    return {
        "lgbm": _LightGBM,
        "xgboost": HotXGBoost,
        "catboost": TargetCatBoost,
        "lgbm_target": TargetLightGBM,
        "extra_tree": TargetExtraTrees,
        "rf": Forest,
        "lrl1" if task != "regression" else "enet": Linear,
        "mlp": Network,
    }
