"""Configurations that do well on many tables, tried before the search, which starts from the best of them.

They differ in what they see of categories, in how trees are grown, and in how far: a vote needs members that err in
different places. The order is by what each adds to a vote for its time.
"""

from __future__ import annotations

from bundle.manifest import Task
from trainer.candidates import Recipe

_BOOSTED = (
    Recipe("lgbm", "lgbm", {"learning_rate": 0.05}),
    Recipe("xgboost", "xgboost", {"learning_rate": 0.08, "max_depth": 6, "subsample": 0.9, "colsample_bytree": 0.8}),
    Recipe("catboost", "catboost", {"learning_rate": 0.08, "depth": 6}),
    Recipe("lgbm_target", "lgbm_target", {"learning_rate": 0.05}),
    Recipe(
        "lgbm small", "lgbm", {"learning_rate": 0.05, "num_leaves": 8, "min_child_samples": 10, "colsample_bytree": 0.5}
    ),
)
_FORESTS = (
    Recipe("extra_tree", "extra_tree", {"n_estimators": 100, "min_samples_leaf": 3, "max_features": 0.5}),
    Recipe("rf", "rf", {"n_estimators": 100, "min_samples_leaf": 3, "max_features": 0.4}),
)
_LARGE = Recipe(
    "lgbm large",
    "lgbm_target",
    {"learning_rate": 0.03, "num_leaves": 96, "min_child_samples": 5, "colsample_bytree": 0.7},
)
_NETWORK = Recipe("mlp", "mlp", {})


def portfolio(task: Task) -> tuple[Recipe, ...]:
    """The recipes for a task."""
    linear = Recipe("enet", "enet", {"alpha": 0.003}) if task == "regression" else Recipe("lrl1", "lrl1", {"C": 1.0})
    return (*_BOOSTED, *_FORESTS, linear, _NETWORK, _LARGE)
