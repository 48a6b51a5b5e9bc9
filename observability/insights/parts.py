"""What runs behind the application: opened together, and closed in the order that loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from observability.insights.alerts import Alerts
from observability.insights.counters import Counters
from observability.insights.keeper import Keeper
from observability.insights.prober import Prober
from observability.insights.reader import Reader
from observability.insights.rules import read_rules
from observability.insights.settings import Settings, pairs
from observability.insights.store import Store
from observability.insights.webhook import Webhook
from observability.insights.writer import Writer


@dataclass(frozen=True)
class Parts:
    """The database and all that works on it."""

    store: Store
    counters: Counters
    writer: Writer
    reader: Reader
    alerts: Alerts


@contextmanager
def running(settings: Settings) -> Iterator[Parts]:
    """Open the database and start the threads; at the end commit what waits. Raises StoreUnusable, RulesInvalid."""
    rules = read_rules(settings.alerts)
    store = Store(settings.data, settings.memory_bytes)
    counters = Counters()
    writer = Writer(store, counters)
    reader = Reader(store, settings.max_query_seconds)
    keeper = Keeper(store, writer, counters, settings.retention_days, settings.payload_days, settings.max_bytes)
    prober = Prober(writer, pairs(settings.availability), settings.availability_seconds)
    webhook = Webhook(settings.webhook.get_secret_value()) if settings.webhook.get_secret_value() else None
    alerts = Alerts(rules, reader, writer, settings.alerts_seconds, webhook.tell if webhook else None)
    started = [part for part in (keeper, prober, webhook, alerts) if part]
    for part in started:
        part.start()
    try:
        yield Parts(store, counters, writer, reader, alerts)
    finally:
        for part in reversed(started):
            part.close()
        reader.close()
        writer.close()
        store.close()
