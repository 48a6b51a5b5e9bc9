"""`/api/transactions/{operation_Id}`: all that belongs to one operation, in the order of time."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from observability.insights.reader import Cursor
from observability.insights.tables import TABLES

ITEM_TYPES = {
    "requests": "request",
    "dependencies": "dependency",
    "traces": "trace",
    "exceptions": "exception",
    "customEvents": "customEvent",
    "availabilityResults": "availabilityResult",
}
MAX_ITEMS = 1_000  # of each type: a page shows a transaction, not a log


def transaction(cursor: Cursor, operation_id: str) -> list[dict[str, Any]]:
    """The items, each with `itemType` and the columns of its table that hold something; empty if there are none.

    The table of operations says when it was; DuckDB then passes over the blocks of other times.
    """
    key = int(operation_id[-8:], 16)
    looked_up = cursor.execute("SELECT min(first), max(last) FROM homeport.operations WHERE key = ?", [key])
    ((first, last),) = looked_up.fetchall()
    if first is None:
        return []
    items = []
    for table, kind in ITEM_TYPES.items():
        names = TABLES[table].names
        wanted = "timestamp BETWEEN ? AND ? AND operation_Id = ?"
        query = f"SELECT * FROM {table} WHERE {wanted} ORDER BY timestamp LIMIT {MAX_ITEMS}"  # noqa: S608 (our own names)
        for row in cursor.execute(query, [first, last, operation_id.lower()]).fetchall():
            columns = {name: value for name, value in zip(names, row, strict=True) if value is not None}
            items.append({"itemType": kind, **columns, "timestamp": columns["timestamp"].replace(tzinfo=UTC)})
    return sorted(items, key=lambda item: item["timestamp"])
