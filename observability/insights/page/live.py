"""Live metrics: the last minute, second by second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nicegui import ui

from observability.insights.page.charts import PALETTE, RED, draw, over_time, redraw
from observability.insights.page.desk import Desk, Record, href, moment, number, table
from observability.insights.page.frame import empty, heading

_SECONDS = 60
_SHOWN = timedelta(seconds=10)  # that the figures are the mean of, up to what was told last
# Senders tell what was added since they told last: spread over that time it is a rate. They are silent while nothing
# is added, so that the time is the shortest between two tellings.
_RATES = """
WITH told AS (
    SELECT timestamp, cloud_RoleInstance AS instance, name, sum(valueSum) AS total, sum(valueCount) AS times,
        sum(CASE WHEN TRY_CAST(customDimensions ->> '$."http.response.status_code"' AS INTEGER) >= 400
            THEN valueCount ELSE 0 END) AS failed
    FROM customMetrics
    WHERE name IN ('http.server.request.duration', 'ml.prediction.rows') AND timestamp >= $start GROUP BY ALL),
gaps AS (
    SELECT instance, epoch(timestamp) - lag(epoch(timestamp)) OVER (PARTITION BY instance ORDER BY timestamp) AS gap
    FROM (SELECT DISTINCT instance, timestamp FROM told)),
paces AS (
    SELECT instance, CAST(greatest(1, coalesce(round(min(gap)), 1)) AS INTEGER) AS seconds FROM gaps GROUP BY instance),
spread AS (
    SELECT date_trunc('second', timestamp) - to_seconds(unnest(range(seconds))) AS second, name,
        total / seconds AS total, times / seconds AS times, failed / seconds AS failed
    FROM told JOIN paces ON told.instance IS NOT DISTINCT FROM paces.instance)
SELECT second, sum(times) FILTER (name LIKE 'http%') AS requests, sum(failed) FILTER (name LIKE 'http%') AS failed,
    1000 * sum(total) FILTER (name LIKE 'http%') / sum(times) FILTER (name LIKE 'http%') AS mean,
    sum(total) FILTER (name LIKE 'ml%') AS rows
FROM spread GROUP BY second ORDER BY second
"""
_SERVERS = """
SELECT cloud_RoleName AS role, cloud_RoleInstance AS instance, sum(valueCount) AS requests,
    1000 * sum(valueSum) / sum(valueCount) AS mean, max(timestamp) AS seen
FROM customMetrics WHERE name = 'http.server.request.duration' AND timestamp >= $start GROUP BY ALL ORDER BY ALL
"""
_LINES = """
SELECT timestamp, cloud_RoleName AS role, message, operation_Id FROM traces
WHERE timestamp >= $start ORDER BY timestamp DESC LIMIT 20
"""
CHARTS = {
    "requests": ("Requests", "a second", PALETTE[0]),
    "failed": ("Failed requests", "a second", RED),
    "mean": ("Request duration", "ms", PALETTE[1]),
    "rows": ("Rows scored", "a second", PALETTE[2]),
}


def show(desk: Desk) -> None:
    """Fill the page."""
    nothing = ui.column().classes("full-width")
    nothing.visible = False
    with nothing:
        empty("No request came in the last minute.", "Send the endpoint a row, and it is here within some seconds:",
              "homeport score rows.json")  # fmt: skip
    figures, charts = {}, {}
    with ui.element("div").classes("grid"):
        for name, (title, unit, _) in CHARTS.items():
            with ui.column().classes("card"):
                heading(title)
                figures[name] = ui.label("–").classes("figure").mark(title)
                charts[name] = draw(f"{title}, {unit}, of each second")
    with ui.column().classes("card"):
        heading("Servers")
        servers = table(
            {"role": "Role", "instance": "Instance", "requests": "Requests in the last minute", "mean": "Average, ms"},
            numbers=("requests", "mean"), key="instance",
        )  # fmt: skip
    with ui.column().classes("card"):
        heading("Lines of the logs")
        lines = table({"time": "Time (UTC)", "role": "Role", "message": "Message"}, link="time")

    async def refresh() -> None:
        start = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=_SECONDS)
        found = {row["second"]: row for row in await desk.select(_RATES, start=start)}
        told = max(found, default=start)
        latest = told if told > start + timedelta(seconds=_SECONDS) - _SHOWN else start + timedelta(seconds=_SECONDS)
        nothing.visible = not found
        seconds = [start.replace(microsecond=0) + timedelta(seconds=number) for number in range(1, _SECONDS + 1)]
        for name, (_, unit, colour) in CHARTS.items():
            points = [(at, _value(found.get(at), name)) for at in seconds]
            redraw(
                charts[name],
                over_time({name: points}, _SECONDS / 60, unit, colours=[colour], kind="bar"),
            )
            known = [value for at, value in points if value is not None and latest - _SHOWN < at <= latest]
            figures[name].text = number(sum(known) / len(known) if known else None, unit)
        servers.rows = await desk.select(_SERVERS, start=start)
        for server in servers.rows:
            server["seen"] = moment(server["seen"])
        lines.rows = [
            {"id": place, "time": moment(row.pop("timestamp")), "href": href(row), **row}
            for place, row in enumerate(await desk.select(_LINES, start=start))
        ]

    desk.keep(refresh, 1.0)


def _value(row: Record | None, name: str) -> float | None:
    """Of a second in which nothing came: no requests, which took no time at all."""
    value = row[name] if row else None
    return value if value is not None or name == "mean" else 0
