"""From sums that only grow to what was added, so that sums over time are right.

A series is one instrument of one process with one set of attributes since one start: a sender that starts anew
begins a new series at nothing. The last point of each series is stored with the rows that came of it, in one
transaction, so a restart of insights neither loses nor doubles anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from observability.insights.tables import Row

MAX_SERIES = 50_000
SERIES_SECONDS = 86_400  # a process that is silent for longer is taken for gone
SCHEMA = pa.schema(
    [
        ("series", pa.string()), ("time", pa.int64()), ("seen", pa.int64()), ("times", pa.int64()),
        ("total", pa.float64()), ("low", pa.float64()), ("high", pa.float64()),
    ]
)  # fmt: skip


class Value(NamedTuple):
    """What was measured how often. Least and most may be unknown; `times` of a cumulative counter is 0."""

    times: int
    total: float
    low: float | None
    high: float | None


@dataclass(slots=True)
class Point:
    """One data point; `series` is empty unless its value is cumulative."""

    time: int  # microseconds since 1970
    name: str
    value: Value
    dimensions: str  # JSON
    role: str | None
    instance: str | None
    series: str = ""

    def row(self, value: Value) -> Row:
        """A row of customMetrics with this value."""
        count, total, low, high = value
        common = (self.dimensions, None, None, None, self.role, self.instance, 1)
        return (self.time, self.name, total, total, count, low, high, *common)


class Last(NamedTuple):
    """The last point of a series."""

    time: int
    seen: int  # seconds since 1970, when it came
    value: Value


class Deltas:
    """The last point of each series, up to `max_series` of them. Used by the writer alone."""

    def __init__(self, stored: Iterable[tuple[Any, ...]], max_series: int = MAX_SERIES) -> None:
        self._max_series = max_series
        self._last = {series: Last(time, seen, Value(*value)) for series, time, seen, *value in stored}

    def __len__(self) -> int:
        return len(self._last)

    def advance(self, points: Iterable[Point], staged: dict[str, Last], now: int) -> tuple[list[Row], int]:
        """The rows that points come to, and how many points were refused because there are too many series.

        The new last points go to `staged`, which `keep` takes over once they are stored.
        """
        rows, refused = [], 0
        for point in points:
            last = staged.get(point.series) or self._last.get(point.series)
            if last is None and len(self._last) + len(staged) >= self._max_series:
                refused += 1
                continue
            if last is not None and point.time <= last.time:
                continue  # sent again, or overtaken by a later point, which holds all that this one does
            staged[point.series] = Last(point.time, now, point.value)
            added = _added(last.value if last else None, point.value)
            if added is not None:
                rows.append(point.row(added))
        return rows, refused

    def keep(self, staged: dict[str, Last]) -> None:
        """Take over what was stored."""
        self._last |= staged

    def forget(self, now: int) -> list[str]:
        """Drop the series that were not seen for long, and say which."""
        gone = [series for series, last in self._last.items() if last.seen < now - SERIES_SECONDS]
        for series in gone:
            del self._last[series]
        return gone


def as_table(staged: dict[str, Last]) -> pa.Table:
    """Last points as they are stored."""
    rows = [(series, last.time, last.seen, *last.value) for series, last in staged.items()]
    return pa.table(dict(zip(SCHEMA.names, zip(*rows, strict=True), strict=True)), schema=SCHEMA)


def _added(last: Value | None, value: Value) -> Value | None:
    """What came since the last point, or None if nothing did. A value that fell has begun anew."""
    if value.times == 0:  # a counter, or a histogram of nothing
        added = value.total - last.total if last and last.total <= value.total else value.total
        return Value(1, added, added, added) if added else None
    if last is None or value.times < last.times:
        return value
    if value.times == last.times:
        return None
    # Least and most are of the time since the start: they are known for this step only if it moved them
    low = value.low if value.low is not None and (last.low is None or value.low < last.low) else None
    high = value.high if value.high is not None and (last.high is None or value.high > last.high) else None
    return Value(value.times - last.times, value.total - last.total, low, high)
