"""One transaction: its spans as a waterfall, its lines and exceptions, and all that is stored of each."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from nicegui import ui

from observability.insights.page.desk import Desk, Record, moment, number
from observability.insights.page.frame import empty, heading
from observability.insights.page.search import KINDS, SAMPLED, is_operation, query
from observability.insights.transactions import transaction

_FACTS = {
    "ml.model.name": "Model", "ml.model.version": "Model version", "ml.rows": "Rows", "homeport.dialect": "Dialect",
    "homeport.key": "Key", "homeport.request": "Request id",
}  # fmt: skip


def show(desk: Desk, operation: str) -> None:
    """Fill the page."""
    body = ui.column().classes("full-width")
    shown = -1

    async def refresh() -> None:
        nonlocal shown
        found, items = await _find(desk, operation)
        if len(items) == shown:
            return
        shown = len(items)
        body.clear()
        with body:
            if items:
                _show(found, items, operation)
            else:
                empty(
                    f"There is nothing of {operation}.",
                    f"What was just sent arrives within some seconds, and appears by itself. {SAMPLED}",
                )

    desk.keep(refresh, 2.0)


async def _find(desk: Desk, text: str) -> tuple[str, list[Record]]:
    """The transaction of an operation id, or of a request id that only the items of one operation name."""
    if is_operation(text) and (items := await desk.ask(lambda cursor: transaction(cursor, text))):
        return text.lower(), items
    named = await desk.select(query(list(KINDS)), text=text.lower())
    operations = {row["operation_Id"] for row in named if row["operation_Id"]}
    if len(operations) != 1:
        return text, []
    operation = operations.pop()
    return operation, await desk.ask(lambda cursor: transaction(cursor, operation))


def _show(operation: str, items: list[Record], wanted: str) -> None:
    start = min(item["timestamp"] for item in items)
    end = max(item["timestamp"].timestamp() + item.get("duration", 0) / 1000 for item in items)
    span = max(1e-6, end - start.timestamp())
    root = _root(items, wanted)
    with ui.column().classes("card"):
        heading(_name(root))
        with ui.element("div").classes("facts"):
            for name, value in _facts(operation, root).items():
                ui.label(name)
                ui.label(value)
    with ui.column().classes("card"):
        heading("Time line")
        with ui.column().classes("waterfall"):
            with ui.element("div").classes("step scale"):
                ui.label("Spans, and lines of the logs")
                with ui.element("div").classes("ends"):
                    ui.label("0")
                    ui.label(number(1000 * span, "ms"))
                ui.label("Duration").classes("time")
            for item in items:
                _step(item, start, span)
    with ui.column().classes("card"):
        heading("All that is stored")
        for item in items:
            with ui.expansion(f"{moment(item['timestamp'])}  {item['itemType']}  {_name(item)}").classes("full-width"):
                ui.label(json.dumps(_readable(item), indent=2, default=str)).classes("verbatim")


def _root(items: list[Record], wanted: str) -> Record:
    """What the facts are of: the request that was asked for by its own id, else the first one."""
    requests = [item for item in items if item["itemType"] == "request"]
    named = (item for item in requests if f'"{wanted}"' in item["customDimensions"])
    return next(named, (requests or items)[0])


def _step(item: Record, start: datetime, span: float) -> None:
    left = 100 * (item["timestamp"] - start).total_seconds() / span
    duration = item.get("duration")
    failed = item.get("success") is False or item["itemType"] == "exception" or item.get("severityLevel", 0) >= 3
    with ui.element("div").classes("step"):
        with ui.column().classes("what gap-0"):
            ui.label(_name(item)).classes("bad" if failed else "")
            ui.label(item["itemType"]).classes("kind")
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
