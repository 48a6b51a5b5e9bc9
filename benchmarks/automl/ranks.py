"""Which system is the better one: ranks over tables, with what chance leaves open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from benchmarks.automl.results import Run
from benchmarks.automl.tables import TABLES
from trainer.metrics import METRICS, Array

RESAMPLES = 10_000
ENOUGH = 5  # tables; an interval from fewer would say too much

_GREATER = {table.name: METRICS[table.metric].greater_is_better for table in TABLES}


def loss(run: Run) -> float:
    """The score with its sign turned where more is better; two that are equal to six digits are equal."""
    return float(f"{-run.score if _GREATER[run.table] else run.score:.6g}")


@dataclass(frozen=True)
class Standing:
    """One system's mean rank over tables, and how far it is from the first; both with a 95 % interval."""

    system: str
    rank: float
    interval: tuple[float, float] | None
    behind: float
    behind_interval: tuple[float, float] | None

    @property
    def tied(self) -> bool | None:
        """Whether its distance to the first may be none; None: too few tables to say."""
        if not self.behind:
            return True
        return None if self.behind_interval is None else self.behind_interval[0] <= 0


@dataclass(frozen=True)
class Ranking:
    """All systems, the first first, over the blocks (table, seed) where each of them was run."""

    standings: tuple[Standing, ...]
    tables: tuple[str, ...]
    blocks: int
    friedman: float | None  # p: as far apart as this by chance, were all systems equal
    critical: float | None  # Nemenyi's difference of two mean ranks at 5 %

    def standing(self, system: str) -> Standing | None:
        """That of one system, if it was ranked."""
        return next((standing for standing in self.standings if standing.system == system), None)


def rank(runs: Sequence[Run]) -> Ranking:
    """Rank the systems of these runs, which have one budget; without a complete block nobody is ranked.

    Ranks within each block, 1 is best and equals share; their mean over a table's seeds, then over tables.
    The intervals are of tables drawn anew, all systems' ranks with them.
    """
    systems = sorted({run.system for run in runs})
    blocks: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for run in runs:
        blocks[run.table, run.seed][run.system] = loss(run)
    by_table: dict[str, list[Array]] = defaultdict(list)
    for (name, _), losses in sorted(blocks.items()):
        if len(losses) == len(systems):
            by_table[name].append(rankdata([losses[system] for system in systems]))
    if not by_table or len(systems) < 2:
        return Ranking((), (), 0, None, None)
    ranks = np.array([np.mean(seeds, axis=0) for seeds in by_table.values()])  # (tables, systems)
    means = ranks.mean(axis=0)
    first = int(means.argmin())
    behind = ranks - ranks[:, [first]]
    intervals, behind_intervals = _intervals(ranks), _intervals(behind)
    standings = [
        Standing(system, float(means[i]), intervals[i], float(means[i] - means[first]), behind_intervals[i])
        for i, system in enumerate(systems)
    ]
    enough = len(by_table) >= ENOUGH and len(systems) > 2
    return Ranking(
        tuple(sorted(standings, key=lambda standing: standing.rank)),
        tuple(by_table),
        sum(map(len, by_table.values())),
        float(friedmanchisquare(*ranks.T).pvalue) if enough and np.ptp(ranks) else None,
        _critical(*ranks.shape) if enough else None,
    )


def _intervals(values: Array) -> Sequence[tuple[float, float] | None]:
    """95 % of the means of tables drawn anew: values (tables, systems) → one a system."""
    tables, systems = values.shape
    if tables < ENOUGH:
        return [None] * systems
    drawn = np.random.default_rng(0).integers(0, tables, (RESAMPLES, tables))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _critical(tables: int, systems: int) -> float:
    """Nemenyi's critical difference (Demšar 2006)."""
    q = float(studentized_range.ppf(0.95, systems, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(systems * (systems + 1) / (6 * tables)))
