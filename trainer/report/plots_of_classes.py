"""Figures of a classification: ROC, precision and recall, calibration, gains and lift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from trainer.report.curves import Calibration, ClassCurves
from trainer.report.drawing import BLUE, COLOURS, INK, LINE, SOFT, as_svg, axes, short, two_axes


def roc(curves: Sequence[ClassCurves]) -> Markup:
    """True over false positives; guessing is the diagonal."""
    drawn = _square("false positive rate", "true positive rate")
    drawn.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1)
    for colour, one in zip(COLOURS, curves, strict=False):
        drawn.plot(one.roc.x, one.roc.y, color=colour, label=f"{short(one.label)}: {one.roc.area:.4f}")
        if one.mark:
            _mark(drawn, one.mark[0], one.mark[1])
    _legend(drawn, "lower right", "area")
    return as_svg(drawn, "ROC curves")


def precision_recall(curves: Sequence[ClassCurves]) -> Markup:
    """Precision over recall; guessing gives the share of the class."""
    drawn = _square("recall", "precision")
    for colour, one in zip(COLOURS, curves, strict=False):
        drawn.axhline(one.share, linestyle="--", color=SOFT if len(curves) == 1 else colour, linewidth=1)
        inside = one.recall.x >= 0.01  # of fewer rows it is noise
        drawn.plot(
            one.recall.x[inside],
            one.recall.y[inside],
            color=colour,
            label=f"{short(one.label)}: {one.recall.area:.4f}",
        )
        if one.mark:
            _mark(drawn, one.mark[1], one.mark[2])
    _legend(drawn, "best", "average precision")
    return as_svg(drawn, "Precision over recall")


def gains(curves: Sequence[ClassCurves]) -> Markup:
    """How much of the class is found in the rows of the highest probability."""
    drawn = _square("share of the rows, the most probable first", "share of the class found")
    drawn.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1)
    for colour, one in zip(COLOURS, curves, strict=False):
        drawn.plot(one.gains.x, one.gains.y, color=colour, label=short(one.label))
        if one.mark:
            _mark(drawn, one.mark[3], one.mark[1])
    if len(curves) > 1:
        _legend(drawn, "lower right", "")
    return as_svg(drawn, "Cumulative gains")


def lift(curves: Sequence[ClassCurves]) -> Markup:
    """How many times more often the class is among these rows than among all."""
    drawn = axes()
    drawn.axhline(1, linestyle="--", color=SOFT, linewidth=1)
    for colour, one in zip(COLOURS, curves, strict=False):
        inside = one.gains.x >= 0.01  # of fewer rows it is noise
        drawn.plot(one.gains.x[inside], one.gains.y[inside] / one.gains.x[inside], color=colour, label=short(one.label))
    drawn.set_xlim(0, 1)
    drawn.set_ylim(bottom=0)
    drawn.set_xlabel("share of the rows, the most probable first")
    drawn.set_ylabel("lift")
    if len(curves) > 1:
        _legend(drawn, "upper right", "")
    return as_svg(drawn, "Lift")


def calibration(found: Calibration) -> Markup:
    """What happened over what was predicted, with the rows of each bin."""
    upper, lower = two_axes()
    upper.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1)
    reach = [np.maximum(found.actual - found.low, 0), np.maximum(found.high - found.actual, 0)]
    upper.errorbar(found.predicted, found.actual, reach, color=BLUE, marker="o", markersize=4.5, mew=0, elinewidth=1)
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    upper.set_ylabel("what happened")
    upper.tick_params(axis="x", length=0)
    middles = np.floor(np.clip(found.predicted, 0, 0.999) * 10) / 10 + 0.05
    lower.bar(middles, found.counts, 0.085, color=LINE)
    for x, count in zip(middles, found.counts, strict=True):
        lower.annotate(
            f"{count:,}", (x, count), (0, 1), textcoords="offset points", ha="center", fontsize=6.5, color=SOFT
        )
    lower.set_ylim(0, found.counts.max() * 1.5)
    lower.set_xlabel(short_sentence(found.title))
    lower.set_ylabel("rows")
    return as_svg(upper, "Calibration")


def short_sentence(text: str) -> str:
    """A sentence that finds place under a figure."""
    return text if len(text) <= 60 else f"{text[:59]}…"


def _square(x: str, y: str) -> Axes:
    drawn = axes()
    drawn.set_xlim(-0.01, 1.01)
    drawn.set_ylim(-0.01, 1.02)
    drawn.set_xlabel(x)
    drawn.set_ylabel(y)
    return drawn


def _mark(drawn: Axes, x: float, y: float) -> None:
    drawn.plot([x], [y], "o", color=INK, markersize=5.5, mew=0)


def _legend(drawn: Axes, place: Literal["best", "lower right", "upper right"], title: str) -> None:
    if drawn.get_legend_handles_labels()[1]:
        drawn.legend(loc=place, title=title, title_fontsize=8)
