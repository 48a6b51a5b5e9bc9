"""All that the report and the model card say of a model's answers, computed once on the test rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bundle import Manifest
from bundle.manifest import Background
from trainer.fit import Trained
from trainer.guardrails import Finding, Inspected
from trainer.report.curves import Calibration, ClassCurves, Confusion, calibration, class_curves, confusion
from trainer.report.dependence import COLUMNS, Dependence, dependences
from trainer.report.groups import Groups, compare
from trainer.report.ranking import Ranking, rank
from trainer.report.residuals import Residuals, residuals
from trainer.report.scored import Scored
from trainer.report.wrong import Wrong, most_wrong
from trainer.search import Trial


@dataclass(frozen=True)
class Evidence:
    """What was found on `rows` of the `total` test rows. Parts that a task does not have are empty or None."""

    rows: int
    total: int
    greater_is_better: bool  # of the metric that was optimised
    findings: tuple[Finding, ...]
    trials: tuple[Trial, ...]
    permutation: dict[str, float]  # how much worse the metric gets, the largest first
    ranking: Ranking
    dependences: tuple[Dependence, ...]
    groups: Groups
    wrong: tuple[Wrong, ...]
    curves: tuple[ClassCurves, ...] = ()
    calibration: Calibration | None = None
    confusion: Confusion | None = None
    residuals: Residuals | None = None


def gather(
    scored: Scored,
    manifest: Manifest,
    inspected: Inspected,
    trained: Trained,
    background: Background,
    importances: Mapping[str, float],
) -> Evidence:
    """Look at the answers; where ONNX Runtime answers, most of the time goes into Shapley values.

    `background` are the rows that explanations compare with, `importances` those by permutation.
    """
    seed = manifest.training.seed
    ranking = rank(scored, np.array(background.rows, dtype=np.float32), seed)
    names = list(ranking.means)
    classes = not scored.regression
    return Evidence(
        rows=len(scored.values),
        total=scored.total,
        greater_is_better=trained.metric.greater_is_better,
        findings=inspected.findings,
        trials=trained.found.history,
        permutation=dict(importances),
        ranking=ranking,
        dependences=dependences(scored, names[:COLUMNS], manifest.target, seed),
        groups=compare(scored, names),
        wrong=most_wrong(scored),
        curves=class_curves(scored) if classes else (),
        calibration=calibration(scored) if classes else None,
        confusion=confusion(scored) if classes else None,
        residuals=residuals(scored, seed) if scored.regression else None,
    )
