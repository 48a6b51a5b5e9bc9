"""One transaction: its spans as a waterfall, its lines and exceptions, and all that is stored of each."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from nicegui import ui

from observability.insights.page.desk import Desk, Record, moment, number
from observability.insights.page.frame import empty, heading
from observability.insights.page.search import SAMPLED
from observability.insights.transactions import transaction

_FACTS = {
    "ml.model.name": "Model", "ml.model.version": "Model version", "ml.rows": "Rows", "homeport.dialect": "Dialect",
    "homeport.key": "Key",
}  # fmt: skip


def show(desk: Desk, operation: str) -> None:
    """Fill the page."""
    body = ui.column().classes("full-width")

    async def load() -> None:
        items = await desk.ask(lambda cursor: transaction(cursor, operation))
        body.clear()
        with body:
            if items:
                _show(operation, items)
            else:
                empty(
                    f"There is nothing of operation {operation}.",
                    f"{SAMPLED} What was just sent arrives within some seconds: reload the page.",
                )

    ui.timer(0, load, once=True)


def _show(operation: str, items: list[Record]) -> None:
    start = min(item["timestamp"] for item in items)
    end = max(item["timestamp"].timestamp() + item.get("duration", 0) / 1000 for item in items)
    span = max(1e-6, end - start.timestamp())
    root = next((item for item in items if item["itemType"] == "request"), items[0])
    with ui.column().classes("card"):
        heading(_name(root))
        with ui.element("div").classes("facts"):
            for name, value in _facts(operation, root).items():
                ui.label(name)
                ui.label(value)
    with ui.column().classes("card"):
        heading("Time line")
        with ui.column().classes("waterfall"):
            for item in items:
                _step(item, start, span)
    with ui.column().classes("card"):
        heading("All that is stored")
        for item in items:
            with ui.expansion(f"{moment(item['timestamp'])}  {item['itemType']}  {_name(item)}").classes("full-width"):
                ui.label(json.dumps(_readable(item), indent=2, default=str)).classes("verbatim")


def _step(item: Record, start: datetime, span: float) -> None:
    left = 100 * (item["timestamp"] - start).total_seconds() / span
    duration = item.get("duration")
    failed = item.get("success") is False or item["itemType"] == "exception" or item.get("severityLevel", 0) >= 3
    with ui.element("div").classes("step"):
        ui.label(_name(item)).classes("what" + (" bad" if failed else "")).tooltip(_name(item))
        with ui.element("div").classes("track"):
            width = 0.0 if duration is None else 100 * duration / 1000 / span
            mark = ui.element("div").style(f"left: {min(left, 99.5):.2f}%; width: {min(width, 100 - left):.2f}%")
            mark.classes("failed" if failed else "moment" if duration is None else "")
        ui.label("" if duration is None else number(duration, "ms")).classes("time")


def _name(item: Record) -> str:
    match item["itemType"]:
        case "request" | "dependency" | "availabilityResult":
            return f"{item.get('name') or '(no name)'} {item.get('resultCode', '')}".strip()
        case "exception":
            return f"{item.get('type') or 'exception'}: {item.get('outerMessage') or ''}".rstrip(": ")
        case kind:
            return str(item.get("message") or item.get("name") or kind)


def _facts(operation: str, root: Record) -> dict[str, str]:
    dimensions = json.loads(root.get("customDimensions") or "{}")
    facts = {
        "Operation id": operation,
        "Time (UTC)": moment(root["timestamp"]),
        "Duration": number(root.get("duration"), "ms"),
        "Result": str(root.get("resultCode", "–")),
        "Role": f"{root.get('cloud_RoleName', '–')} ({root.get('cloud_RoleInstance', '–')})",
    }
    return facts | {
        title: str(dimensions[name])
        for name, title in _FACTS.items()
        if dimensions.get(name) != "" and name in dimensions
    }


def _readable(item: Record) -> dict[str, Any]:
    """An item whose JSON columns are values."""
    return {
        name: json.loads(value) if name in {"customDimensions", "details"} else value for name, value in item.items()
    }
