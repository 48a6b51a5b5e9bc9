"""A thread that looks once a minute: deletes what is too old or too much, and reports insights' own counts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import duckdb

from observability.insights.counters import Counters
from observability.insights.reader import Cursor
from observability.insights.store import Store
from observability.insights.tables import TABLES
from observability.insights.writer import Writer

SECONDS = 60.0
SLICE_ROWS = 100_000  # of one deletion, so that what is written at the same time hardly waits
PAYLOAD = "ml.payload"  # the events in which services tell values of rows
_SLACK = 0.1  # deleted below the limit, so that not every look finds something
_CHECKPOINT_TRIES = 50
log = logging.getLogger("homeport.insights")


class Keeper:
    """Keeps the database within its limits of time and size from `start` until `close`."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        counters: Counters,
        retention_days: float,
        payload_days: float,
        max_bytes: int,
    ) -> None:
        self._store, self._writer, self._counters = store, writer, counters
        self._retention, self._payloads = timedelta(days=retention_days), timedelta(days=payload_days)
        self._max_bytes = max_bytes
        self._end = Event()
        self._thread = Thread(target=self._run, name="keeper")

    def start(self) -> None:
        """Look at once, and then every minute."""
        self._thread.start()

    def close(self) -> None:
        """End after the slice under way."""
        self._end.set()
        self._thread.join()

    def sweep(self) -> None:
        """Delete what is older than the limit; then, if the rest is larger than its limit, the oldest part of it."""
        now = datetime.now(UTC).replace(tzinfo=None)
        self._delete_before(now - self._retention)
        self._delete_payloads_before(now - self._payloads)
        used = self._store.bytes()
        if used > self._max_bytes:
            self._checkpoint()  # free what was deleted, or the same bytes would be counted again
            used = self._store.bytes()
        if used > self._max_bytes:
            before = self._oldest(1 - (1 - _SLACK) * self._max_bytes / used)
            deleted = self._delete_before(before)
            self._checkpoint()
            log.info("%s rows before %s were deleted: the database is full", f"{deleted:,}", before)

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self.sweep()
            except duckdb.Error as error:
                log.warning("Old rows were not deleted: %s", str(error).splitlines()[0])
            self._report()
            self._end.wait(SECONDS)
        self._report()

    def _report(self) -> None:
        report = self._counters.report()
        if report.tables:
            self._writer.submit(report)

    def _delete_before(self, time: datetime) -> int:
        total = 0
        with self._store.cursor() as cursor:
            for table in TABLES:
                for deleted in self._slices(cursor, table, "timestamp", time):
                    self._counters.add("deleted", {table: deleted})
                    total += deleted
            for _ in self._slices(cursor, "homeport.operations", "last", time):
                pass
        return total

    def _delete_payloads_before(self, time: datetime) -> None:
        with self._store.cursor() as cursor:
            for deleted in self._slices(cursor, "customEvents", "timestamp", time, f"name = '{PAYLOAD}'"):
                self._counters.add("deleted", {"customEvents": deleted})

    def _slices(self, cursor: Cursor, table: str, column: str, time: datetime, only: str = "true") -> Iterator[int]:
        """Delete rows of before a time, and say how many at each step."""
        statement = (
            f"DELETE FROM {table} WHERE rowid IN "  # noqa: S608 (our own names)
            f"(SELECT rowid FROM {table} WHERE {column} < ? AND {only} LIMIT {SLICE_ROWS})"
        )
        deleted = SLICE_ROWS
        while deleted == SLICE_ROWS and not self._end.is_set():
            deleted = cursor.execute(statement, [time]).fetchall()[0][0]
            if deleted:
                yield deleted

    def _oldest(self, share: float) -> datetime:
        """The time before which this share of all rows is."""
        rows = " UNION ALL ".join(f"SELECT timestamp FROM {table}" for table in TABLES)  # noqa: S608 (our own names)
        with self._store.cursor() as cursor:
            found = cursor.execute(f"SELECT quantile_disc(timestamp, ?) FROM ({rows})", [share]).fetchall()[0][0]  # noqa: S608
        return found if isinstance(found, datetime) else datetime.min  # there are no rows

    def _checkpoint(self) -> None:
        """Free the blocks of deleted rows. It works between two commits only, so it is tried until it does."""
        with self._store.cursor() as cursor:
            for _ in range(_CHECKPOINT_TRIES):
                try:
                    cursor.execute("CHECKPOINT")
                except duckdb.TransactionException:
                    if self._end.wait(0.02):
                        return
                else:
                    return
