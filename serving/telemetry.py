"""What is remembered of each request: counts by dialect, status and key, and how long it took.

A request costs a dictionary entry and a bisection; nothing is sent or formatted while it waits. The
name of the key is kept, never the key.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from math import inf
from time import monotonic

from serving.keys import KeyName

log = logging.getLogger("homeport.serving.requests")

# Upper bounds in seconds, those of OpenTelemetry's `http.server.request.duration` and four below them
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
FAILURES_A_SECOND = 10  # lines in the log; the rest is counted


class Telemetry:
    """The aggregates of one worker since its last summary, and a line in the log for each failed request."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._clear()
        self._second = 0.0
        self._lines = 0
        self._silent = 0

    def record(
        self, dialect: str, status: int, key: KeyName | None, version: str, rows: int, seconds: float, request: bytes
    ) -> None:
        """Count one answered request."""
        self.requests[dialect, status, key or "no key"] += 1
        self.durations[bisect_left(BOUNDS, seconds)] += 1
        if status < 400:
            self.rows[version] += rows
        else:
            self._complain(dialect, status, key, seconds, request)

    def summarise(self) -> None:
        """Write what was counted as one line to the log, and begin anew."""
        total = self.requests.total()
        if total:
            kinds = ", ".join(
                f"{count:,} {dialect} {status} by {key}"
                for (dialect, status, key), count in sorted(self.requests.items())
            )
            rows = ", ".join(f"{count:,} by version {version}" for version, count in sorted(self.rows.items()))
            log.info(
                "%s requests in %.0f s: %s; rows: %s; 50 %% within %g ms, 99 %% within %g ms",
                f"{total:,}", self._clock() - self._since, kinds, rows or "none", self._within(0.5), self._within(0.99),
            )  # fmt: skip
        self._clear()

    def _clear(self) -> None:
        self.requests: Counter[tuple[str, int, str]] = Counter()  # (dialect, status, key's name)
        self.durations = [0] * (len(BOUNDS) + 1)
        self.rows: Counter[str] = Counter()  # by model version
        self._since = self._clock()

    def _within(self, share: float) -> float:
        """The bound in milliseconds that a share of the requests stayed under."""
        reached = accumulate(self.durations)
        wanted = share * sum(self.durations)
        return 1000 * next((bound for bound, count in zip(BOUNDS, reached, strict=False) if count >= wanted), inf)

    def _complain(self, dialect: str, status: int, key: KeyName | None, seconds: float, request: bytes) -> None:
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
            "%d %s key=%s %.1f ms request=%s", status, dialect, key or "none", seconds * 1000, request.decode("latin-1")
        )
