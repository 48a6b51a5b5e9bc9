"""Failures: by status, by operation, the exceptions, and single requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from itertools import cycle
from typing import Any

from nicegui import ui

from observability.insights.page.charts import GREEN, PALETTE, RED, Points, draw, over_time, redraw
from observability.insights.page.desk import Desk, href, moment, table
from observability.insights.page.frame import empty, heading
from observability.insights.page.performance import fill, transactions

_COUNTS = """
WITH metric AS (
    SELECT time_bucket(to_minutes($bin), timestamp) AS bin, cloud_RoleName AS role,
        concat_ws(' ', customDimensions ->> '$."http.request.method"', customDimensions ->> '$."http.route"') AS name,
        customDimensions ->> '$."http.response.status_code"' AS code, sum(valueCount) AS items
    FROM customMetrics WHERE name = 'http.server.request.duration' AND timestamp >= $start GROUP BY ALL),
counted AS (
    SELECT * FROM metric WHERE TRY_CAST(code AS INTEGER) >= 400
    UNION ALL BY NAME
    SELECT time_bucket(to_minutes($bin), timestamp) AS bin, cloud_RoleName AS role, name, resultCode AS code,
        sum(itemCount) AS items
    FROM requests WHERE timestamp >= $start AND NOT success
        AND NOT EXISTS (FROM metric WHERE metric.role IS NOT DISTINCT FROM requests.cloud_RoleName) GROUP BY ALL)
SELECT bin, code, name, role, CAST(items AS BIGINT) AS items FROM counted ORDER BY bin, code
"""
_EXCEPTIONS = """
SELECT coalesce(type, '(no type)') AS type, any_value(outerMessage) AS message, cloud_RoleName AS role,
    count(*) AS items, max(timestamp) AS latest, arg_max(operation_Id, timestamp) AS "operation_Id"
FROM exceptions WHERE timestamp >= $start GROUP BY type, role ORDER BY items DESC LIMIT 100
"""
_REQUESTS = """
SELECT timestamp, operation_Id, resultCode, duration, customDimensions ->> '$."ml.model.version"' AS version,
    TRY_CAST(customDimensions ->> '$."ml.rows"' AS BIGINT) AS rows
FROM requests WHERE timestamp >= $start AND NOT success AND ($code = '' OR resultCode = $code)
ORDER BY timestamp DESC LIMIT 100
"""
_MEANING = {
    "400": "the rows are wrong", "401": "no key, or a wrong one", "404": "no such path", "405": "wrong method",
    "408": "the request came too slowly", "413": "the body is too long", "415": "wrong content type",
    "422": "too many rows", "429": "too many requests at once", "431": "the headers are too long",
    "500": "an error of the service", "503": "no model is ready", "504": "time was up",
}  # fmt: skip


def show(desk: Desk) -> None:
    """Fill the page."""
    nothing = ui.column().classes("full-width")
    with nothing:
        empty("No request failed in this time.", "Every failed request is counted and kept, 4xx and 5xx.")
    with ui.column().classes("card"):
        heading("Failed requests by status")
        chart = draw("Failed requests by status over time")
    with ui.column().classes("card"):
        heading("By status and operation")
        counts = table(
            {"code": "Status", "meaning": "Meaning", "name": "Operation", "role": "Role", "items": "Requests"},
            numbers=("items",),
        )
    with ui.column().classes("card"):
        heading("Exceptions")
        exceptions = table(
            {"type": "Type", "message": "Message", "role": "Role", "items": "Times", "latest": "Latest (UTC)"},
            numbers=("items",), link="latest",
        )  # fmt: skip
    with ui.column().classes("card"):
        heading("The latest failed requests")
        code = ui.select({"": "All statuses"}, value="", label="Status").classes("choice")
        code.props("dense outlined options-dense")
        requests = transactions()

    async def refresh() -> None:
        series: dict[str, dict[datetime, float]] = defaultdict(lambda: defaultdict(int))
        totals: dict[tuple[Any, ...], int] = defaultdict(int)
        for row in await desk.select(_COUNTS, bin=desk.bin):
            series[row["code"] or "none"][row["bin"]] += row["items"]
            totals[row["code"], row["name"], row["role"]] += row["items"]
        lines: dict[str, Points] = {name: sorted(values.items()) for name, values in sorted(series.items())}
        options = over_time(
            lines, desk.minutes, "requests", kind="bar", stacked=True, colours=_colours(lines), legend=True
        )
        redraw(chart, options)
        counts.rows = [
            {"id": str(kind), "code": kind[0], "meaning": _MEANING.get(kind[0], ""), "name": kind[1], "role": kind[2],
             "items": items}
            for kind, items in sorted(totals.items(), key=lambda total: -total[1])
        ]  # fmt: skip
        code.set_options({"": "All statuses"} | {name: name for name in lines}, value=code.value)
        exceptions.rows = [
            {"id": place, **row, "latest": moment(row["latest"]), "href": href(row)}
            for place, row in enumerate(await desk.select(_EXCEPTIONS))
        ]
        fill(requests, await desk.select(_REQUESTS, code=code.value or ""))
        nothing.visible = not totals and not exceptions.rows

    code.on_value_change(refresh)
    desk.keep(refresh)


def _colours(codes: Iterable[str]) -> list[str]:
    """Red for what the service is to blame for; nothing here is green."""
    others = cycle(colour for colour in PALETTE if colour not in {GREEN, RED})
    return [RED if code.startswith("5") else next(others) for code in codes]
