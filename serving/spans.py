"""Which requests are kept as spans, and how they become OpenTelemetry's.

Whether one is kept is decided before anything is made of it: the failed and the slow are, of the rest a
share, or what the caller decided for its own trace. What is kept costs the request one tuple; the span
is made of it later, in the thread that sends.

Attributes follow OpenTelemetry's stable conventions for HTTP servers.
"""

from __future__ import annotations

from collections import deque
from random import getrandbits, random
from time import time_ns

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from serving.exchange import Answer, Mounted, Request
from serving.keys import KeyName

KEPT = 20_000  # between two sendings; past it the newest are lost, and counted
_NOBODY = 0, 0, False
_SCOPE = InstrumentationScope("homeport.serving")
_Kept = tuple[int, float, SpanContext, int, str, str, int, str, KeyName | None, str, str, int, float, bytes]


class Spans:
    """The requests that are kept since they were last taken."""

    def __init__(self, share: float, slow: float) -> None:
        self._share = share
        self._slow = slow
        self._kept: deque[_Kept] = deque()
        self.lost = 0

    def offer(
        self, mounted: Mounted, request: Request, answer: Answer, key: KeyName | None, seconds: float
    ) -> SpanContext | None:
        """Keep a request if it is one of those, and return the place of its span among all."""
        header = request.headers.get(b"traceparent")
        _, parent, sampled = _parent(header) if header else _NOBODY
        rate = 1.0
        if answer.status < 400 and seconds < self._slow:
            if not parent:
                if random() >= self._share:
                    return None
                rate = self._share
            elif not sampled:
                return None
        if len(self._kept) >= KEPT:
            self.lost += 1
            return None
        context = SpanContext(trace_of(request), getrandbits(64), False, TraceFlags(TraceFlags.SAMPLED))
        self._kept.append(
            (
                time_ns(), seconds, context, parent, request.method, request.path, answer.status,
                mounted.dialect.name, key, mounted.model, mounted.version, answer.rows, rate, request.id,
            )
        )  # fmt: skip
        return context

    def take(self, resource: Resource) -> list[ReadableSpan]:
        """Those that were kept, as spans; they are forgotten here."""
        return [_span(self._kept.popleft(), resource) for _ in range(len(self._kept))]


def _span(kept: _Kept, resource: Resource) -> ReadableSpan:
    end, seconds, context, parent, method, path, status, dialect, key, model, version, rows, rate, request_id = kept
    attributes: dict[str, str | int | float] = {
        "http.request.method": method,
        "http.route": path,
        "url.path": path,
        "url.scheme": "http",
        "http.response.status_code": status,
        "homeport.dialect": dialect,
        "homeport.key": key or "none",
        "_MS.sampleRate": 100 * rate,  # Azure's name: one such stands for 100 / rate
        "ml.model.name": model,
        "ml.model.version": version,
        "ml.rows": rows,
        "homeport.request": request_id.decode("latin-1"),  # what the client was told; the trace may be the caller's
    }
    if status >= 500:
        attributes["error.type"] = str(status)
    return ReadableSpan(
        name=f"{method} {path}",
        context=context,
        parent=SpanContext(context.trace_id, parent, True) if parent else None,
        resource=resource,
        attributes=attributes,
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR if status >= 500 else StatusCode.UNSET),
        start_time=end - int(seconds * 1e9),
        end_time=end,
        instrumentation_scope=_SCOPE,
    )


def _parent(traceparent: bytes) -> tuple[int, int, bool]:
    """Trace id, parent id, and whether the caller keeps its trace, as W3C's Trace Context has them.

    A header that is malformed names nobody.
    """
    fields = traceparent.split(b"-")
    if [len(field) for field in fields[:4]] != [2, 32, 16, 2]:
        return _NOBODY
    try:
        trace, parent, flags = (int(field, 16) for field in fields[1:4])
    except ValueError:
        return _NOBODY
    return (trace, parent, flags & 1 == 1) if trace and parent else _NOBODY


def trace_of(request: Request) -> int:
    """The id of the trace that a request is part of: the caller's, or one of its own."""
    if not request.trace:
        header = request.headers.get(b"traceparent")
        request.trace = (_parent(header)[0] if header else 0) or _own_trace(request.id)
    return request.trace


def within(request: Request) -> SpanContext:
    """A place in a request's trace, for a line of the log that comes before its span."""
    return SpanContext(trace_of(request), getrandbits(64), False)


def _own_trace(request_id: bytes) -> int:
    """The request's id, where it may be one of a trace: then what the client was told finds the trace."""
    try:
        return (int(request_id, 16) if len(request_id) == 32 else 0) or getrandbits(128)
    except ValueError:
        return getrandbits(128)
