"""The document of the benchmark: no figure in it is written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, geometric_mean, stdev

from benchmarks.automl.bars import bars, ratios
from benchmarks.automl.plot import plot
from benchmarks.automl.ranks import Ranking, loss, rank
from benchmarks.automl.results import Run
from benchmarks.automl.systems import HOMEPORT, SYSTEMS
from benchmarks.automl.tables import TABLES, Known
from benchmarks.document import between
from benchmarks.document import table as as_table
from trainer.metrics import METRICS

BEGIN, END = "<!-- begin: make bench-automl -->", "<!-- end: make bench-automl -->"
UNMEASURED = "-"

Runs = Sequence[Run]


def write(runs: Runs, folder: Path) -> None:
    """Replace what is between the markers of `automl.md`, and `automl.svg`. Raises ValueError without markers."""
    drawing = "![Error beside LightGBM's defaults, and mean rank against the cost of a row](automl.svg)"
    between(folder / "automl.md", BEGIN, END, f"{drawing}\n\n{markdown(runs)}")
    plot(by_budget(runs), folder / "automl.svg")


def by_budget(runs: Runs) -> dict[float, list[Run]]:
    """The runs of each budget, the smallest first; systems and tables that there no longer are do not count."""
    tables = {table.name for table in TABLES}
    kept = [run for run in runs if run.system in SYSTEMS and run.table in tables]
    return {b: [run for run in kept if run.budget == b] for b in sorted({run.budget for run in kept})}


def markdown(runs: Runs) -> str:
    """The bars, all tables of each budget, what was run."""
    budgets = by_budget(runs)
    rankings = {budget: rank(measured) for budget, measured in budgets.items()}
    parts = [_conditions(runs), "\n".join(f"- {line}" for line in bars(budgets, rankings))]
    for budget, measured in budgets.items():
        seconds = f"{budget:g} s"
        parts += [
            f"## {seconds}",
            *([f"Not measured: {missing}."] if (missing := _missing(budget, measured)) else []),
            _ranking(rankings[budget]),
            "**The metric on the test rows**: mean ± standard error over the splits; the best is bold.",
            _scores(measured),
            "**What it takes**: training (mean, and longest); of the others geometric means, and × Homeport.",
            _costs(measured),
            "**µs of CPU a row**, of 10,000 at once: geometric mean over the splits, and × Homeport.",
            _rows(measured),
        ]
    parts += ["## What was run", as_table(["system", "how it was run"], _versions(runs))]
    return "\n\n".join(parts)


def _conditions(runs: Runs) -> str:
    machines = sorted({f"{run.machine}, Python {run.python}" for run in runs if run.machine})
    return f"{'; '.join(machines) or 'A machine that the runs do not name'}; {len(runs)} runs."


def _systems(runs: Runs) -> list[str]:
    present = {run.system for run in runs}
    return [name for name in SYSTEMS if name in present]


def _titles(systems: Sequence[str]) -> list[str]:
    return [SYSTEMS[name].title for name in systems]


def _tables(runs: Runs) -> list[Known]:
    present = {run.table for run in runs}
    return [table for table in TABLES if table.name in present]


def _of(runs: Runs, system: str, table: str) -> list[Run]:
    return [run for run in runs if run.system == system and run.table == table]


def _missing(budget: float, runs: Runs) -> str:
    """What of the systems that this budget is for, the tables and the splits that any has, was not run."""
    present, done = set(_systems(runs)), {run.key for run in runs}
    seeds = sorted({run.seed for run in runs})
    parts = []
    for name, system in SYSTEMS.items():
        if name not in present and budget < system.least:
            continue
        absent = [(t.name, seed) for t in TABLES for seed in seeds if (name, t.name, budget, seed) not in done]
        if absent:
            where = ", ".join(f"{table} {seed}" for table, seed in absent)
            which = f" ({where})" if len(absent) <= 4 else ""
            parts.append(f"{system.title} {len(absent)} of {len(TABLES) * len(seeds)}{which}")
    return "; ".join(parts)


def _ranking(ranking: Ranking) -> str:
    if not ranking.standings:
        return "**Mean rank**: no split of a table has been run with every system yet."
    rows = [
        [
            SYSTEMS[standing.system].title,
            f"{standing.rank:.2f}",
            _interval(standing.interval),
            f"{standing.behind:.2f}" if standing.behind else UNMEASURED,
            _interval(standing.behind_interval) if standing.behind else UNMEASURED,
            "first" if not standing.behind else {True: "tied", False: "behind", None: "undecided"}[standing.tied],
        ]
        for standing in ranking.standings
    ]
    text = (
        f"**Mean rank** over {len(ranking.tables)} of {len(TABLES)} tables; splits with every system: {ranking.blocks}"
    )
    if ranking.friedman is not None and ranking.critical is not None:
        text += f"; Friedman's test: p = {ranking.friedman:.2g}; Nemenyi's critical difference: {ranking.critical:.2f}"
    head = ["system", "mean rank", "95 %", "behind the first", "95 %", ""]
    return f"{text}.\n\n{as_table(head, rows)}"


def _interval(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else UNMEASURED


def _scores(runs: Runs) -> str:
    systems, rows = _systems(runs), []
    for table in _tables(runs):
        seeds = len({run.seed for run in runs if run.table == table.name})
        measured = {name: _of(runs, name, table.name) for name in systems}
        complete = [name for name, found in measured.items() if len(found) == seeds]
        best = min(fmean(map(loss, measured[name])) for name in complete) if len(complete) > 1 else None
        line = [f"{table.name} ({table.metric} {'↑' if METRICS[table.metric].greater_is_better else '↓'})"]
        for found in measured.values():
            text = _score([run.score for run in found], seeds)
            bold = len(found) == seeds and fmean(map(loss, found)) == best
            line.append(f"**{text}**" if bold else text)
        rows.append(line)
    return as_table(["table", *_titles(systems)], rows)


def _score(scores: Sequence[float], seeds: int) -> str:
    if not scores:
        return UNMEASURED
    mean = fmean(scores)
    digits = ".4f" if abs(mean) < 10 else ".2f" if abs(mean) < 1_000 else ",.0f"
    error = f" ± {stdev(scores) / len(scores) ** 0.5:{digits}}" if len(scores) > 1 else ""
    return f"{mean:{digits}}{error}{f' ({len(scores)} of {seeds})' if len(scores) < seeds else ''}"


def _costs(runs: Runs) -> str:
    rows = []
    for name in _systems(runs):
        own = [run for run in runs if run.system == name]
        seconds = [run.seconds for run in own]

        def column(of: str, shown: Callable[[float], str], own: Runs = own, name: str = name) -> str:
            mean = geometric_mean(getattr(run, of) for run in own)
            times = ratios(runs, name, HOMEPORT, of).values() if name != HOMEPORT else ()
            return shown(mean) + (f"; {geometric_mean(times):.3g} ×" if times else "")

        rows.append(
            [
                SYSTEMS[name].title,
                f"{fmean(seconds):,.1f} ({max(seconds):,.1f})",
                column("size", lambda size: f"{size / 1e6:.3g}"),
                column("row", lambda row: f"{row:.3g}"),
                column("call", lambda call: f"{call:,.0f}"),
            ]
        )
    head = ["system", "training, s", "size, MB", "µs of CPU a row, of 10,000", "µs of CPU, one row alone"]
    return as_table(head, rows)


def _rows(runs: Runs) -> str:
    systems = _systems(runs)
    times = {name: ratios(runs, name, HOMEPORT, "row") for name in systems if name != HOMEPORT}
    rows = []
    for table in _tables(runs):
        line = [table.name]
        for name in systems:
            found = _of(runs, name, table.name)
            ratio = times.get(name, {}).get(table.name)
            text = f"{geometric_mean(run.row for run in found):.3g}" if found else UNMEASURED
            line.append(text + (f"; {ratio:.3g} ×" if ratio is not None else ""))
        rows.append(line)
    return as_table(["table", *_titles(systems)], rows)


def _versions(runs: Runs) -> list[list[str]]:
    rows = []
    for name in _systems(runs):
        used: dict[str, list[str]] = {}
        for run in runs:
            for distribution, version in run.versions.items() if run.system == name else ():
                if version not in used.setdefault(distribution, []):
                    used[distribution].append(version)
        versions = ", ".join(f"{distribution} {' and '.join(found)}" for distribution, found in used.items())
        rows.append([SYSTEMS[name].title, f"{SYSTEMS[name].settings}; {versions}"])
    return rows
