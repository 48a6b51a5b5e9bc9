"""What a share of the requests asked and was answered, row by row, for whoever has switched that on.

Nothing is kept unless HOMEPORT_TELEMETRY_PAYLOAD_SHARE says so. Values of redacted columns are replaced before anything
is kept, and of a model that lacks one of these columns nothing is: a misspelt name must not let values out.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from random import random
from threading import local
from time import time_ns
from typing import Any

import msgspec
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from bundle.model import Outputs
from observability.telemetry import event
from serving.exchange import Answer, Mounted, Request
from serving.scorer import Scorer
from serving.spans import trace_of

log = logging.getLogger("homeport.serving")

EVENT = "ml.payload"
MAX_TEXT = 8_192  # characters of one property, as many as Azure keeps; rows that do not fit are left out
KEPT = 1_000  # requests between two sendings; past it the newest are lost, and counted
REDACTED = "(redacted)"
_Kept = tuple[int, int, dict[str, str | int]]  # nanoseconds of the epoch, trace id, attributes


class Payloads:
    """Rows and answers of the requests that are kept since they were last taken."""

    def __init__(self, share: float, redacted: Sequence[str]) -> None:
        self._share, self._redacted = share, frozenset(redacted)
        self._asked = local()  # the request that this thread is scoring, if it is kept
        self._kept: deque[_Kept] = deque()
        self.lost = 0

    def follow(self, scorer: Scorer) -> None:
        """Look at what a scorer scores."""
        unknown = self._redacted - {column.name for column in scorer.manifest.columns}
        if unknown:
            log.error(
                "no payload of %s version %s is kept: it has no column %s to redact",
                scorer.manifest.name, scorer.manifest.version, ", ".join(sorted(unknown)),
            )  # fmt: skip
            return

        def observe(rows: Sequence[msgspec.Struct], outputs: Outputs, _: float) -> None:
            if request := getattr(self._asked, "request", None):
                self._keep(scorer, request, rows, outputs)

        scorer.observers = (*scorer.observers, observe)

    def choose(self, mounted: Mounted) -> None:
        """Choose among the requests to one path."""
        answer = mounted.answer
        mounted.answer = lambda request: self._answer(answer, request)

    def take(self, resource: Resource) -> list[ReadableLogRecord]:
        """What was kept, as custom events; it is forgotten here."""
        kept = [self._kept.popleft() for _ in range(len(self._kept))]
        return [event(EVENT, time, attributes, resource, trace) for time, trace, attributes in kept]

    def _answer(self, answer: Callable[[Request], Answer], request: Request) -> Answer:
        if random() >= self._share:
            return answer(request)
        self._asked.request = request
        try:
            return answer(request)
        finally:
            self._asked.request = None

    def _keep(self, scorer: Scorer, request: Request, rows: Sequence[msgspec.Struct], outputs: Outputs) -> None:
        if len(self._kept) >= KEPT:
            self.lost += 1
            return
        inputs = self._inputs(rows)
        manifest, count = scorer.manifest, len(inputs)
        attributes: dict[str, str | int] = {
            "ml.model.name": manifest.name,
            "ml.model.version": manifest.version,
            "ml.rows": len(rows),
            "ml.payload.rows": count,
            "ml.payload.inputs": f"[{','.join(inputs)}]",
            "ml.payload.answers": _text(scorer.model.labels(outputs[:count])),
        }
        if not manifest.regression:
            attributes["ml.payload.probabilities"] = _text(outputs[:count].tolist())
        self._kept.append((time_ns(), trace_of(request), attributes))

    def _inputs(self, rows: Sequence[msgspec.Struct]) -> list[str]:
        """As many of the first rows, as JSON, as have room."""
        found: list[str] = []
        room = MAX_TEXT - 1  # for the brackets, and a comma a row
        for row in rows:
            values: dict[str, Any] = msgspec.to_builtins(row)
            text = _text({name: REDACTED if name in self._redacted else value for name, value in values.items()})
            room -= len(text) + 1
            if room < 0:
                break
            found.append(text)
        return found


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
