"""What is remembered of each request: counts by path, status and key, and how long it took.

A request costs a dictionary entry and a bisection, and a tuple if it is kept as a span; nothing is sent
or formatted while it waits. The name of the key is kept, never the key.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import accumulate
from math import inf
from time import monotonic

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import Metric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from bundle.drift import Baseline
from observability.telemetry import Settings, counter, histogram
from serving.exchange import Answer, Mounted, Request
from serving.keys import KeyName
from serving.payloads import Payloads
from serving.predictions import Predictions, told
from serving.scorer import Scorer
from serving.spans import Spans

log = logging.getLogger("homeport.serving.requests")

# Upper bounds in seconds, those of OpenTelemetry's `http.server.request.duration` and four below them
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
VERSIONS = 8  # of the model, that a worker tells of: those it has served last
FAILURES_A_SECOND = 10  # lines in the log; the rest is counted


class Series:
    """The durations of one kind of request, since the worker began."""

    __slots__ = ("counts", "least", "most", "seconds", "told")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.told = [0] * (len(BOUNDS) + 1)  # how many of them are in a summary already
        self.seconds = 0.0
        self.least, self.most = inf, 0.0


class Telemetry:
    """The aggregates of one worker, a line in the log for each failed request, and the requests that are kept."""

    def __init__(self, settings: Settings | None = None, clock: Callable[[], float] = monotonic) -> None:
        """Spans are kept only where there is somewhere to send them."""
        self._clock = clock
        self._spans = Spans(settings.sample_share, settings.slow_seconds) if settings and settings.is_sent else None
        self._series: dict[tuple[str, str, str, int, KeyName | None], Series] = {}
        self._rows: Counter[tuple[str, str]] = Counter()  # by model and version
        self._rows_told: Counter[tuple[str, str]] = Counter()
        self._settings = settings
        self._predictions: dict[tuple[str, str], Predictions] = {}  # by model and version
        self._payloads: Payloads | None = None
        if settings and settings.is_sent and settings.payload_share:
            columns = (name.strip() for name in settings.payload_redact.split(","))
            self._payloads = Payloads(settings.payload_share, [name for name in columns if name])
        self._since = clock()
        self._second = 0.0
        self._lines = 0
        self._silent = 0

    def record(self, mounted: Mounted, request: Request, answer: Answer, key: KeyName | None, seconds: float) -> None:
        """Count one answered request."""
        method = request.method if request.method in mounted.methods else "_OTHER"  # nobody may make up series
        kind = mounted.dialect.name, method, request.path, answer.status, key
        series = self._series.get(kind)
        if series is None:
            series = self._series[kind] = Series()
        series.counts[bisect_left(BOUNDS, seconds)] += 1
        series.seconds += seconds
        series.most = max(series.most, seconds)
        series.least = min(series.least, seconds)
        span = self._spans.offer(mounted, request, answer, key, seconds) if self._spans else None
        if answer.status < 400:
            self._rows[mounted.model, mounted.version] += answer.rows
        else:
            self._complain(mounted.dialect.name, answer.status, key, seconds, request.id, span)

    def follow(self, scorer: Scorer, baseline: Baseline | None) -> None:
        """Count what a model that is about to be served answers, if there is somewhere to send it."""
        if self._settings is None or not self._settings.is_sent:
            return
        key = scorer.manifest.name, scorer.manifest.version
        # one that is served again goes on counting: the same series may not begin twice
        predictions = self._predictions.pop(key, None) or Predictions(
            scorer.manifest, baseline, self._settings.drift_rows, self._settings.drift_seconds
        )
        self._predictions[key] = predictions
        if len(self._predictions) > VERSIONS:
            self._predictions.pop(next(iter(self._predictions)))
        scorer.observers = (*scorer.observers, predictions.offer)
        if self._payloads:
            self._payloads.follow(scorer)
        event = {"microsoft.custom_event.name": "model.loaded", "ml.model.name": key[0], "ml.model.version": key[1]}
        log.info("model %s version %s answers from now on", *key, extra={"attributes": event})

    def choose(self, mounted: Iterable[Mounted]) -> None:
        """Choose whose payloads are kept among the requests to these paths, if any are."""
        if self._payloads:
            for one in mounted:
                self._payloads.choose(one)

    def spans(self, resource: Resource) -> list[ReadableSpan]:
        """Those that ended since the last call."""
        return self._spans.take(resource) if self._spans else []

    def lines(self, resource: Resource) -> list[ReadableLogRecord]:
        """Payloads since the last call."""
        return self._payloads.take(resource) if self._payloads else []

    def lost(self) -> dict[str, int]:
        """How many spans and payloads there was no place for."""
        return {
            "traces": self._spans.lost if self._spans else 0,
            "logs": self._payloads.lost if self._payloads else 0,
        }

    def restart(self) -> None:
        """Forget all sums but those of the log: they begin anew."""
        self.summarise()
        self._series, self._rows, self._rows_told = {}, Counter(), Counter()
        if self._spans:
            self._spans.lost = 0
        if self._payloads:
            self._payloads.lost = 0
        for predictions in list(self._predictions.values()):
            predictions.restart()

    def metrics(self, since: int, now: int) -> list[Metric]:
        """The sums of this worker; called from another thread."""
        durations = [
            (_attributes(*kind), series.counts[:], series.seconds, series.least, series.most)
            for kind, series in list(self._series.items())
        ]
        rows = [
            ({"ml.model.name": model, "ml.model.version": version}, count)
            for (model, version), count in list(self._rows.items())
        ]
        return [
            histogram(
                "http.server.request.duration", "s", "Duration of HTTP server requests.", BOUNDS, durations, since, now
            ),
            counter("ml.prediction.rows", "{row}", "Rows that were scored.", rows, since, now),
            *told(list(self._predictions.values()), since, now),
        ]

    def summarise(self) -> None:
        """Write what was counted since the last summary as one line to the log."""
        requests: Counter[tuple[str, int, str]] = Counter()
        durations = [0] * (len(BOUNDS) + 1)
        for (dialect, _, _, status, key), series in self._series.items():
            fresh = [count - told for count, told in zip(series.counts, series.told, strict=True)]
            series.told = series.counts[:]
            requests[dialect, status, key or "no key"] += sum(fresh)
            durations = [count + more for count, more in zip(durations, fresh, strict=True)]
        fresh_rows = self._rows - self._rows_told
        self._rows_told = self._rows.copy()
        seconds, self._since = self._clock() - self._since, self._clock()
        if not any(durations):
            return
        kinds = ", ".join(
            f"{count:,} {dialect} {status} by {key}"
            for (dialect, status, key), count in sorted(requests.items())
            if count
        )
        rows = ", ".join(f"{count:,} by version {version}" for (_, version), count in sorted(fresh_rows.items()))
        log.info(
            "%s requests in %.0f s: %s; rows: %s; 50 %% within %g ms, 99 %% within %g ms",
            f"{requests.total():,}", seconds, kinds, rows or "none", _within(0.5, durations), _within(0.99, durations),
        )  # fmt: skip

    def _complain(
        self, dialect: str, status: int, key: KeyName | None, seconds: float, request: bytes, span: SpanContext | None
    ) -> None:
        now = self._clock()
        if now - self._second >= 1:
            if self._silent:
                log.warning("%d more failed requests", self._silent)
            self._second, self._lines, self._silent = now, 0, 0
        if self._lines >= FAILURES_A_SECOND:
            self._silent += 1
            return
        self._lines += 1
        log.warning(
            "%d %s key=%s %.1f ms request=%s", status, dialect, key or "none", seconds * 1000,
            request.decode("latin-1"), extra={"span": span},
        )  # fmt: skip


def _attributes(dialect: str, method: str, path: str, status: int, key: KeyName | None) -> dict[str, str | int]:
    error: dict[str, str | int] = {"error.type": str(status)} if status >= 500 else {}
    return error | {
        "http.request.method": method,
        "http.route": path,
        "http.response.status_code": status,
        "url.scheme": "http",
        "homeport.dialect": dialect,
        "homeport.key": key or "none",
    }


def _within(share: float, durations: list[int]) -> float:
    """The bound in milliseconds that a share of the requests stayed under."""
    reached = accumulate(durations)
    wanted = share * sum(durations)
    return 1000 * next((bound for bound, count in zip(BOUNDS, reached, strict=False) if count >= wanted), inf)
