"""Each system as a program of its own, run in its own environment: `SYSTEM.py JOB.json`.

The job names target, task, metric, budget in seconds, seed and cores; `train.csv` and `test.csv` lie beside it, where the
program writes `result.json` and `outputs.npy`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """One system: its program's name, and the lock of its environment (None: the project's own)."""

    name: str
    title: str
    environment: str | None
    distributions: tuple[str, ...]


SYSTEMS = {
    system.name: system
    for system in (
        System("homeport", "Homeport", None, ("flaml", "lightgbm", "xgboost-cpu", "catboost", "scikit-learn")),
        System("medium_autogluon", "AutoGluon", "autogluon", ("autogluon.tabular", "torch", "lightgbm", "catboost")),
        System("plain_flaml", "FLAML alone", None, ("flaml", "lightgbm", "xgboost-cpu", "catboost")),
        System("default_lightgbm", "LightGBM's defaults", None, ("lightgbm",)),
    )
}
