"""One place that telemetry goes to, in a thread of its own: none can hold up another, nor the service."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import Gauge, Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

log = logging.getLogger("homeport.telemetry")

EXPORT_SECONDS = 2.0  # that a sending to a place nearby may take
WAITING = 20_000  # spans, and lines, that wait to be sent; past it the oldest are dropped
STATES = 2_000  # metrics that say how something was at a moment, and are not said again; as bounded
BATCH = 2_000
_SCOPE = InstrumentationScope("homeport")
_Item = TypeVar("_Item")


class Sent(NamedTuple, Generic[_Item]):
    """What became of a batch; as it is, all was taken."""

    again: Sequence[_Item] = ()  # not taken now, and may be later
    refused: Sequence[_Item] = ()  # will never be taken
    why: str = ""  # for people, if not all was taken


class Exports(NamedTuple):
    """How a place is sent each signal."""

    name: str  # short, for metrics
    place: str  # for people; never with a key in it
    metric_seconds: float  # at least, between two sendings of metrics
    spans: Callable[[Sequence[ReadableSpan]], Sent[ReadableSpan]]
    lines: Callable[[Sequence[ReadableLogRecord]], Sent[ReadableLogRecord]]
    metrics: Callable[[MetricsData], Sent[Metric]]
    batch: int = BATCH  # spans, or lines, of one sending


class Destination:
    """Keeps what is for one place until it is sent there."""

    def __init__(self, exports: Exports, resource: Resource) -> None:
        self.name = exports.name
        self.spans: Queue[ReadableSpan] = Queue(exports.spans, batch=exports.batch)
        self.lines: Queue[ReadableLogRecord] = Queue(exports.lines, batch=exports.batch)
        self.states: Queue[Metric] = Queue(self._send_metrics, STATES)
        self.failed = 0  # sendings
        self._exports, self._resource = exports, resource
        self._sums: list[Metric] = []
        self._next_metrics = 0.0
        self._failing = False
        self._wake, self._at_once, self._ending = threading.Event(), False, False
        self._thread = threading.Thread(target=self._run, name=f"telemetry-{self.name}", daemon=True)

    def start(self) -> None:
        """Send from now on, whenever something is offered."""
        self._thread.start()

    def offer(self, metrics: Iterable[Metric], at_once: bool = False) -> None:
        """Take metrics, of which newer sums stand for older ones, and send all that waits.

        Metrics wait until it is their time, if not `at_once`.
        """
        found = [metric for metric in metrics if metric.data.data_points]  # one without any is malformed to some
        for metric in found:
            if isinstance(metric.data, Gauge):
                self.states.put(metric)
        self._sums = [metric for metric in found if not isinstance(metric.data, Gauge)]
        self._at_once = self._at_once or at_once
        self._wake.set()

    def forget(self) -> None:
        """Drop what waits, and the counts, but nothing that is to be sent at once and still was not."""
        if self._at_once:
            return
        for queue in (self.spans, self.lines, self.states):
            queue.clear()
        self._sums = []
        self.failed = 0

    def end(self) -> None:
        """Send what is left, and then no more; `join` waits for it."""
        self._ending = True
        self._wake.set()

    def join(self, seconds: float) -> None:
        """Wait at most so long for the end."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            last = self._ending
            try:
                self._send(last)
            except Exception:
                log.exception("telemetry could not be made ready")
            if last:
                return

    def _send(self, last: bool) -> None:
        at_once = self._at_once
        # all are tried, whatever becomes of the first
        found = [self.spans.send(), self.lines.send()]
        if last or at_once or time.monotonic() >= self._next_metrics:
            found += [self._send_sums(), self.states.send()]
        if at_once:  # if it was asked for meanwhile, that is the next sending's
            self._at_once = False
        tried = [whys for whys in found if whys is not None]
        failures = [why for whys in tried for why in whys]
        self.failed += len(failures)
        if tried and bool(failures) != self._failing:
            self._failing = not self._failing
            if self._failing:
                log.warning(
                    "%s takes no telemetry (%s): what it may take later waits, and is tried again",
                    self._exports.place, failures[0],
                )  # fmt: skip
            else:
                log.warning("%s takes telemetry again", self._exports.place)

    def _send_sums(self) -> list[str] | None:
        """Sums that were not taken, for now or for good, are part of the next ones."""
        sums = self._sums
        if not sums:
            return None
        sent = _tried(self._send_metrics, sums)
        if not sent.again:
            self._next_metrics = time.monotonic() + self._exports.metric_seconds
        return [sent.why] if sent.why else []

    def _send_metrics(self, metrics: Sequence[Metric]) -> Sent[Metric]:
        return self._exports.metrics(
            MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(_SCOPE, metrics, "")], "")])
        )


class Queue(Generic[_Item]):
    """What waits to be sent: the newest, and a count of the others."""

    def __init__(
        self, export: Callable[[Sequence[_Item]], Sent[_Item]], places: int = WAITING, batch: int = BATCH
    ) -> None:
        self._export, self._places, self._batch = export, places, batch
        self._waiting: deque[_Item] = deque()
        self.dropped = 0  # for want of a place, or as they were refused for good

    def put(self, item: _Item) -> None:
        """Never waits: any thread may call it."""
        if len(self._waiting) >= self._places:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(item)

    def clear(self) -> None:
        """Forget what waits, and what was dropped."""
        self._waiting.clear()
        self.dropped = 0

    def send(self) -> list[str] | None:
        """Send what waits; what was not taken stays, unless it never will be. Returns why sendings failed, None if
        there was nothing to send.
        """
        count = len(self._waiting)  # what comes meanwhile is the next sending's
        whys = []
        for start in range(0, count, self._batch):
            batch = self._take(min(self._batch, count - start))
            if not batch:
                break
            sent = _tried(self._export, batch)
            self.dropped += len(sent.refused)
            if sent.why:
                whys.append(sent.why)
            if sent.again:
                fitting = sent.again[-max(1, self._places - len(self._waiting)) :]  # others came meanwhile
                self.dropped += len(sent.again) - len(fitting)
                self._waiting.extendleft(reversed(fitting))
                break
        return whys if count else None

    def _take(self, count: int) -> list[_Item]:
        taken: list[_Item] = []
        with suppress(IndexError):  # they were forgotten by another thread
            while len(taken) < count:
                taken.append(self._waiting.popleft())
        return taken


def _tried(export: Callable[[Sequence[_Item]], Sent[_Item]], batch: Sequence[_Item]) -> Sent[_Item]:
    """What cannot be written today cannot be tomorrow: it may not stand in the way of the rest."""
    try:
        return export(batch)
    except Exception:
        log.exception("telemetry could not be made ready")
        return Sent(refused=batch, why="it cannot be written")
