"""What `homeport bench` shows: a table and a histogram in the terminal, and a plot as PNG."""

from __future__ import annotations

from math import log10
from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from homeport.bench import QUANTILES, Measured

BARS = 12
WIDTH = 50


def in_terminal(measured: Measured) -> RenderableType:
    """Throughput, failures, percentiles and the distribution of latencies."""
    rows = f" of {measured.rows} rows" if measured.rows > 1 else ""
    summary = (
        f"{measured.statuses.total():,} requests{rows} by {measured.users} users in {measured.seconds:.1f} s: "
        f"{measured.throughput:,.0f} a second"
    )
    if measured.rows > 1:
        summary += f", {measured.throughput * measured.rows:,.0f} rows a second"
    failed = ", ".join(f"{count:,} x {status}" for status, count in measured.statuses.most_common() if status != "200")
    table = Table(
        *(f"{share * 100:g} %" for share in QUANTILES), "longest", box=None, title="Latency, ms", title_justify="left"
    )
    longest = max(measured.latencies, default=0.0)
    table.add_row(*(f"{seconds * 1000:.2f}" for seconds in (*map(measured.quantile, QUANTILES), longest)))
    return Group(
        Text(summary, style="bold"),
        Text(f"Failed: {failed}" if failed else "Failed: none", style="red" if failed else "green"),
        "",
        table,
        "",
        _histogram(measured),
    )


def _histogram(measured: Measured) -> RenderableType:
    latencies = np.array(measured.latencies) * 1000
    if not len(latencies):
        return ""
    low, high = latencies.min(), latencies.max() * 1.001
    edges = np.logspace(log10(low), log10(high), BARS + 1)
    counts, _ = np.histogram(latencies, edges)
    table = Table(box=None, show_header=False)
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        bar = "█" * round(WIDTH * count / counts.max()) or ("▏" if count else "")
        table.add_row(Text(f"{left:.2f} to {right:.2f} ms", justify="right"), Text(bar, style="cyan"), f"{count:,}")
    return table


def as_png(measured: Measured, path: Path) -> None:
    """Percentiles of the latency, and throughput and latency over time; needs an answer at least.

    Replaces the file as a whole.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    latencies = np.array(measured.latencies) * 1000
    finished = np.array(measured.finished)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    ordered = np.sort(latencies)
    remaining = 1 - np.arange(len(ordered)) / len(ordered)  # share of the requests that took longer
    left.plot(1 / remaining, ordered, color="tab:blue")
    left.set(xscale="log", yscale="log", xlabel="percentile", ylabel="latency, ms", title="Latency by percentile")
    ticks = [share for share in (0.5, 0.9, 0.99, 0.999, 0.9999) if 1 / (1 - share) <= len(ordered)]
    left.set_xticks([1 / (1 - share) for share in ticks], [f"{share * 100:g} %" for share in ticks])
    left.minorticks_off()
    left.yaxis.set_major_formatter("{x:g}")
    left.grid(alpha=0.3)
    bins = np.arange(0, max(finished.max(), 1) + 1e-9, 1.0)
    per_second, _ = (
        np.histogram(finished, [*bins, bins[-1] + 1]) if len(bins) > 1 else (np.array([len(finished)]), None)
    )
    whole = per_second[: max(len(bins) - 1, 1)]
    right.bar(np.arange(len(whole)) + 0.5, whole, width=0.9, color="tab:blue", alpha=0.6)
    right.set(
        xlabel="seconds", ylabel="answers a second", title=f"{measured.users} users, rows a request: {measured.rows}"
    )
    second = np.minimum(finished.astype(int), len(whole) - 1)
    tails = [
        np.quantile(latencies[second == place], 0.99) if (second == place).any() else np.nan
        for place in range(len(whole))
    ]
    other = right.twinx()
    other.plot(np.arange(len(whole)) + 0.5, tails, color="tab:red", marker=".")
    other.set_ylabel("99th percentile of the latency, ms", color="tab:red")
    other.set_ylim(0, 1.2 * np.nanmax(tails))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
    temporary.replace(path)
