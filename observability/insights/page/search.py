"""Transaction search: the latest items, those that hold a text, or the one transaction of an id."""

from __future__ import annotations

import re

from nicegui import ui

from observability.insights.page.desk import Desk, href, moment, table
from observability.insights.page.frame import empty, heading

KINDS = {
    "request": "requests", "dependency": "dependencies", "trace": "traces", "exception": "exceptions",
    "customEvent": "customEvents", "availabilityResult": "availabilityResults",
}  # fmt: skip
_ID = re.compile("[0-9a-fA-F]{32}")
_SUMMARIES = {
    "requests": "concat_ws(' ', name, resultCode)",
    "dependencies": "concat_ws(' ', name, target, resultCode)",
    "traces": "message",
    "exceptions": "concat_ws(': ', type, outerMessage)",
    "customEvents": "name",
    "availabilityResults": "concat_ws(' ', name, CASE WHEN success THEN 'passed' ELSE 'failed' END, message)",
}
_MOST = 200
SAMPLED = (
    "All failed and slow requests are kept, of the others a share (HOMEPORT_TELEMETRY_SAMPLE_SHARE, 5 % by default)."
)


def query(kinds: list[str]) -> str:
    """The statement that finds the latest items of some kinds which hold $text."""
    parts = (
        f"""(SELECT timestamp, '{kind}' AS kind, cloud_RoleName AS role, {_SUMMARIES[KINDS[kind]]} AS summary,
            operation_Id
        FROM {KINDS[kind]}
        WHERE timestamp >= $start AND ($text = '' OR contains(lower(summary), $text)
            OR contains(lower(CAST(customDimensions AS VARCHAR)), $text))
        ORDER BY timestamp DESC LIMIT {_MOST})"""  # noqa: S608 (our own names)
        for kind in kinds
    )
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY timestamp DESC LIMIT {_MOST}"  # noqa: S608


def is_operation(text: str) -> bool:
    """Whether a text can only be the id of one transaction."""
    return bool(_ID.fullmatch(text))


def show(desk: Desk, text: str) -> None:
    """Fill the page."""
    with ui.row().classes("items-center full-width"):
        ui.input("Request id (the x-request-id of the answer) or text", value=text).props(
            "outlined dense clearable autofocus"
        ).classes("col search")  # keys.js takes what is entered
        kinds = ui.select(list(KINDS), value=list(KINDS), multiple=True, label="Kinds").props(
            "outlined dense use-chips"
        )
    nothing = ui.column().classes("full-width")
    with nothing:
        empty(
            f"Nothing holds “{text}” in this time." if text else "Nothing was stored in this time.",
            f"{SAMPLED} One that is sent with a traceparent ending in 01 is kept for sure. Or choose a longer time.",
        )
    with ui.column().classes("card"):
        heading("Latest first")
        items = table({"time": "Time (UTC)", "kind": "Kind", "role": "Role", "summary": "What"}, link="time")

    async def refresh() -> None:
        chosen = [kind for kind in KINDS if kind in kinds.value] or list(KINDS)
        found = await desk.select(query(chosen), text=text.lower())
        items.rows = [
            {"id": place, "time": moment(row.pop("timestamp")), "href": href(row), **row}
            for place, row in enumerate(found)
        ]
        nothing.visible = not found

    kinds.on_value_change(refresh)
    desk.keep(refresh)
