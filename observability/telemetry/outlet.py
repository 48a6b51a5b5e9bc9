"""Sends what one process has to tell, from a thread, every few seconds.

Nothing here is global: FastAPI would measure everything once more as soon as OpenTelemetry's providers
were set. A process that forks starts its outlet after the fork.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from observability.telemetry.lines import LogTap
from observability.telemetry.metrics import counter
from observability.telemetry.settings import Settings
from observability.telemetry.switch import is_on

log = logging.getLogger("homeport.telemetry")

EXPORT_SECONDS = 2.0
LOOK_SECONDS = 0.25  # between two looks at the switch
STOP_SECONDS = 1.5  # with the second of grace a worker ends within three
WAITING = 20_000  # spans, and lines, that wait for a collector; past it the oldest are dropped
BATCH = 2_000
SCOPE = InstrumentationScope("homeport")
_Item = TypeVar("_Item")


class Source(Protocol):
    """A part of a service that has something to tell."""

    def spans(self, resource: Resource) -> list[ReadableSpan]:
        """Those that ended since the last call."""

    def metrics(self, since: int, now: int) -> list[Metric]:
        """The sums so far; the times are nanoseconds of the epoch."""

    def lost_spans(self) -> int:
        """How many could not be kept until they were asked for."""

    def restart(self) -> None:
        """Forget all sums: they begin anew."""


class Outlet:
    """The way out of one process; it takes lines of the log from the beginning.

    >>> with Outlet(settings, "serving", "0.1.0").sending(source):
    ...     serve()
    """

    def __init__(self, settings: Settings, service: str, version: str) -> None:
        self.resource = Resource(
            {
                "service.namespace": "homeport",
                "service.name": service,
                "service.version": version,
                "service.instance.id": str(uuid.uuid4()),
            }
        )
        self._settings = settings
        where = settings.endpoint.rstrip("/")
        self._status = 0  # of the last answer; the exporters tell success from failure, but not which
        session = requests.Session()
        session.hooks["response"].append(self._answered)
        how: dict[str, Any] = {"timeout": EXPORT_SECONDS, "compression": Compression.Gzip, "session": session}
        self._metrics = OTLPMetricExporter(f"{where}/v1/metrics", **how)
        self._spans: _Queue[ReadableSpan] = _Queue(OTLPSpanExporter(f"{where}/v1/traces", **how).export, self._refused)
        self._lines: _Queue[ReadableLogRecord] = _Queue(
            OTLPLogExporter(f"{where}/v1/logs", **how).export, self._refused
        )
        self._since = time.time_ns()
        self._failed = 0
        self._failing = False
        self._end = threading.Event()
        self._tap = LogTap(self.resource, self._lines.put)
        logging.getLogger("homeport").addHandler(self._tap)
        # The exporters complain of each try; what matters is told here, once.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    @contextmanager
    def sending(self, source: Source) -> Iterator[None]:
        """Send until the end of the context, and then for at most STOP_SECONDS what is left."""
        thread = threading.Thread(target=self._run, args=(source,), name="telemetry", daemon=True)
        thread.start()
        try:
            yield
        finally:
            logging.getLogger("homeport").removeHandler(self._tap)
            self._end.set()
            thread.join(STOP_SECONDS)

    def _run(self, source: Source) -> None:
        was_on, due = is_on(self._settings.switch), time.monotonic() + self._settings.interval_seconds
        while True:
            last = self._end.wait(min(LOOK_SECONDS, max(0.0, due - time.monotonic())))
            on = is_on(self._settings.switch)
            try:
                if on and not was_on:
                    self._restart(source)
                elif was_on and (last or not on or time.monotonic() >= due):
                    self._send(source)  # also what was left when it was turned off
                elif not on:
                    self._discard(source)
            except Exception:
                log.exception("telemetry could not be made ready")
            if on != was_on:
                log.info("telemetry is switched %s", "on" if on else "off")
            if last:
                return
            was_on = on
            if time.monotonic() >= due:
                due = time.monotonic() + self._settings.interval_seconds

    def _restart(self, source: Source) -> None:
        """What was while telemetry was off is never told: all sums begin anew, and now."""
        self._discard(source)
        source.restart()
        self._failed = self._spans.dropped = self._lines.dropped = 0
        self._since = time.time_ns()

    def _discard(self, source: Source) -> None:
        source.spans(self.resource)
        source.metrics(self._since, time.time_ns())
        self._spans.clear()
        self._lines.clear()

    def _send(self, source: Source) -> None:
        for span in source.spans(self.resource):
            self._spans.put(span)
        # all are tried, whatever becomes of the first
        sent = [self._send_metrics(source), self._spans.send(), self._lines.send()]
        self._failed += sent.count(False)
        if all(sent) == self._failing:
            self._failing = not self._failing
            if self._failing:
                log.warning("%s takes no telemetry: it is tried again, and goes on waiting", self._settings.endpoint)
            else:
                log.warning("%s takes telemetry again", self._settings.endpoint)

    def _answered(self, response: requests.Response, **_: Any) -> None:
        self._status = response.status_code

    def _refused(self) -> bool:
        """Whether the last answer was final: OTLP's senders try again after 429 and 5xx, not after another 4xx."""
        status, self._status = self._status, 0
        return 400 <= status < 500 and status != 429

    def _send_metrics(self, source: Source) -> bool:
        period = self._since, time.time_ns()
        dropped = [
            ({"signal": "traces"}, self._spans.dropped + source.lost_spans()),
            ({"signal": "logs"}, self._lines.dropped),
        ]
        found = [
            *source.metrics(*period),
            counter("homeport.telemetry.dropped", "1", "Spans and lines that found no place.", dropped, *period),
            counter("homeport.telemetry.failed_exports", "1", "Sendings that failed.", [({}, self._failed)], *period),
        ]
        metrics = [metric for metric in found if metric.data.data_points]  # one without any is malformed to some
        scope = ScopeMetrics(SCOPE, metrics, "")
        data = MetricsData([ResourceMetrics(self.resource, [scope], "")])
        sent: bool = self._metrics.export(data).name == "SUCCESS"
        self._status = 0  # what the next ones are told is theirs
        return sent


class _Queue(Generic[_Item]):
    """What waits to be sent: the newest, and a count of the others."""

    def __init__(self, export: Callable[[Sequence[_Item]], Any], refused: Callable[[], bool]) -> None:
        self._export, self._refused = export, refused
        self._waiting: deque[_Item] = deque()
        self.dropped = 0

    def put(self, item: _Item) -> None:
        """Never waits: any thread may call it."""
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(item)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def send(self) -> bool:
        """Send what waits; what could not be sent stays, unless it was refused for good. Says whether all went."""
        for size in _sizes(len(self._waiting)):  # what comes meanwhile is the next sending's
            batch = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
            if self._export(batch).name != "SUCCESS":
                if self._refused():
                    self.dropped += len(batch)
                    continue
                self._waiting.extendleft(reversed(batch))
                return False
        return True


def _sizes(count: int) -> list[int]:
    return [min(BATCH, count - start) for start in range(0, count, BATCH)]
