"""Performance: how long each operation takes, down to single requests."""

from __future__ import annotations

from urllib.parse import urlencode

from nicegui import ui

from observability.insights.page.charts import bars, draw, redraw
from observability.insights.page.desk import Desk, Record, href, moment, table
from observability.insights.page.frame import empty, heading

_STEPS = 50  # of a duration, for each factor e: percentiles are exact to one part in a hundred
# As in `overview`: counts and means from the metric where there is one, percentiles from the spans that were kept.
_OPERATIONS = f"""
WITH kept AS MATERIALIZED (
    SELECT cloud_RoleName AS role, name, CAST(ln(greatest(duration, 0.001)) * {_STEPS} AS SMALLINT) AS step,
        sum(itemCount) AS items, sum(itemCount) FILTER (NOT success) AS failed, sum(duration * itemCount) AS ms
    FROM requests WHERE timestamp >= $start GROUP BY ALL),
ranked AS (
    SELECT role, name, step, sum(items) OVER (PARTITION BY role, name ORDER BY step)
        / sum(items) OVER (PARTITION BY role, name) AS share FROM kept),
percentile AS (
    SELECT role, name, exp(min(step) FILTER (share >= 0.5) / {_STEPS}) AS p50,
        exp(min(step) FILTER (share >= 0.95) / {_STEPS}) AS p95, exp(min(step) FILTER (share >= 0.99) / {_STEPS}) AS p99
    FROM ranked GROUP BY ALL),
metric AS (
    SELECT cloud_RoleName AS role,
        concat_ws(' ', customDimensions ->> '$."http.request.method"', customDimensions ->> '$."http.route"') AS name,
        sum(valueCount) AS items, 1000 * sum(valueSum) AS ms,
        sum(CASE WHEN TRY_CAST(customDimensions ->> '$."http.response.status_code"' AS INTEGER) >= 400
            THEN valueCount ELSE 0 END) AS failed
    FROM customMetrics WHERE name = 'http.server.request.duration' AND timestamp >= $start GROUP BY ALL),
counted AS (
    FROM metric UNION ALL BY NAME
    SELECT role, name, sum(items) AS items, sum(ms) AS ms, sum(failed) AS failed FROM kept
    WHERE NOT EXISTS (FROM metric WHERE metric.role IS NOT DISTINCT FROM kept.role AND metric.name = kept.name)
    GROUP BY ALL)
SELECT counted.role, counted.name, CAST(items AS BIGINT) AS items, CAST(coalesce(failed, 0) AS BIGINT) AS failed,
    ms / items AS mean, p50, p95, p99
FROM counted LEFT JOIN percentile ON counted.name = percentile.name
    AND counted.role IS NOT DISTINCT FROM percentile.role
ORDER BY items DESC LIMIT 500
"""  # noqa: S608 (our own numbers)
_BARS = 5  # for each factor 10, so that bounds are round: 1, 1.6, 2.5, 4, 6.3, 10
_DURATIONS = f"""
SELECT CAST(floor(log10(greatest(duration, 0.001)) * {_BARS}) AS INTEGER) AS step,
    CAST(sum(itemCount) AS BIGINT) AS items
FROM requests WHERE timestamp >= $start AND name = $name AND cloud_RoleName IS NOT DISTINCT FROM $role
GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 (our own numbers)
_SLOWEST = """
SELECT timestamp, operation_Id, resultCode, duration, customDimensions ->> '$."ml.model.version"' AS version,
    TRY_CAST(customDimensions ->> '$."ml.rows"' AS BIGINT) AS rows
FROM requests WHERE timestamp >= $start AND name = $name AND cloud_RoleName IS NOT DISTINCT FROM $role
ORDER BY duration DESC LIMIT 50
"""


def show(desk: Desk, name: str, role: str) -> None:
    """Fill the page: all operations and, where one is named, its requests."""
    nothing = ui.column().classes("full-width")
    with nothing:
        empty("No request was seen in this time.", "Choose a longer time above, or send the endpoint a row:",
              "homeport score rows.json")  # fmt: skip
    with ui.column().classes("card"):
        heading("Operations")
        ui.label("Durations in ms. Percentiles are of the requests that were kept as spans.").classes("quiet")
        operations = table(
            {"name": "Operation", "role": "Role", "items": "Requests", "failed": "Failed", "mean": "Average",
             "p50": "50th", "p95": "95th", "p99": "99th"},
            numbers=("items", "failed", "mean", "p50", "p95", "p99"), link="name",
        )  # fmt: skip
    if name:
        _show_operation(desk, name, role)

    async def refresh() -> None:
        found = await desk.select(_OPERATIONS)
        for row in found:
            chosen = {"minutes": desk.minutes, "operation": row["name"], "role": row["role"] or ""}
            row["href"] = f"/performance?{urlencode(chosen)}"
        operations.rows = [{"id": row["href"], **row} for row in found]
        nothing.visible = not found

    desk.keep(refresh)


def _show_operation(desk: Desk, name: str, role: str) -> None:
    with ui.column().classes("card"):
        heading(f"{name}: durations")
        chart = draw("Requests by duration")
    with ui.column().classes("card"):
        heading(f"{name}: the slowest requests")
        nothing = ui.label(
            "None was kept as a span: of the ordinary ones a share is, HOMEPORT_TELEMETRY_SAMPLE_SHARE."
        ).classes("quiet")
        requests = transactions()

    async def refresh() -> None:
        chosen = {"name": name, "role": role or None}
        steps = {row["step"]: row["items"] for row in await desk.select(_DURATIONS, **chosen)}
        known = range(min(steps), max(steps) + 1) if steps else ()
        shown = {f"{_bound(step)}–{_bound(step + 1)}": steps.get(step, 0) for step in known}
        redraw(chart, bars(shown, "requests", axis="ms"))
        fill(requests, await desk.select(_SLOWEST, **chosen))
        nothing.visible = not steps

    desk.keep(refresh)


def _bound(step: int) -> str:
    return f"{float(f'{10 ** (step / _BARS):.2g}'):,g}"


def transactions() -> ui.table:
    """A table of requests, each of which leads to its transaction."""
    return table(
        {"time": "Time (UTC)", "resultCode": "Result", "duration": "ms", "rows": "Rows", "version": "Model version",
         "operation_Id": "Operation id"},
        numbers=("duration", "rows"), link="time",
    )  # fmt: skip


def fill(requests: ui.table, rows: list[Record]) -> None:
    """Show requests in such a table."""
    requests.rows = [
        {"id": place, "time": moment(row.pop("timestamp")), "href": href(row), **row} for place, row in enumerate(rows)
    ]
