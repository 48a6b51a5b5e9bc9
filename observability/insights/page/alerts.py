"""Alerts: the rules, which of them fire, and when they did."""

from __future__ import annotations

import json

from nicegui import ui

from observability.insights.alerts import FIRED, RESOLVED, described
from observability.insights.page.desk import Desk, moment, number, table
from observability.insights.page.frame import empty, heading

_EVENTS = f"""
SELECT timestamp, name, customDimensions FROM customEvents
WHERE name IN ('{FIRED}', '{RESOLVED}') AND timestamp >= $start ORDER BY timestamp DESC LIMIT 200
"""  # noqa: S608 (our own words)
_SEVERITIES = ("0 critical", "1 error", "2 warning", "3 informational", "4 verbose")


def show(desk: Desk) -> None:
    """Fill the page."""
    alarms = ui.column().classes("full-width")
    with ui.column().classes("card"):
        heading("Rules")
        rules = table(
            {"rule": "Rule", "state": "State", "value": "Value", "limit": "Fires", "minutes": "Over, minutes",
             "severity": "Severity", "since": "Since (UTC)"},
            numbers=("minutes",), key="rule",
        )  # fmt: skip
        ui.label(
            f"They come from {desk.settings.alerts or 'the default file'}; HOMEPORT_INSIGHTS_ALERTS names another."
        )
    with ui.column().classes("card"):
        heading("What happened")
        events = table({"time": "Time (UTC)", "rule": "Rule", "what": "What", "value": "Value"})
    nothing = ui.column().classes("full-width")
    with nothing:
        empty("No rule began or ceased to fire in this time.", "With HOMEPORT_INSIGHTS_WEBHOOK each alert is posted.")

    async def refresh() -> None:
        show_firing(desk, alarms)
        states = desk.parts.alerts.states()
        rules.rows = [
            {
                **described(state),
                "value": number(state.value, state.rule.unit),
                "limit": f"{'below' if state.rule.above is None else 'above'} "
                + number(state.rule.threshold, state.rule.unit),
                "severity": _SEVERITIES[state.rule.severity],
                "since": moment(state.since) if state.since else "–",
            }
            for state in states
        ]
        found = [
            (row["timestamp"], row["name"], json.loads(row["customDimensions"])) for row in await desk.select(_EVENTS)
        ]
        events.rows = [
            {"id": place, "time": moment(time), "rule": event["rule"],
             "what": "began to fire" if name == FIRED else "is over", "value": number(event["value"], event["unit"])}
            for place, (time, name, event) in enumerate(found)
        ]  # fmt: skip
        nothing.visible = not found

    desk.keep(refresh)


def show_firing(desk: Desk, place: ui.column) -> None:
    """Put those that fire into a column, the most severe first."""
    firing = sorted((state for state in desk.parts.alerts.states() if state.firing), key=lambda one: one.rule.severity)
    place.clear()
    with place:
        for state in firing:
            rule = state.rule
            since = moment(state.since)[:-4] if state.since else ""
            with ui.row().classes("alert items-center").props("role=alert"):
                ui.icon("notifications_active", size="1.3rem").classes("bad")
                ui.link(rule.name, "/alerts").classes("text-weight-medium")
                limit = number(rule.threshold, rule.unit)
                ui.label(f"{number(state.value, rule.unit)}, the limit is {limit}, since {since} UTC")
