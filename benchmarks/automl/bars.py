"""The bars that Homeport is held to, each with what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, geometric_mean, stdev

from benchmarks.automl.ranks import Ranking, loss
from benchmarks.automl.results import Run
from benchmarks.automl.systems import AUTOGLUON, HOMEPORT, LIGHTGBM, SYSTEMS

RANKED_AT = 60.0  # seconds
CHEAPER = 10.0

Runs = Sequence[Run]


def bars(runs: Mapping[float, Runs], rankings: Mapping[float, Ranking]) -> list[str]:
    """A line for each bar, at each budget that it is for."""
    lines = [_first(rankings.get(RANKED_AT))]
    for budget, measured in runs.items():
        lines += [f"{budget:g} s: {text}" for text in (_never_below(measured), *_cheaper(measured))]
    return lines


def pairs(runs: Runs, one: str, other: str) -> dict[str, list[tuple[Run, Run]]]:
    """By table, the runs of two systems on the same split."""
    second = {(run.table, run.seed): run for run in runs if run.system == other}
    result: dict[str, list[tuple[Run, Run]]] = {}
    for run in runs:
        if run.system == one and (run.table, run.seed) in second:
            result.setdefault(run.table, []).append((run, second[run.table, run.seed]))
    return result


def ratios(runs: Runs, one: str, other: str, of: str) -> dict[str, float]:
    """By table, how many times as much of `row`, `call`, `size` or `seconds` one system takes than another."""
    return {
        table: geometric_mean(getattr(first, of) / getattr(second, of) for first, second in both)
        for table, both in pairs(runs, one, other).items()
    }


def _first(ranking: Ranking | None) -> str:
    asked = f"{RANKED_AT:g} s: mean rank: first, or statistically tied with the first"
    own = ranking.standing(HOMEPORT) if ranking else None
    if ranking is None or own is None:
        return f"{asked}: not measured"
    first = ranking.standings[0]
    where = f"of {len(ranking.tables)} tables {own.rank:.2f}"
    if not own.behind:
        return f"{asked}: {where}, nobody before it: met"
    where += f", {own.behind:.2f} behind {SYSTEMS[first.system].title}"
    if own.behind_interval is None:
        return f"{asked}: {where}: undecided, too few tables"
    low, high = own.behind_interval
    return f"{asked}: {where} (95 %: {low:.2f} to {high:.2f}): {'met' if own.tied else 'not met'}"


def _never_below(runs: Runs) -> str:
    asked = f"never below {SYSTEMS[LIGHTGBM].title} by more than a standard error of their difference over the splits"
    judged = {
        table: [loss(own) - loss(other) for own, other in both]
        for table, both in pairs(runs, HOMEPORT, LIGHTGBM).items()
        if len(both) > 1
    }
    if not judged:
        return f"{asked}: not measured"
    below = [
        f"{table} by {fmean(by):.3g} (standard error {error:.3g})"
        for table, by in judged.items()
        if fmean(by) > (error := stdev(by) / len(by) ** 0.5)
    ]
    if below:
        return f"{asked}: below on {', '.join(below)}, of {len(judged)} tables: not met"
    return f"{asked}: on none of {len(judged)} tables: met"


def _cheaper(runs: Runs) -> Iterator[str]:
    asked = f"a row costs {SYSTEMS[AUTOGLUON].title} at least {CHEAPER:g} × Homeport"
    by_table = ratios(runs, AUTOGLUON, HOMEPORT, "row")
    if not by_table:
        yield f"{asked}: not measured"
        return
    mean, worst = geometric_mean(by_table.values()), min(by_table, key=by_table.__getitem__)
    count = f"the geometric mean of {len(by_table)} tables"
    yield f"{asked}, {count}: {mean:.3g} ×: {'met' if mean >= CHEAPER else 'not met'}"
    least = by_table[worst]
    yield f"{asked}, the worst table ({worst}): {least:.3g} ×: {'met' if least >= CHEAPER else 'not met'}"
