"""Results as markdown and as a plot; no figure is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.compare import SIZES
from benchmarks.document import between, drawing, save, table
from benchmarks.results import BARS, Measured, Results, Scaling
from benchmarks.roster import HOMEPORT, LIMIT

BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"


def markdown(results: Results) -> str:
    """All tables and the list of bars."""
    parts = [
        _conditions(results),
        "**µs of CPU a request** of so many rows: median (minimum-maximum), and × Homeport.",
        table(["server", *map(_sized, SIZES)], _costs(results)),
        "**Requests a second** (median), first answer after the start, memory after all rounds (USS: not shared).",
        table(
            ["server", *map(_sized, SIZES), "start, s", "USS, MB", "RSS, MB"],
            [_running(server) for server in results.servers],
        ),
        table(["server", "how it was run"], [[s.title, f"{s.settings}; {_versions(s)}"] for s in results.servers]),
        *([_left_out(results.left_out)] if results.left_out else []),
        "\n".join(f"- {text}" for bar in BARS if (text := bar.text(results))),
        *([_scaling(results.scaling, results.cores)] if results.scaling else []),
    ]
    return "\n\n".join(parts)


def write(results: Results, folder: Path) -> None:
    """Replace what is between the markers of `serving.md`; write `serving.json` and `serving.svg` beside it."""
    between(folder / "serving.md", BEGIN, END, f"![µs of CPU a request](serving.svg)\n\n{markdown(results)}")
    (folder / "serving.json").write_bytes(msgspec.json.format(msgspec.json.encode(_rounded(results)), indent=1) + b"\n")
    plot(results, folder / "serving.svg")


def plot(results: Results, path: Path) -> None:
    """Bars on a logarithmic scale, one panel a size."""
    servers = results.servers[::-1]
    with drawing() as plt:
        figure, panels = plt.subplots(1, len(SIZES), figsize=(11, 0.8 + 0.38 * len(servers)), sharey=True)
        for panel, rows in zip(panels, SIZES, strict=True):
            values = [median(server.cost(rows).cpu) for server in servers]
            fills = ["#e0852b" if s.name == HOMEPORT else "#9aa7b4" if s.name == LIMIT else "#4f7cac" for s in servers]
            drawn = panel.barh([server.title for server in servers], values, color=fills, log=True)
            panel.bar_label(drawn, [f" {value:,.0f}" for value in values])
            panel.set_xlim(min(values) / 2, max(values) * 6)
            panel.set_title(_sized(rows))
            panel.spines[["top", "right", "bottom"]].set_visible(False)
            panel.tick_params(bottom=False, labelbottom=False, which="both", left=False)
        figure.supxlabel("µs of CPU a request, logarithmic; less is better", fontsize=10)
        figure.tight_layout()
        save(figure, path)
        plt.close(figure)


def _conditions(results: Results) -> str:
    return (
        f"{results.machine}, {results.cores} cores, load {results.load:.1f} before, Python {results.python}; "
        f"model {results.model}; {results.rounds} interleaved rounds, {results.connections} connections, one worker."
    )


def _sized(rows: int) -> str:
    return f"{rows:,} row{'s' if rows > 1 else ''}"


def _costs(results: Results) -> list[list[str]]:
    lines = []
    for server in results.servers:
        line = [server.title]
        for rows in SIZES:
            cpu, ratio = server.cost(rows).cpu, results.ratio(server.name, HOMEPORT, rows)
            times = f"; {ratio:.3g} ×" if ratio is not None and server.name != HOMEPORT else ""
            line.append(f"{median(cpu):,.0f} ({min(cpu):,.0f}-{max(cpu):,.0f}){times}")
        lines.append(line)
    return lines


def _running(server: Measured) -> list[str]:
    rates = [f"{median(server.cost(rows).rate):,.0f}" for rows in SIZES]
    return [server.title, *rates, f"{server.first_answer:.1f}", f"{server.uss / 1e6:.0f}", f"{server.rss / 1e6:.0f}"]


def _versions(server: Measured) -> str:
    return ", ".join(f"{name} {version}" for name, version in server.versions.items())


def _left_out(why: dict[str, str]) -> str:
    return "\n".join(f"- {title} was left out: {reason}" for title, reason in why.items())


def _scaling(scaling: Sequence[Scaling], cores: int) -> str:
    lines = []
    for result in scaling:
        base = next(other for other in scaling if other.rows == result.rows)
        lines.append(
            [
                f"{result.rows}",
                f"{result.workers}",
                f"{median(result.rate):,.0f} ({min(result.rate):,.0f}-{max(result.rate):,.0f})",
                f"{median(result.rate) / median(base.rate):.2f} ×",
                f"{median(result.server_cores):.2f}",
                f"{median(result.client_cores):.2f}",
            ]
        )
    head = ["rows", "workers", "requests a second", "of one worker", "cores: server", "cores: client"]
    text = "**Two workers of Homeport**, on the same cores as the client:\n\n" + table(head, lines)
    used = [median(result.server_cores) + median(result.client_cores) for result in scaling if result.workers > 1]
    if used and min(used) < 0.75 * cores:
        left = f"{min(used):.1f} of the {cores} cores"
        text += f"\n\nThese ratios say little: other work left only {left} to the two workers."
    return text


def _rounded(results: Results) -> object:
    def shorter(value: object) -> object:
        if isinstance(value, float):
            return float(f"{value:.5g}")
        if isinstance(value, list):
            return [shorter(item) for item in value]
        return {key: shorter(item) for key, item in value.items()} if isinstance(value, dict) else value

    return shorter(msgspec.to_builtins(results))
