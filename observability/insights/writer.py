"""One thread that writes. It commits at once all that came while it committed before, so many small exports
cost one wait for the disk; each is acknowledged once its rows are on it.
"""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import time

import duckdb
import pyarrow as pa

from observability.insights.batch import Batch
from observability.insights.counters import Counters
from observability.insights.deltas import Deltas, Last, as_table
from observability.insights.errors import Full
from observability.insights.store import Store, insert
from observability.insights.tables import as_arrow

GROUP_BYTES = 32_000_000  # of one commit
SWEEP_SECONDS = 3_600
_METRICS = "customMetrics"
log = logging.getLogger("homeport.insights")
Waiting = tuple[Batch, "Future[Counter[str]]"]


class Writer:
    """Takes sealed batches from any thread.

    >>> writer.submit(batch).result()  # once it is stored: the items that were rejected, by reason
    Counter()

    How much may wait is for the caller to bound.
    """

    def __init__(self, store: Store, counters: Counters) -> None:
        self._cursor = store.cursor()
        self._deltas = Deltas(store.series())
        self._counters = counters
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._next_sweep = time() + SWEEP_SECONDS
        self._lock = Lock()
        self._closed = False
        self.problem: str | None = None  # why the last rows could not be stored
        self.broken = False  # the database refuses everything from now on: only a new start helps
        self._thread = Thread(target=self._run, name="writer")
        self._thread.start()

    def submit(self, batch: Batch) -> Future[Counter[str]]:
        """The future of a batch; it raises Full if the batch cannot be stored at the moment."""
        future: Future[Counter[str]] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(Full("Insights is being stopped."))
            else:
                self._queue.put((batch, future))
        return future

    def close(self) -> None:
        """Commit what waits, and end."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    @property
    def series(self) -> int:
        """How many cumulative series are known."""
        return len(self._deltas)

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            self._commit(group)
        self._cursor.close()

    def _next_group(self) -> list[Waiting] | None:
        first = self._queue.get()
        if first is None:
            return None
        group, size = [first], first[0].size
        while size < GROUP_BYTES:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if item is None:
                self._queue.put(None)  # the end, after this group
                break
            group.append(item)
            size += item[0].size
        return group

    def _commit(self, group: list[Waiting]) -> None:
        try:
            self._store([batch for batch, _ in group])
        except Exception as error:  # whatever it is: without this thread nothing would ever be stored again
            if len(group) > 1:  # one of them may be to blame: the others need not suffer
                for waiting in group:
                    self._commit([waiting])
                return
            problem = next(iter(str(error).splitlines()), repr(error))
            if self.problem is None:  # the first of many, perhaps
                log.error("Rows cannot be stored, senders are told to come back: %s", problem)
            self.problem = problem
            self.broken = isinstance(error, duckdb.FatalException)
            group[0][1].set_exception(Full("The rows could not be stored; the log of insights says why."))
            return
        if self.problem is not None:
            self.problem = None
            log.info("Rows can be stored again")
        for batch, future in group:
            future.set_result(batch.rejected)

    def _store(self, group: list[Batch]) -> None:
        staged: dict[str, Last] = {}
        now = int(time())
        tables: dict[str, list[pa.Table]] = {}
        received: Counter[str] = Counter()
        for batch in group:
            received.update(batch.received)
            for name, rows in batch.tables.items():
                tables.setdefault(name, []).append(rows)
            added, refused = self._deltas.advance(batch.points, staged, now)
            if added:
                tables.setdefault(_METRICS, []).append(as_arrow(_METRICS, added))
            if refused:
                batch.rejected["too many series"] = refused
        gone = self._deltas.forget(now) if now >= self._next_sweep else []
        joined = {name: pa.concat_tables(parts).combine_chunks() for name, parts in tables.items()}
        stored = insert(self._cursor, joined, as_table(staged) if staged else None, gone)
        self._deltas.keep(staged)
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
        self._counters.add("received", received)
        self._counters.add("stored", stored)
        for batch in group:
            self._counters.add("rejected", batch.rejected)
