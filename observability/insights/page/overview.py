"""Overview: the four charts that Azure opens with, and what is alarming."""

from __future__ import annotations

from nicegui import ui

from observability.insights.overview import overview
from observability.insights.page.alerts import Alarms
from observability.insights.page.charts import GREEN, RED, draw, over_time, redraw
from observability.insights.page.desk import Desk, number
from observability.insights.page.frame import empty, heading

_LOST = """
SELECT cloud_RoleName AS role, sum(valueSum) AS items FROM customMetrics
WHERE name IN ('homeport.telemetry.dropped', 'insights.rejected') AND timestamp >= $start
GROUP BY ALL HAVING items > 0 ORDER BY items DESC
"""
CHARTS = ("Failed requests", "Server response time", "Server requests", "Availability")


def show(desk: Desk) -> None:
    """Fill the page."""
    alarms = Alarms(desk)
    nothing = ui.column().classes("full-width")
    with nothing:
        empty(
            "No request was seen in this time.",
            "Choose a longer time above, or send the endpoint a row:",
            "homeport score rows.json",
        )
    lost = ui.label().classes("alert").props("role=status")
    lost.visible = False
    figures, charts = {}, {}
    with ui.element("div").classes("grid"):
        for title in CHARTS:
            with ui.column().classes("card"):
                heading(title)
                figures[title] = ui.label("–").classes("figure").mark(title)
                charts[title] = draw(f"{title} over time")

    async def refresh() -> None:
        alarms.refresh()
        found = await desk.ask(lambda cursor: overview(cursor, desk.minutes))
        nothing.visible = not found["requests"]
        dropped = [f"{number(row['items'])} of {row['role']}" for row in await desk.select(_LOST)]
        lost.visible = bool(dropped)
        lost.text = f"Telemetry that found no place: {', '.join(dropped)}. Counts of requests are whole all the same."
        some = found["requests"] or None  # of no requests none fail, which is no news
        share = f" · {number(100 * found['failures'] / some, '%')}" if some and found["failures"] else ""
        figures["Failed requests"].text = number(some and found["failures"]) + share
        figures["Server response time"].text = number(found["mean"], "ms on average")
        figures["Server requests"].text = number(some)
        figures["Availability"].text = number(found["availability"], "%")
        if found["availability"] is None:
            figures["Availability"].text = "no test"
        lines = {
            name: [(step["timestamp"], step[name]) for step in found["series"]]
            for name in ("failures", "requests", "mean", "p95")
        }
        available = [(step["timestamp"], step["availability"]) for step in found["availabilitySeries"]]
        redraw(
            charts["Failed requests"],
            over_time({"Failed": lines["failures"]}, desk.minutes, "requests", kind="bar", colours=[RED]),
        )
        durations = {"Average": lines["mean"], "95th percentile": lines["p95"]}
        redraw(charts["Server response time"], over_time(durations, desk.minutes, "ms"))
        redraw(
            charts["Server requests"],
            over_time({"Received": lines["requests"]}, desk.minutes, "requests", kind="bar"),
        )
        redraw(
            charts["Availability"],
            over_time({"Available": available}, desk.minutes, "%", colours=[GREEN], most=100),
        )

    desk.keep(refresh)
