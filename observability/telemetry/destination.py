"""One place that telemetry goes to, in a thread of its own: none can hold up another, nor the service."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import Gauge, Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

log = logging.getLogger("homeport.telemetry")

EXPORT_SECONDS = 2.0  # that one sending may take
WAITING = 20_000  # spans, and lines, that wait to be sent; past it the oldest are dropped
STATES = 2_000  # metrics that say how something was at a moment, and are not said again
BATCH = 2_000
_SCOPE = InstrumentationScope("homeport")
_Item = TypeVar("_Item")


class Exports(NamedTuple):
    """How a place is sent each signal. The functions return a result whose name is SUCCESS if all was taken."""

    name: str  # short, for metrics
    place: str  # for people; never with a key in it
    metric_seconds: float  # at least, between two sendings of metrics
    spans: Callable[[Sequence[ReadableSpan]], Any]
    lines: Callable[[Sequence[ReadableLogRecord]], Any]
    metrics: Callable[[MetricsData], Any]
    refused: Callable[[], bool]  # whether what was just not taken never will be


class Destination:
    """Keeps what is for one place until it is sent there."""

    def __init__(self, exports: Exports, resource: Resource) -> None:
        self.name = exports.name
        self.spans: Queue[ReadableSpan] = Queue(exports.spans, exports.refused)
        self.lines: Queue[ReadableLogRecord] = Queue(exports.lines, exports.refused)
        self.failed = 0  # sendings
        self._exports, self._resource = exports, resource
        self._sums: list[Metric] = []
        self._states: deque[Metric] = deque(maxlen=STATES)
        self._next_metrics = 0.0
        self._failing = False
        self._wake, self._ending = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name=f"telemetry-{self.name}", daemon=True)

    def start(self) -> None:
        """Send from now on, whenever something is offered."""
        self._thread.start()

    def offer(self, metrics: Iterable[Metric]) -> None:
        """Take metrics, of which newer sums stand for older ones, and send all that waits."""
        found = [metric for metric in metrics if metric.data.data_points]  # one without any is malformed to some
        self._states.extend(metric for metric in found if isinstance(metric.data, Gauge))
        self._sums = [metric for metric in found if not isinstance(metric.data, Gauge)]
        self._wake.set()

    def forget(self) -> None:
        """Drop what waits, and the counts."""
        for queue in (self.spans, self.lines):
            queue.clear()
        self._sums = []
        self._states.clear()
        self.failed = 0

    def close(self, seconds: float) -> None:
        """Send what is left, for at most so long."""
        self._ending = True
        self._wake.set()
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
        # all are tried, whatever becomes of the first
        sent = [self._send_metrics(last), self.spans.send(), self.lines.send()]
        self.failed += sent.count(False)
        if all(sent) == self._failing:
            self._failing = not self._failing
            if self._failing:
                log.warning("%s takes no telemetry: it is tried again, and goes on waiting", self._exports.place)
            else:
                log.warning("%s takes telemetry again", self._exports.place)

    def _send_metrics(self, last: bool) -> bool:
        if time.monotonic() < self._next_metrics and not last:
            return not self._failing
        states = list(self._states)
        metrics = [*self._sums, *states]
        if not metrics:
            return True
        data = MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(_SCOPE, metrics, "")], "")])
        if self._exports.metrics(data).name != "SUCCESS":
            self._exports.refused()  # sums that were refused are sent again with the next ones; states are kept
            return False
        for _ in range(min(len(states), len(self._states))):
            self._states.popleft()
        self._next_metrics = time.monotonic() + self._exports.metric_seconds
        return True


class Queue(Generic[_Item]):
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
        """Forget what waits, and what was dropped."""
        self._waiting.clear()
        self.dropped = 0

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
