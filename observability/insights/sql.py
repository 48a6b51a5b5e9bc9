"""Queries of people: one statement that reads, and nothing else.

Four walls, each enough for most of what could go wrong. DuckDB's parser must find one SELECT (which WITH, FROM,
DESCRIBE, SHOW and SUMMARIZE are, too). Its syntax tree may call no table function but those named here, since some
write, and some take addresses in memory. The transaction is read-only. And the database's configuration, which
forbids files and extensions, is locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from observability.insights.errors import QueryRefused
from observability.insights.reader import Cursor

TABLE_FUNCTIONS = {
    "unnest", "range", "generate_series", "json_each", "json_tree", "duckdb_tables", "duckdb_columns",
    "duckdb_functions",
}  # fmt: skip
MAX_BYTES = 16_000_000  # of an answer
_BATCH = 500
_MAX_QUERY = 20_000
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


@dataclass(frozen=True)
class Answer:
    """Columns with DuckDB's types, and rows of values in their order."""

    columns: list[dict[str, str]]
    rows: list[list[Any]]
    truncated: bool
    elapsed_ms: float

    def encode(self) -> bytes:
        """As JSON: times in UTC, NaN as null."""
        return _encoder.encode(
            {
                "columns": self.columns,
                "rows": self.rows,
                "truncated": self.truncated,
                "elapsedMs": round(self.elapsed_ms, 1),
            }
        )


def parse(cursor: Cursor, query: str) -> duckdb.Statement:
    """The statement. Raises QueryRefused unless it is one that may be run."""
    if len(query) > _MAX_QUERY:
        raise QueryRefused(f"The query is longer than {_MAX_QUERY:,} characters.")
    try:
        statements = duckdb.extract_statements(query)
        kinds = [statement.type for statement in statements]
    except duckdb.Error as error:
        raise QueryRefused(str(error)) from None
    except ValueError:  # kinds of statements that the Python package does not know
        kinds = []
    if kinds != [duckdb.StatementType.SELECT]:
        raise QueryRefused("A query is one statement that starts with SELECT, WITH, FROM, DESCRIBE, SHOW or SUMMARIZE.")
    tree = cursor.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    try:
        for name in _table_functions(msgspec.json.decode(tree[0][0])):
            if name not in TABLE_FUNCTIONS:
                allowed = ", ".join(sorted(TABLE_FUNCTIONS))
                raise QueryRefused(f"The table function {name} may not be used here; these may: {allowed}.")
    except (RecursionError, msgspec.DecodeError):
        raise QueryRefused("The query is nested too deeply.") from None
    return statements[0]


def run(cursor: Cursor, query: str, max_rows: int) -> Answer:
    """Check and run a query, and stop at `max_rows` rows. Raises QueryRefused and duckdb.Error."""
    started = perf_counter()
    relation = cursor.sql(parse(cursor, query.rstrip("; \t\r\n")))
    columns = [{"name": name, "type": str(kind)} for name, kind in zip(relation.columns, relation.types, strict=True)]
    try:
        rows, truncated = _take(relation.limit(max_rows + 1).to_arrow_reader(_BATCH), max_rows)
    except OSError as error:  # so Arrow says what DuckDB has to say in the middle of an answer
        raise (duckdb.InterruptException if str(error).startswith("INTERRUPT") else QueryRefused)(str(error)) from None
    return Answer(columns, rows, truncated, 1000 * (perf_counter() - started))


def _take(batches: pa.RecordBatchReader, max_rows: int) -> tuple[list[list[Any]], bool]:
    """The first rows of a stream, and whether there are more. What is not taken is never made."""
    rows: list[list[Any]] = []
    size = 0
    for batch in batches:
        size += batch.nbytes
        if size > MAX_BYTES:
            return rows, True
        rows.extend(_rows(batch))
        if len(rows) > max_rows:
            return rows[:max_rows], True
    return rows, False


def _table_functions(tree: Any) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            if node.get("type") == "TABLE_FUNCTION":
                yield str(node["function"].get("function_name")).lower()
            waiting.extend(node.values())


def _rows(batch: pa.RecordBatch) -> Iterator[list[Any]]:
    values = [_in_utc(column).to_pylist() for column in batch.columns]
    return (list(row) for row in zip(*values, strict=True))


def _in_utc(column: pa.Array) -> pa.Array:
    kind = column.type
    return column.cast(pa.timestamp(kind.unit, "UTC")) if pa.types.is_timestamp(kind) and kind.tz is None else column
