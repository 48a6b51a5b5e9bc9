"""Model: what it answers, how sure it is, and how far its input has moved from what training saw."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from itertools import pairwise

from nicegui import ui

from observability.insights.page.charts import AMBER, GREEN, RED, Points, bars, draw, over_time, redraw
from observability.insights.page.desk import Desk, Record, table
from observability.insights.page.frame import empty, heading

MOVED, MOVED_MUCH = 0.1, 0.25  # of the population stability index, as it is usually read
CHARTS = {
    "Class balance": "Share of the rows that each class was answered for.",
    "Confidence": "Mean of the highest probability of each row; of a regression, mean of its answers.",
    "Rows scored by version": "A dashed line is where another version took over.",
    "Drift over time": "Population stability index of the features that have moved furthest.",
}
_SCORES = "answers of the model"
_STEPS = """
SELECT time_bucket(to_minutes($bin), timestamp) AS bin, name, customDimensions ->> '$."ml.model.version"' AS version,
    customDimensions ->> '$."ml.class"' AS class, sum(valueSum) AS total, sum(valueCount) AS times, min(valueMin) AS low
FROM customMetrics
WHERE name IN ('ml.prediction.rows', 'ml.prediction.class.count', 'ml.prediction.confidence', 'ml.prediction.value')
    AND timestamp >= $start GROUP BY ALL ORDER BY bin
"""
_DRIFT = f"""
SELECT time_bucket(to_minutes($bin), timestamp) AS bin, sum(valueSum) / sum(valueCount) AS psi,
    coalesce(customDimensions ->> '$."ml.feature"', '{_SCORES}') AS feature
FROM customMetrics WHERE name IN ('ml.feature.drift.psi', 'ml.prediction.drift.psi') AND timestamp >= $start
GROUP BY ALL ORDER BY bin
"""  # noqa: S608 (our own words)
_FEATURES = """
SELECT customDimensions ->> '$."ml.feature"' AS feature,
    coalesce(sum(valueSum) FILTER (name = 'ml.feature.missing'), 0) AS missing,
    coalesce(sum(valueSum) FILTER (name = 'ml.feature.unseen'), 0) AS unseen,
    (SELECT sum(valueSum) FROM customMetrics WHERE name = 'ml.feature.rows' AND timestamp >= $start) AS rows
