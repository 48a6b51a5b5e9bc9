"""The evidence, laid out: an HTML page that needs nothing else, and Markdown."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from bundle.manifest import Manifest
from trainer.report import numbers, plots, plots_of_classes, plots_of_numbers
from trainer.report.drawing import drawing
from trainer.report.evidence import Evidence
from trainer.report.verdicts import TITLES, headline, verdicts

WRONG_COLUMNS = 8  # of the most wrong rows; the others are folded


def render_report(manifest: Manifest, evidence: Evidence) -> bytes:
    """The report as one HTML file."""
    with drawing():
        figures = _figures(manifest, evidence)
    page = _template("report.html.j2")
    names = list(evidence.ranking.means)
    return page.render(
        m=manifest,
        e=evidence,
        verdicts=verdicts(manifest, evidence),
        titles=TITLES,
        optimised=headline(manifest),
        figures=figures,
        dependences=figures["dependences"],
        wrong_columns=names[:WRONG_COLUMNS],
        other_columns=names[WRONG_COLUMNS:],
        costs=any(row.row_us is not None or row.size is not None for row in manifest.training.leaderboard),
    ).encode("utf-8", "replace")


def render_card(manifest: Manifest, evidence: Evidence) -> bytes:
    """The model card as Markdown."""
    return (
        _template("model_card.md.j2")
        .render(m=manifest, e=evidence, verdicts=verdicts(manifest, evidence))
        .encode("utf-8", "replace")
    )


def _figures(manifest: Manifest, evidence: Evidence) -> dict[str, Markup | list[Markup]]:
    """All figures by name."""
    metric = manifest.training.metric
    unit = f"of {'the answer' if manifest.regression else 'probability'}"
    found: dict[str, Markup | list[Markup]] = {
        "search": plots.search(evidence.trials, metric, evidence.greater_is_better),
        "shapley": plots.bars(
            evidence.ranking.means, evidence.ranking.errors, f"mean |Shapley value|, {unit}", "Mean Shapley values"
        ),
        "permutation": plots.bars(evidence.permutation, {}, f"loss of {metric}", "Permutation importance"),
        "dependences": [plots.dependence(one) for one in evidence.dependences],
    }
    if evidence.curves:
        found["roc"] = plots_of_classes.roc(evidence.curves)
        found["precision_recall"] = plots_of_classes.precision_recall(evidence.curves)
        found["gains"] = plots_of_classes.gains(evidence.curves)
        found["lift"] = plots_of_classes.lift(evidence.curves)
    if evidence.calibration is not None:
        found["calibration"] = plots_of_classes.calibration(evidence.calibration)
    if evidence.residuals is not None:
        found["actual"] = plots_of_numbers.predicted_and_actual(evidence.residuals, manifest.target)
        found["over_predicted"] = plots_of_numbers.errors_over_predicted(evidence.residuals, manifest.target)
        found["errors"] = plots_of_numbers.errors(evidence.residuals)
    return found


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "figure": numbers.figure,
        "percent": numbers.percent,
        "size": numbers.size,
        "cell": numbers.cell,
        "count": lambda value: f"{value:,}",
        "plain": lambda text: " ".join(str(text).replace("|", "\\|").split()),  # in a cell or an item of Markdown
    }
    return environment.get_template(name)
