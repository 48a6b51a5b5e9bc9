"""Each system as a program of its own: `python -m benchmarks.automl.systems.NAME JOB.json`, in its own environment.

The job names target, task, metric, budget in seconds, seed and cores; `train.csv` and `test.csv` lie beside it, where
the program writes `result.json` and `outputs.npy`.
"""

from __future__ import annotations

from dataclasses import dataclass

HOMEPORT, AUTOGLUON, FLAML, LIGHTGBM = "homeport", "medium_autogluon", "plain_flaml", "default_lightgbm"


@dataclass(frozen=True)
class System:
    """One system: its program's name, and the lock of its environment (None: the project's own)."""

    name: str
    title: str
    settings: str  # in words, for the document
    environment: str | None
    distributions: tuple[str, ...]  # whose versions are stated
    least: float = 0.0  # seconds: with less it is run only if it is asked for by name


_BOOSTERS = ("lightgbm", "xgboost-cpu", "catboost")
SYSTEMS = {
    system.name: system
    for system in (
        System(
            HOMEPORT,
            "Homeport",
            "as `homeport train` with the budget; predicts with what the endpoint serves",
            None,
            ("flaml", *_BOOSTERS, "scikit-learn"),
        ),
        System(
            AUTOGLUON,
            "AutoGluon",
            "`medium_quality`, its default preset; persisted in memory, size of its clone for deployment",
            "autogluon",
            ("autogluon.tabular", "torch", "lightgbm", "catboost"),
        ),
        System(
            "best_autogluon",
            "AutoGluon, best",
            "`best_quality`; persisted in memory, size of its clone for deployment",
            "autogluon",
            ("autogluon.tabular", "torch", "lightgbm", "catboost"),
            least=300.0,
        ),
        System(
            FLAML,
            "FLAML alone",
            "its default learners and its own preprocessing; size of the pickles of its model and its preprocessing",
            None,
            ("flaml", *_BOOSTERS),
        ),
        System(
            LIGHTGBM,
            "LightGBM's defaults",
            "100 trees, pandas' categories, no search; size of its model as text",
            None,
            ("lightgbm",),
        ),
    )
}