FROM customMetrics WHERE name IN ('ml.feature.missing', 'ml.feature.unseen') AND timestamp >= $start GROUP BY ALL
"""
_LOADED = """
SELECT min(timestamp) AS first, customDimensions ->> '$."ml.model.version"' AS version
FROM customEvents WHERE name = 'model.loaded'
GROUP BY time_bucket(INTERVAL 10 SECONDS, timestamp), version ORDER BY first
"""


def show(desk: Desk) -> None:
    """Fill the page."""
    nothing = ui.column().classes("full-width")
    with nothing:
        empty("The model scored nothing in this time.", "Choose a longer time above, or send it a row:",
              "homeport score rows.json")  # fmt: skip
    charts = {}
    with ui.element("div").classes("grid"):
        for title, what in CHARTS.items():
            with ui.column().classes("card"):
                heading(title)
                ui.label(what).classes("quiet")
                charts[title] = draw(title)
    with ui.column().classes("card"):
        heading("Drift by feature, the latest")
        ui.label(
            f"Population stability index against training: below {MOVED:g} hardly any, from {MOVED_MUCH:g} a lot."
        ).classes("quiet")
        unknown = ui.label("Not known yet: it is told once some hundred rows were scored.").classes("quiet")
        drift = draw("Drift by feature")
    with ui.column().classes("card"):
        heading("Features")
        features = table(
            {"feature": "Feature", "psi": "Drift (PSI)", "missing": "Missing, %", "unseen": "Not seen in training, %"},
            numbers=("psi", "missing", "unseen"), key="feature",
        )  # fmt: skip

    async def refresh() -> None:
        steps = await desk.select(_STEPS, bin=desk.bin)
        moved = await desk.select(_DRIFT, bin=desk.bin)
        loaded = await desk.select(_LOADED)
        marks = [
            (f"version {after['version']}", after["first"])
            for before, after in pairwise(loaded)
            if after["version"] != before["version"] and after["first"] >= desk.start
        ]
        for title, options in {
            "Class balance": over_time(
                _shares(steps), desk.minutes, "%", kind="bar", stacked=True, most=100, marks=marks
            ),
            "Confidence": over_time(_confidence(steps), desk.minutes, "", marks=marks),
            "Rows scored by version": over_time(
                _rows(steps), desk.minutes, "rows", kind="bar", stacked=True, marks=marks, legend=True
            ),
            "Drift over time": over_time(_most_moved(moved), desk.minutes, "", marks=marks),
        }.items():
            redraw(charts[title], options)
        latest = dict(sorted(((row["feature"], row["psi"]) for row in _latest(moved)), key=lambda item: -item[1]))
        unknown.visible = not latest
        drift.visible = bool(latest)
        drift.style(f"height: {4 + 1.5 * len(latest):g}rem")
        colours = [GREEN if psi < MOVED else AMBER if psi < MOVED_MUCH else RED for psi in latest.values()]
        known = {name: round(psi, 4) for name, psi in latest.items()}
        redraw(drift, bars(known, "PSI", colours=colours, flat=True, limits=(MOVED, MOVED_MUCH)))
        counts = {row["feature"]: row for row in await desk.select(_FEATURES)}
        features.rows = [
            {"feature": name, "psi": latest.get(name), "missing": _share(counts, name, "missing"),
             "unseen": _share(counts, name, "unseen")}
            for name in dict.fromkeys([*latest, *counts]) if name != _SCORES
        ]  # fmt: skip
        nothing.visible = not steps

    desk.keep(refresh)


def _share(counts: dict[str, Record], feature: str, name: str) -> float:
    """In % of the rows that were looked at; what never occurred is not told of."""
    row = counts.get(feature)
    return 100 * row[name] / row["rows"] if row and row["rows"] else 0


def _shares(steps: list[Record]) -> dict[str, Points]:
    """The share of each class, in % of all rows of a step."""
    counts: dict[str, dict[datetime, float]] = defaultdict(dict)
    totals: dict[datetime, float] = defaultdict(float)
    for row in steps:
        if row["name"] == "ml.prediction.class.count":
            counts[row["class"]][row["bin"]] = counts[row["class"]].get(row["bin"], 0) + row["total"]
            totals[row["bin"]] += row["total"]
    return {
        name: [(at, 100 * count / totals[at]) for at, count in found.items()] for name, found in sorted(counts.items())
    }


def _confidence(steps: list[Record]) -> dict[str, Points]:
    """The mean of the highest probability, or of a regression's answers."""
    names = {"ml.prediction.confidence": "Mean confidence", "ml.prediction.value": "Mean value"}
    found: dict[str, dict[datetime, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in steps:
        if row["name"] in names:
            sums = found[names[row["name"]]][row["bin"]]
            sums[0] += row["total"]
            sums[1] += row["times"]
    return {name: [(at, total / times) for at, (total, times) in sums.items()] for name, sums in found.items()}


def _rows(steps: list[Record]) -> dict[str, Points]:
    found: dict[str, list[tuple[datetime, float | None]]] = defaultdict(list)
    for row in steps:
        if row["name"] == "ml.prediction.rows":
            found[f"version {row['version']}"].append((row["bin"], row["total"]))
    return dict(found)


def _latest(moved: list[Record]) -> list[Record]:
    return list({row["feature"]: row for row in moved}.values())


def _most_moved(moved: list[Record]) -> dict[str, Points]:
    """The five features that have moved furthest."""
    names = [row["feature"] for row in sorted(_latest(moved), key=lambda row: -row["psi"])[:5]]
    return {name: [(row["bin"], row["psi"]) for row in moved if row["feature"] == name] for name in names}
