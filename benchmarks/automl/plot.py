"""The benchmark as a drawing: a line of two panels for each budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, geometric_mean, stdev
from typing import Any

from benchmarks.automl.bars import pairs
from benchmarks.automl.ranks import rank
from benchmarks.automl.results import Run
from benchmarks.automl.systems import HOMEPORT, LIGHTGBM, SYSTEMS
from benchmarks.automl.tables import TABLES
from benchmarks.document import drawing, save

_METRIC = {table.name: table.metric for table in TABLES}
_GREY = "#9aa7b4"
_RATIOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.7, 2, 3, 5, 10, 20)
_COLOURS = dict(zip(SYSTEMS, ("#e0852b", "#4f7cac", "#8a6bb8", "#4f9a6b", _GREY), strict=True))


def plot(budgets: Mapping[float, Sequence[Run]], path: Path) -> None:
    """For each budget the error on each table beside LightGBM's defaults, and mean ranks against the cost of a row."""
    with drawing() as plt:
        height = 1.4 + 0.3 * len(TABLES)
        figure, panels = plt.subplots(
            len(budgets), 2, figsize=(11, height * len(budgets)), squeeze=False, width_ratios=(3, 2)
        )
        for (budget, runs), (left, right) in zip(budgets.items(), panels, strict=True):
            _errors(left, runs, f"{budget:g} s: error × that of LightGBM's defaults; left is better")
            _ranks(right, runs, f"{budget:g} s: mean rank and cost; lower left is better")
            for panel in (left, right):
                panel.spines[["top", "right"]].set_visible(False)
        marks = [plt.Line2D([], [], marker="o", linestyle="", color=_COLOURS[name]) for name in _shown(budgets)]
        titles = [SYSTEMS[name].title for name in _shown(budgets)]
        figure.legend(marks, titles, ncols=len(titles), loc="upper center", frameon=False)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / figure.get_figheight()))
        save(figure, path)
        plt.close(figure)


def _shown(budgets: Mapping[float, Sequence[Run]]) -> list[str]:
    present = {run.system for runs in budgets.values() for run in runs}
    return [name for name in SYSTEMS if name in present]


def _errors(panel: Any, runs: Sequence[Run], title: str) -> None:
    """A dot a system and table: the geometric mean over the splits of the ratio of errors, ± a standard error."""
    names = [table.name for table in TABLES if any(run.table == table.name for run in runs)][::-1]
    others = [name for name in SYSTEMS if name != LIGHTGBM and any(run.system == name for run in runs)]
    panel.axvline(1, color=_GREY, linewidth=1)
    dots = [1.0]
    for place, system in enumerate(others):
        shift = 0.16 * ((len(others) - 1) / 2 - place)
        x, y, below, above = [], [], [], []
        for table, both in pairs(runs, system, LIGHTGBM).items():
            logs = [math.log(_error(own) / _error(default)) for own, default in both]
            error = stdev(logs) / len(logs) ** 0.5 if len(logs) > 1 else 0.0
            x.append(math.exp(fmean(logs)))
            y.append(names.index(table) + shift)
            below.append(x[-1] - math.exp(fmean(logs) - error))
            above.append(math.exp(fmean(logs) + error) - x[-1])
        dots += x
        panel.errorbar(
            x, y, xerr=[below, above], fmt="o", markersize=5, linewidth=1.2, color=_COLOURS[system],
        )  # fmt: skip
    panel.set_xscale("log")
    panel.set_xlim(min(dots) / 1.15, max(dots) * 1.15)  # a line may leave the panel, no dot does
    _plain_ticks(panel, _RATIOS)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(-0.6, len(names) - 0.4)
    panel.set_title(title, fontsize=10, loc="left")


def _ranks(panel: Any, runs: Sequence[Run], title: str) -> None:
    """A dot a system: its mean rank with its interval, at the geometric mean of µs a row."""
    panel.set_title(title, fontsize=10, loc="left")
    ranking = rank(runs)
    if not ranking.standings:
        panel.text(0.5, 0.5, "no split was run with every system yet", ha="center", transform=panel.transAxes)
        panel.set_axis_off()
        return
    costs = {}
    for standing in ranking.standings:
        own = [run.row for run in runs if run.system == standing.system and run.table in ranking.tables]
        costs[standing.system] = cost = geometric_mean(own)
        low, high = standing.interval or (standing.rank, standing.rank)
        panel.errorbar(
            cost, standing.rank, yerr=[[max(0.0, standing.rank - low)], [max(0.0, high - standing.rank)]],
            fmt="o", capsize=3, markersize=9 if standing.system == HOMEPORT else 7, color=_COLOURS[standing.system],
        )  # fmt: skip
        panel.annotate(SYSTEMS[standing.system].title, (cost, standing.rank), xytext=(8, 6), textcoords="offset points")
    panel.set_xscale("log")
    panel.set_xlim(min(costs.values()) / 2, max(costs.values()) * 12)
    _plain_ticks(panel, [10.0**power for power in range(-3, 7)])
    panel.set_ylim(0.8, len(ranking.standings) + 0.2)
    panel.set_xlabel("µs of CPU a row, logarithmic")
    panel.set_ylabel(f"mean rank over {len(ranking.tables)} of {len(TABLES)} tables, with 95 %")


def _plain_ticks(panel: Any, places: Sequence[float]) -> None:
    """1.2 instead of 12 × 10⁻¹, where it is within the panel."""
    low, high = panel.get_xlim()
    inside = [place for place in places if low <= place <= high]
    panel.set_xticks(inside, [f"{place:g}" for place in inside])
    panel.set_xticks([], minor=True)


def _error(run: Run) -> float:
    """What is left to the best value there is: 1 - ROC-AUC, the log loss, the RMSE."""
    return max(1 - run.score if _METRIC[run.table] == "roc_auc" else run.score, 1e-9)
