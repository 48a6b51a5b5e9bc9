"""The search over time: what each trial scored, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from trainer.search import Trial


def search_plot(trials: Sequence[Trial]) -> Figure:
    """A figure with a dot for each trial, by learner, and the best score as a line."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for learner in sorted({trial.learner for trial in trials}):
        own = [trial for trial in trials if trial.learner == learner]
        axes.plot([t.elapsed for t in own], [t.score for t in own], "o", markersize=4, alpha=0.6, label=learner)
    axes.step([t.elapsed for t in trials], [t.best for t in trials], where="post", color="black", label="best so far")
    axes.set_xlabel("seconds of search")
    axes.set_ylabel("score on validation rows")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure
