"""What a person should read first: a few sentences, each from one part of the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bundle import Manifest
from trainer.report.evidence import Evidence
from trainer.report.numbers import figure, percent

TITLES = {
    "AUC_weighted": "ROC-AUC",
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "f1_score_macro": "macro F1",
    "r2_score": "R²",
    "root_mean_squared_error": "RMSE",
    "mean_absolute_error": "MAE",
}
OPTIMISED = {  # what a search optimises, under the name that the metrics have
    "roc_auc": "AUC_weighted",
    "roc_auc_ovr": "AUC_weighted",
    "log_loss": "log_loss",
    "accuracy": "accuracy",
    "macro_f1": "f1_score_macro",
    "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error",
    "r2": "r2_score",
}
LESS_IS_BETTER = {"log_loss", "root_mean_squared_error", "mean_absolute_error"}
CALIBRATED = 0.05  # mean distance of probability and frequency


@dataclass(frozen=True)
class Verdict:
    """One sentence, and whether it is good news, something to look at, or a fact."""

    tone: Literal["good", "watch", "fact"]
    title: str
    text: str


def verdicts(manifest: Manifest, evidence: Evidence) -> tuple[Verdict, ...]:
    """The sentences, in the order in which they should be read."""
    found = [_against_baselines(manifest)]
    if evidence.calibration is not None:
        gap = evidence.calibration.gap
        text = f"predicted and actual frequencies lie {percent(gap)} apart in the mean of all rows"
        found.append(Verdict("good" if gap < CALIBRATED else "watch", "Probabilities", f"{text}."))
    if evidence.residuals is not None:
        half, most = evidence.residuals.within
        text = f"half of the rows are off by at most {figure(half)}, nine in ten by at most {figure(most)}."
        found.append(Verdict("fact", "Errors", text))
    found.append(_groups(evidence))
    names = ", ".join(list(evidence.ranking.means)[:3])
    found.append(Verdict("fact", "Columns", f"what moves the answers most: {names}."))
    alerts = [finding for finding in evidence.findings if finding.outcome == "alert"]
    if alerts:
        listed = ", ".join(sorted({finding.check for finding in alerts}))
        found.append(Verdict("watch", "Data", f"the guardrails ask for a look at: {listed}."))
    else:
        found.append(Verdict("good", "Data", "no guardrail raised an alert."))
    parity = manifest.parity
    rows = parity.clean_rows + parity.damaged_rows + parity.adversarial_rows
    text = f"{parity.flips} of {rows:,} labels differ between Python and the graphs that are served."
    found.append(Verdict("watch" if parity.flips else "good", "Parity", text))
    return tuple(found)


def headline(manifest: Manifest) -> str:
    """The reported metric that is shown first: the one that was optimised."""
    optimised = OPTIMISED.get(manifest.training.metric, "")
    return optimised if optimised in manifest.metrics else manifest.headline[0]


def _against_baselines(manifest: Manifest) -> Verdict:
    name = headline(manifest)
    value, sign = manifest.metrics[name], -1 if name in LESS_IS_BETTER else 1
    others = {baseline: metrics[name] for baseline, metrics in manifest.baselines.items() if name in metrics}
    listed = ", ".join(f"{baseline} {figure(other)}" for baseline, other in others.items())
    beaten = all(sign * value > sign * other for other in others.values())
    text = f"{TITLES[name]} {figure(value)} on {manifest.training.test_rows:,} untouched rows"
    compared = f"; beside it {listed}" if listed else ""
    nothing = "" if beaten else " The search has found nothing that is better than all of these"
    return Verdict("good" if beaten else "watch", "Quality", f"{text}{compared}.{nothing and f'{nothing}.'}")


def _groups(evidence: Evidence) -> Verdict:
    gaps, biased = evidence.groups.gaps, evidence.groups.biased
    if not gaps and not biased:
        return Verdict("good", "Groups", "for no group of rows is it notably worse than for the others, or off.")
    parts = []
    for found, text in ((gaps, "notably worse"), (biased, "off on average")):
        if found:
            listed = "; ".join(f"{name}: {group.label}" for name, group in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            parts.append(f"{text} for {listed}{more}")
    return Verdict("watch", "Groups", f"{', and '.join(parts)}.")
