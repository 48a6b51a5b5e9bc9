"""Configurations that do well on many tables, tried before the search, which starts from the best of them.

They differ in what they see of categories, in how trees are grown, and in how far: a vote needs members that err in
different places. The order is by what each adds to a vote for its time.
"""

from __future__ import annotations

from bundle.manifest import Task
from trainer.candidates import Recipe

_BOOSTED = (
    Recipe("lgbm", "lgbm", {"learning_rate": 0.05}, effort=1.0),
    Recipe(
        "xgboost",
        "xgboost",
        {"learning_rate": 0.08, "max_leaves": 40, "min_child_weight": 1.0, "subsample": 0.9, "colsample_bytree": 0.8},
        effort=1.8,
    ),
    Recipe("lgbm_target", "lgbm_target", {"learning_rate": 0.05}, effort=1.5),
    Recipe("catboost", "catboost", {"learning_rate": 0.08, "depth": 6}, effort=4.0),
    Recipe(
        "lgbm small",
        "lgbm",
        {"learning_rate": 0.05, "num_leaves": 8, "min_child_samples": 10, "colsample_bytree": 0.5},
        effort=2.0,
    ),
)
_NETWORK = Recipe("mlp", "mlp", {}, effort=3.0)
_FORESTS = (
    Recipe("extra_tree", "extra_tree", {"n_estimators": 80, "max_leaves": 500}, effort=5.0),
    Recipe("rf", "rf", {"n_estimators": 80, "max_leaves": 500}, effort=5.0),
)
_LARGE = Recipe(
    "lgbm large",
    "lgbm_target",
    {"learning_rate": 0.05, "num_leaves": 96, "min_child_samples": 5, "colsample_bytree": 0.7},
    effort=3.0,
)


def portfolio(task: Task) -> tuple[Recipe, ...]:
    """The recipes for a task."""
    linear = (
        Recipe("enet", "enet", {"alpha": 0.003}, effort=1.0)
        if task == "regression"
        else Recipe("lrl1", "lrl1", {"C": 1.0}, effort=12.0)
    )
    return (*_BOOSTED, _LARGE, _NETWORK, *_FORESTS, linear)
