"""What one export becomes: rows by table, points that still need their predecessors, and what was not taken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import time_ns

import pyarrow as pa

from observability.insights.deltas import Point
from observability.insights.errors import BodyTooLarge
from observability.insights.tables import Row, as_arrow

MAX_ITEMS = 100_000  # of one export
FUTURE_NS = 86_400 * 1_000_000_000  # a clock that is wrong by more would keep its rows from ever growing old


@dataclass
class Batch:
    """Rows while they are collected, then Arrow tables: see `seal`."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    received: Counter[str] = field(default_factory=Counter)  # items by kind: spans, logs, points
    rejected: Counter[str] = field(default_factory=Counter)  # items by reason
    tables: dict[str, pa.Table] = field(default_factory=dict)
    size: int = 0  # bytes, once sealed
    _limit: int = field(default_factory=lambda: time_ns() + FUTURE_NS)

    def add(self, table: str, row: Row) -> None:
        """Add a row, whose values are in the order of the table's columns."""
        self.rows.setdefault(table, []).append(row)

    def receive(self, kind: str, count: int) -> None:
        """Count items before they become rows. Raises BodyTooLarge: small items are many in a few bytes."""
        self.received[kind] += count
        if self.received.total() > MAX_ITEMS:
            raise BodyTooLarge(f"The export holds more than {MAX_ITEMS:,} items: send smaller batches.")

    def timely(self, nanoseconds: int) -> bool:
        """Whether a time may be stored; counts what may not."""
        if nanoseconds <= self._limit:
            return True
        self.rejected["time more than a day in the future"] += 1
        return False

    def seal(self) -> Batch:
        """Turn the rows to Arrow, which is compact and quickly inserted."""
        self.tables = {table: as_arrow(table, rows) for table, rows in self.rows.items()}
        self.rows = {}
        self.size = sum(table.nbytes for table in self.tables.values()) + 500 * len(self.points)
        return self
