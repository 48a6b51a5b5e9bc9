"""What runs behind the application: opened together, and closed in the order that loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from observability.insights.counters import Counters
from observability.insights.keeper import Keeper
from observability.insights.reader import Reader
from observability.insights.settings import Settings
from observability.insights.store import Store
from observability.insights.writer import Writer


@dataclass(frozen=True)
class Parts:
    """The database and all that works on it."""

    store: Store
    counters: Counters
    writer: Writer
    reader: Reader


@contextmanager
def running(settings: Settings) -> Iterator[Parts]:
    """Open the database and start the threads; at the end commit what waits. Raises StoreUnusable."""
    store = Store(settings.data, settings.memory_bytes)
    counters = Counters()
    writer = Writer(store, counters)
    reader = Reader(store, settings.max_query_seconds)
    keeper = Keeper(store, writer, counters, settings.retention_days, settings.max_bytes)
    keeper.start()
    try:
        yield Parts(store, counters, writer, reader)
    finally:
        keeper.close()
        reader.close()
        writer.close()
        store.close()
