"""A job as a trace: its steps, their parts, and its events, for a `Source` of what is no service."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from random import getrandbits
from types import TracebackType
from typing import Self

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import Metric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from observability.telemetry.lines import event

KEPT = 20_000  # spans between two sendings; past it the newest are lost, and counted
_SCOPE = InstrumentationScope("homeport.job")
_Attributes = Mapping[str, AttributeValue]
_Span = tuple[str, SpanContext, SpanContext | None, int, int, dict[str, AttributeValue]]  # start, end: ns of the epoch
_Event = tuple[str, int, dict[str, AttributeValue]]


class Job:
    """Use as a context manager around the work.

    >>> with Outlet(settings, "trainer", "0.1.0").sending(job), job:
    ...     job.step("Search")
    ...     job.part("trial lgbm", seconds=0.4, attributes={"score": 0.95})
    """

    def __init__(self, name: str, attributes: _Attributes) -> None:
        """The attributes are those of its own span and of all its steps."""
        self._name, self._attributes = name, attributes
        self._whole = self.here = self._context(getrandbits(128))
        self._began = self._step_began = time.time_ns()
        self._step: str | None = None
        self._spans: deque[_Span] = deque()
        self._events: deque[_Event] = deque(maxlen=KEPT)
        self._lost = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_step(kind)
        self._keep(self._name, self._whole, None, self._began, kind)

    def step(self, name: str) -> None:
        """The next step begins, and the one before has ended; `here` is its place for lines of the log."""
        self._end_step(None)
        self._step, self._step_began = name, time.time_ns()
        self.here = self._context(self._whole.trace_id)

    def part(self, name: str, seconds: float, attributes: _Attributes) -> None:
        """Something within the step has ended that took so long."""
        start = time.time_ns() - int(seconds * 1e9)
        self._keep(name, self._context(self._whole.trace_id), self.here, start, None, attributes)

    def event(self, name: str, attributes: _Attributes) -> None:
        """A custom event of Application Insights has happened."""
        self._events.append((name, time.time_ns(), {**self._attributes, **attributes}))

    def spans(self, resource: Resource) -> list[ReadableSpan]:
        """Those that ended since the last call."""
        return [_readable(self._spans.popleft(), resource) for _ in range(len(self._spans))]

    def lines(self, resource: Resource) -> list[ReadableLogRecord]:
        """Events since the last call."""
        kept = [self._events.popleft() for _ in range(len(self._events))]
        return [event(name, at, attributes, resource, self._whole.trace_id) for name, at, attributes in kept]

    def metrics(self, since: int, now: int) -> list[Metric]:
        """None; a job that counts something has its own."""
        return []

    def lost(self) -> dict[str, int]:
        """How many spans there was no place for."""
        return {"traces": self._lost, "logs": 0}

    def restart(self) -> None:
        """Forget what was lost."""
        self._lost = 0

    def _end_step(self, error: type[BaseException] | None) -> None:
        if self._step is not None:
            self._keep(self._step, self.here, self._whole, self._step_began, error)
            self._step, self.here = None, self._whole

    def _keep(
        self,
        name: str,
        place: SpanContext,
        parent: SpanContext | None,
        start: int,
        error: type[BaseException] | None,
        attributes: _Attributes | None = None,
    ) -> None:
        if len(self._spans) >= KEPT:
            self._lost += 1
            return
        failed = {"error.type": error.__qualname__} if error else {}  # not its message, which may quote a row
        found = {**self._attributes, **(attributes or {}), **failed}
        self._spans.append((name, place, parent, start, time.time_ns(), found))

    @staticmethod
    def _context(trace: int) -> SpanContext:
        return SpanContext(trace, getrandbits(64), False, TraceFlags(TraceFlags.SAMPLED))


def _readable(kept: _Span, resource: Resource) -> ReadableSpan:
    name, place, parent, start, end, attributes = kept
    return ReadableSpan(
        name=name,
        context=place,
        parent=parent,
        resource=resource,
        attributes=attributes,
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR if "error.type" in attributes else StatusCode.UNSET),
        start_time=start,
        end_time=end,
        instrumentation_scope=_SCOPE,
    )
