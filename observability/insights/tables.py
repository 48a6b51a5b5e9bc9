"""The tables and their columns, named as in Application Insights; and rows on their way into them.

`timestamp` is UTC without a zone, `duration` is milliseconds, ids are hexadecimal as in W3C's trace context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pyarrow as pa

Row = tuple[Any, ...]

_TIME, _TEXT, _NUMBER, _FLAG = pa.timestamp("us"), pa.string(), pa.float64(), pa.bool_()
JSON_COLUMNS = ("customDimensions", "details")
_ALL = [
    ("customDimensions", _TEXT),
    ("operation_Name", _TEXT),
    ("operation_Id", _TEXT),
    ("operation_ParentId", _TEXT),
    ("cloud_RoleName", _TEXT),
    ("cloud_RoleInstance", _TEXT),
    ("itemCount", pa.int32()),
]
_CALL = [("success", _FLAG), ("resultCode", _TEXT), ("duration", _NUMBER)]

TABLES: Mapping[str, pa.Schema] = {
    name: pa.schema([("timestamp", _TIME), *columns, *_ALL])
    for name, columns in {
        "requests": [("id", _TEXT), ("name", _TEXT), ("url", _TEXT), *_CALL],
        "dependencies": [
            ("id", _TEXT), ("name", _TEXT), ("type", _TEXT), ("target", _TEXT), ("data", _TEXT), *_CALL
        ],
        "traces": [("message", _TEXT), ("severityLevel", pa.int32())],
        "exceptions": [
            ("type", _TEXT), ("outerMessage", _TEXT), ("problemId", _TEXT), ("details", _TEXT),
            ("severityLevel", pa.int32()),
        ],
        "customEvents": [("name", _TEXT)],
        "customMetrics": [
            ("name", _TEXT), ("value", _NUMBER), ("valueSum", _NUMBER), ("valueCount", pa.int64()),
            ("valueMin", _NUMBER), ("valueMax", _NUMBER),
        ],
        "availabilityResults": [
            ("id", _TEXT), ("name", _TEXT), ("location", _TEXT), ("success", _FLAG), ("message", _TEXT),
            ("duration", _NUMBER),
        ],
    }.items()
}  # fmt: skip

_SQL_TYPES = {
    _TIME: "TIMESTAMP", _TEXT: "VARCHAR", _NUMBER: "DOUBLE", _FLAG: "BOOLEAN", pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
}  # fmt: skip
_encode = msgspec.json.Encoder().encode


def definition(table: str) -> str:
    """The statement that makes a table."""
    columns = (
        f'"{field.name}" {"JSON" if field.name in JSON_COLUMNS else _SQL_TYPES[field.type]}' for field in TABLES[table]
    )
    return f"CREATE TABLE {table} ({', '.join(columns)})"


def as_arrow(table: str, rows: Iterable[Row]) -> pa.Table:
    """Rows, whose values are in the order of the table's columns. `timestamp` is microseconds since 1970."""
    schema = TABLES[table]
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def as_json(value: Any) -> str:
    """The text of a JSON column; NaN is null."""
    return _encode(value).decode()
