"""Reads beside the writer: a few at a time, each in a transaction that cannot write, none for longer than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Timer
from typing import Any, TypeVar

import duckdb

from observability.insights.errors import Busy, QueryRefused
from observability.insights.store import Store

AT_ONCE, WAITING = 2, 16
_Result = TypeVar("_Result")
Cursor = duckdb.DuckDBPyConnection


def records(cursor: Cursor, query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a query, each by the names of its columns."""
    found = cursor.execute(query, parameters)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


class Reader:
    """Runs functions that get a cursor.

    >>> await reader.run(lambda cursor: cursor.execute("SELECT 1").fetchone())
    (1,)
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._store, self._seconds = store, seconds
        self._threads = ThreadPoolExecutor(AT_ONCE, "reader")
        self._waiting = 0
        self._cursors: set[Cursor] = set()

    async def run(self, work: Callable[[Cursor], _Result]) -> _Result:
        """What `work` returns. Raises QueryRefused with DuckDB's words, and Busy if too many wait already."""
        if self._waiting >= AT_ONCE + WAITING:
            raise Busy(f"{self._waiting} queries are under way or wait; try again.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.read, work)
        finally:
            self._waiting -= 1

    def read(self, work: Callable[[Cursor], _Result]) -> _Result:
        """What `work` returns, run in this thread. Raises QueryRefused."""
        cursor = self._store.cursor()
        timer = Timer(self._seconds, cursor.interrupt)
        self._cursors.add(cursor)
        timer.start()
        try:
            cursor.execute("BEGIN TRANSACTION READ ONLY").fetchall()
            return work(cursor)
        except duckdb.InterruptException:
            raise QueryRefused(f"The query took longer than {self._seconds:g} s and was interrupted.") from None
        except duckdb.Error as error:
            raise QueryRefused(str(error)) from None
        finally:
            timer.cancel()
            self._cursors.discard(cursor)
            cursor.close()

    def close(self) -> None:
        """Interrupt what is under way, and end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for cursor in self._cursors.copy():
            cursor.interrupt()
        self._threads.shutdown()
