"""Takes what one process has to tell, every few seconds, and hands it to each destination.

Nothing here is global: FastAPI would measure everything once more as soon as OpenTelemetry's providers
were set. A process that forks starts its outlet after the fork.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import Metric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from observability.telemetry.azure import azure_exports
from observability.telemetry.destination import Destination
from observability.telemetry.lines import LogTap
from observability.telemetry.metrics import counter
from observability.telemetry.otlp import otlp_exports
from observability.telemetry.settings import Settings
from observability.telemetry.switch import is_on

log = logging.getLogger("homeport.telemetry")

LOOK_SECONDS = 0.25  # between two looks at the switch
STOP_SECONDS = 1.5  # with the second of grace a worker ends within three
DROPS_SECONDS = 60.0  # between two lines that tell of drops


class Source(Protocol):
    """A part of a service that has something to tell."""

    def spans(self, resource: Resource) -> list[ReadableSpan]:
        """Those that ended since the last call."""

    def lines(self, resource: Resource) -> list[ReadableLogRecord]:
        """Events since the last call, beside what the log has."""

    def metrics(self, since: int, now: int) -> list[Metric]:
        """The sums so far; the times are nanoseconds of the epoch."""

    def lost(self) -> dict[str, int]:
        """How many `traces` (spans) and `logs` (events) could not be kept until they were asked for."""

    def restart(self) -> None:
        """Forget all sums: they begin anew."""


def check(settings: Settings) -> None:
    """See whether there can be an outlet; what that loads is shared by processes that fork later.

    Raises AzureUnusable.
    """
    if azure := settings.azure.get_secret_value():
        azure_exports(azure)


class Outlet:
    """The way out of one process; it takes lines of the log from the beginning.

    >>> with Outlet(settings, "serving", "0.1.0").sending(source):
    ...     serve()
    """

    def __init__(self, settings: Settings, service: str, version: str) -> None:
        """Raises AzureUnusable, as `check` does."""
        self.resource = Resource(
            {
                "service.namespace": "homeport",
                "service.name": service,
                "service.version": version,
                "service.instance.id": str(uuid.uuid4()),
            }
        )
        self._settings = settings
        azure = settings.azure.get_secret_value()
        exports = [otlp_exports(settings.endpoint)] if settings.endpoint else []
        exports += [azure_exports(azure)] if azure else []
        self._destinations = [Destination(one, self.resource) for one in exports]
        self._since = time.time_ns()
        self._told_drops, self._next_drops = 0, 0.0
        self._end = threading.Event()
        self._tap = LogTap(self.resource, self._put_line)
        logging.getLogger("homeport").addHandler(self._tap)
        # The exporters complain of each try; what matters is told here, once.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    @contextmanager
    def sending(self, source: Source) -> Iterator[None]:
        """Send until the end of the context, and then for at most STOP_SECONDS what is left."""
        for destination in self._destinations:
            destination.start()
        thread = threading.Thread(target=self._run, args=(source,), name="telemetry", daemon=True)
        thread.start()
        try:
            yield
        finally:
            logging.getLogger("homeport").removeHandler(self._tap)
            end = time.monotonic() + STOP_SECONDS
            self._end.set()
            thread.join(STOP_SECONDS)
            for destination in self._destinations:
                destination.end()  # all, before any is waited for
            for destination in self._destinations:
                destination.join(max(0.0, end - time.monotonic()))

    def _put_line(self, line: ReadableLogRecord) -> None:
        for destination in self._destinations:
            destination.lines.put(line)

    def _run(self, source: Source) -> None:
        was_on, due = is_on(self._settings.switch), time.monotonic() + self._settings.interval_seconds
        while True:
            last = self._end.wait(min(LOOK_SECONDS, max(0.0, due - time.monotonic())))
            on = is_on(self._settings.switch)
            try:
                if on and not was_on:
                    self._restart(source)
                elif was_on and (last or not on or time.monotonic() >= due):
                    self._collect(source, last or not on)  # also what was left when it was turned off
                elif not on:
                    self._discard(source)
            except Exception:
                log.exception("telemetry could not be collected")
            if on != was_on:
                log.info("telemetry is switched %s", "on" if on else "off")
            if last:
                return
            was_on = on
            if time.monotonic() >= due:
                due = time.monotonic() + self._settings.interval_seconds

    def _collect(self, source: Source, at_once: bool) -> None:
        for span in source.spans(self.resource):
            for destination in self._destinations:
                destination.spans.put(span)
        for line in source.lines(self.resource):
            self._put_line(line)
        lost = source.lost()
        period = self._since, time.time_ns()
        dropped = [
            ({"signal": signal, "destination": destination.name}, queue.dropped + lost.get(signal, 0))
            for destination in self._destinations
            for signal, queue in (
                ("traces", destination.spans),
                ("logs", destination.lines),
                ("metrics", destination.states),
            )
        ]
        failed = [({"destination": destination.name}, destination.failed) for destination in self._destinations]
        metrics = [
            *source.metrics(*period),
            counter("homeport.telemetry.dropped", "1", "What found no place, or was refused.", dropped, *period),
            counter("homeport.telemetry.failed_exports", "1", "Sendings that failed.", failed, *period),
        ]
        for destination in self._destinations:
            destination.offer(metrics, at_once)
        self._tell_drops(sum(count for _, count in dropped))

    def _tell_drops(self, count: int) -> None:
        now = time.monotonic()
        if count > self._told_drops and now >= self._next_drops:
            new = f"{count - self._told_drops:,}"
            log.warning("%s items of telemetry were dropped: there was no place, or they were refused", new)
            self._told_drops, self._next_drops = count, now + DROPS_SECONDS

    def _restart(self, source: Source) -> None:
        """What was while telemetry was off is never told: all sums begin anew, and now."""
        self._discard(source)
        source.restart()
        self._told_drops = 0
        self._since = time.time_ns()

    def _discard(self, source: Source) -> None:
        source.spans(self.resource)
        source.lines(self.resource)
        source.metrics(self._since, time.time_ns())
        for destination in self._destinations:
            destination.forget()
