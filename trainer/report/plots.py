"""Figures that every report has: the search, importance, dependence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from trainer.report.dependence import Dependence
from trainer.report.drawing import BLUE, COLOURS, INK, LINE, ORANGE, as_svg, axes, short, two_axes
from trainer.search import Trial

TOP_COLUMNS = 15
MAX_DOTS = 500


def search(trials: Sequence[Trial], metric: str, greater_is_better: bool) -> Markup:
    """The best score so far, and the trials as dots by learner; those far below the others are at the edge."""
    drawn = axes(9.4, 3.0)
    scores = np.array([trial.score for trial in trials], dtype=np.float64)
    elapsed = np.array([trial.elapsed for trial in trials])
    best = np.array([trial.best for trial in trials])
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    if len(finite) > 4:  # a first trial that knows nothing would flatten all others
        first, third = np.quantile(finite, [0.25, 0.75])
        reach = 3 * (third - first)
        low, high = (max(low, first - reach), high) if greater_is_better else (low, min(high, third + reach))
    shown = np.unique(np.linspace(0, len(trials) - 1, min(len(trials), MAX_DOTS)).astype(int))
    learners = sorted({trial.learner for trial in trials})
    for place, learner in enumerate(learners):
        own = [number for number in shown if trials[number].learner == learner]
        colour = COLOURS[place % len(COLOURS)]
        dots = np.clip(np.nan_to_num(scores[own], nan=low), low, high)
        drawn.plot(elapsed[own], dots, "o", color=colour, markersize=4, alpha=0.75, label=learner, mew=0)
    drawn.step(elapsed, np.clip(best, low, high), where="post", color=INK, linewidth=1.2, label="best so far")
    drawn.margins(x=0.02, y=0.08)
    drawn.set_xlabel("seconds of search")
    drawn.set_ylabel(metric)
    drawn.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(drawn, f"{metric} of {len(trials)} trials over the seconds of the search")


def bars(values: Mapping[str, float], errors: Mapping[str, float], unit: str, title: str) -> Markup:
    """A bar for each of the first columns."""
    top = list(values.items())[:TOP_COLUMNS][::-1]
    drawn = axes(4.6, 0.24 * len(top) + 0.7)
    places = np.arange(len(top))
    bounds = [errors[name] for name, _ in top] if errors else None
    drawn.barh(
        places, [value for _, value in top], 0.68, xerr=bounds, color=BLUE, error_kw={"ecolor": INK, "elinewidth": 0.9}
    )
    drawn.set_yticks(places, labels=[short(name) for name, _ in top])
    drawn.tick_params(axis="y", length=0, labelcolor=INK)
    drawn.grid(visible=False, axis="y")
    drawn.locator_params(axis="x", nbins=5)
    drawn.set_xlabel(unit)
    return as_svg(drawn, title)


def dependence(found: Dependence) -> Markup:
    """What is answered where the column has each value, what is true there, and how many rows are."""
    upper, lower = two_axes(4.6, 3.0)
    places = np.arange(len(found.labels))
    one = len(found.lines) == 1
    for line, name in enumerate(found.lines):
        colour = BLUE if one else COLOURS[line]
        label = "model" if one else short(name)
        if found.is_number:
            along = places[: len(places) - (found.labels[-1] == "missing")]
            upper.plot(along, found.answers[along, line], color=colour)
        upper.plot(places, found.answers[:, line], "o", color=colour, markersize=4.5, mew=0, label=label)
        actual = {"color": ORANGE if one else colour, "markersize": 4.5, "markerfacecolor": "none", "mew": 1.1}
        upper.plot(places, found.actual[:, line], "D", label="actual" if one else None, **actual)  # type: ignore[arg-type]
    upper.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0, handletextpad=0.3)
    upper.locator_params(axis="y", nbins=5)
    upper.tick_params(axis="x", length=0)
    lower.bar(places, found.shares, 0.8, color=LINE)
    labels = [short(label)[:16] for label in found.labels]
    slanted = sum(map(len, labels)) > 48
    lower.set_xticks(places, labels=labels, rotation=35 if slanted else 0, ha="right" if slanted else "center")
    lower.tick_params(axis="x", length=0)
    lower.set_ylabel("rows")
    return as_svg(upper, f"How the answer depends on {found.column}")
