"""Alerts: the rules, which of them fire, and when they did."""

from __future__ import annotations

import json

from nicegui import ui

from observability.insights.alerts import FIRED, RESOLVED, AlertState, described
from observability.insights.page.desk import Desk, moment, number, table
from observability.insights.page.frame import empty, heading

_EVENTS = f"""
SELECT timestamp, name, customDimensions FROM customEvents
WHERE name IN ('{FIRED}', '{RESOLVED}') AND timestamp >= $start ORDER BY timestamp DESC LIMIT 200
"""  # noqa: S608 (our own words)
_SEVERITIES = ("0 critical", "1 error", "2 warning", "3 informational", "4 verbose")


def show(desk: Desk) -> None:
    """Fill the page."""
    alarms = Alarms(desk)
    with ui.column().classes("card"):
        heading("Rules")
        rules = table(
            {"rule": "Rule", "state": "State", "value": "Value", "limit": "Fires", "minutes": "Over, minutes",
             "severity": "Severity", "since": "Since (UTC)"},
            numbers=("minutes",), key="rule",
        )  # fmt: skip
        ui.label(
            f"From {desk.settings.alerts or 'observability/insights/alerts.toml'}; HOMEPORT_INSIGHTS_ALERTS names "
            "another file."
        ).classes("quiet")
    with ui.column().classes("card"):
        heading("What happened")
        events = table({"time": "Time (UTC)", "rule": "Rule", "what": "What", "value": "Value"})
    nothing = ui.column().classes("full-width")
    with nothing:
        empty("No rule began or ceased to fire in this time.", "With HOMEPORT_INSIGHTS_WEBHOOK each alert is posted.")

    async def refresh() -> None:
        alarms.refresh()
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


class Alarms:
    """The rules that fire, above a view, the most severe first.

    What is said is written anew only when it changes, since screen readers tell each change.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._place = ui.column().classes("full-width")
        self._place.visible = False
        self._said: list[tuple[str, str]] = []

    def refresh(self) -> None:
        """Show those that fire now."""
        states = sorted(self._desk.parts.alerts.states(), key=lambda state: state.rule.severity)
        saying = [(state.rule.name, _words(state)) for state in states if state.firing]
        if saying == self._said:
            return
        self._said = saying
        self._place.visible = bool(saying)
        self._place.clear()
        with self._place:
            for name, words in saying:
                with ui.row().classes("alert items-center").props("role=alert"):
                    ui.icon("notifications_active", size="1.3rem").classes("bad")
                    ui.link(name, "/alerts").classes("text-weight-medium")
                    ui.label(words)


def _words(state: AlertState) -> str:
    rule = state.rule
    since = f", since {moment(state.since)[:-4]} UTC" if state.since else ""
    return f"{number(state.value, rule.unit)}, the limit is {number(rule.threshold, rule.unit)}{since}"
