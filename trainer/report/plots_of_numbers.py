"""Figures of a regression: predicted and actual values, and the errors."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from trainer.report.drawing import BLUE, INK, SOFT, as_svg, axes, short
from trainer.report.residuals import Residuals

_DOTS = {"color": BLUE, "markersize": 3.2, "mew": 0, "alpha": 0.5}


def predicted_and_actual(found: Residuals, target: str) -> Markup:
    """A dot for each row; a model that is never wrong has them on the diagonal."""
    drawn = axes()
    both = np.concatenate([found.actual, found.predicted])
    bounds = [both.min(), both.max()]
    drawn.plot(found.predicted, found.actual, "o", **_DOTS)  # type: ignore[arg-type]
    drawn.plot(bounds, bounds, "--", color=SOFT, linewidth=1)
    drawn.set_xlabel(f"predicted {short(target)}")
    drawn.set_ylabel("actual")
    drawn.locator_params(nbins=6)
    return as_svg(drawn, "Actual over predicted values")


def errors_over_predicted(found: Residuals, target: str) -> Markup:
    """A dot for each row; where they fan out or bend, the model is off by more there."""
    drawn = axes()
    drawn.plot(found.predicted, found.actual - found.predicted, "o", **_DOTS)  # type: ignore[arg-type]
    drawn.axhline(0, linestyle="--", color=SOFT, linewidth=1)
    drawn.set_xlabel(f"predicted {short(target)}")
    drawn.set_ylabel("actual − predicted")
    drawn.locator_params(nbins=6)
    return as_svg(drawn, "Errors over predicted values")


def errors(found: Residuals) -> Markup:
    """How many rows are off by how much."""
    drawn = axes()
    drawn.stairs(found.counts, found.edges, fill=True, color=BLUE)
    drawn.axvline(0, linestyle="--", color=SOFT, linewidth=1)
    drawn.axvline(found.middle, color=INK, linewidth=1)
    drawn.set_xlabel("actual − predicted")
    drawn.set_ylabel("rows")
    drawn.locator_params(nbins=6)
    return as_svg(drawn, "Distribution of the errors")
