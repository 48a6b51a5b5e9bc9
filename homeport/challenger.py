"""How a challenger compares with the champion, as a table."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from bundle import BundleNotFound, Store
from bundle.drift import psi, read_baseline
from serving.shadow import Comparison, quantile, read_comparison

NOTABLE_PSI = 0.1  # below, a distribution has hardly moved
DRIFTS = 5


def report(store: Store, name: str, folder: Path) -> RenderableType:
    """The comparison so far. Raises BundleNotFound, ServingError if there is none."""
    champion, challenger = store.champion_path(name).name, store.challenger(name)
    if challenger is None:
        raise BundleNotFound(f"{name} has no challenger. Choose one: `homeport models shadow {name} VERSION`.")
    found = read_comparison(folder, name, champion, challenger.version)
    table = Table("", f"champion {champion}", f"challenger {challenger.version}", box=None)
    for label, share in (("median", 0.5), ("95 %", 0.95), ("99 %", 0.99)):
        times = (quantile(counts, share) for counts in (found.champion_seconds, found.challenger_seconds))
        table.add_row(f"latency, {label}", *(f"{seconds * 1e6:,.0f} µs" for seconds in times))
    return Group(f"{name}: {_summary(found, store.manifest(name, champion).regression)}", table, _drift(store, found))


def _summary(found: Comparison, regression: bool) -> str:
    rows = max(found.rows, 1)
    text = f"{found.rows:,} rows of {found.requests:,} requests were scored by both. "
    if not regression:
        text += f"{found.disagreements:,} labels differ ({found.disagreements / rows:.2%}). "
    kind = "value" if regression else "probability"
    text += f"The {kind} differs by {found.difference / rows:.4g} on average and {found.largest:.4g} at most."
    if found.skipped:
        text += f"\n{found.skipped:,} requests were skipped: the challenger could not keep up."
    if found.failed:
        text += f"\n{found.failed:,} requests the challenger could not score: {escape(found.reason)}"
    return text


def _drift(store: Store, found: Comparison) -> RenderableType:
    baseline = read_baseline(store.path(found.model, found.champion))
    if baseline is None or not found.seen:
        return ""
    expected = {name: each.expected for name, each in baseline.columns.items()} | {"scores": baseline.scores.expected}
    moved = sorted(((psi(expected[name], counts), name) for name, counts in found.seen.items()), reverse=True)
    table = Table("the traffic beside the training rows", "PSI", box=None)
    for value, name in moved[:DRIFTS]:
        table.add_row(escape(name), f"{value:.3f}", style="bold" if value >= NOTABLE_PSI else "")
    return table
