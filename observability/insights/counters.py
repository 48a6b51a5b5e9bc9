"""What insights counts of itself: for `/api/status`, and as customMetrics of the role `homeport.insights`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from threading import Lock
from time import time

from observability.insights.batch import Batch
from observability.insights.deltas import Point, Value
from observability.insights.tables import as_json

ROLE = "homeport.insights"
NAMES = {
    "received": "items received by kind: spans, logs, points",
    "stored": "rows committed by table",
    "rejected": "items that were not taken out of exports that were, by reason",
    "refused": "exports that were answered with an error, by reason",
    "deleted": "rows deleted by table: too old or too much",
}


class Counters:
    """Counts since the start, by any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in NAMES}
        self._reported: dict[str, Counter[str]] = {name: Counter() for name in NAMES}

    def add(self, name: str, counts: Mapping[str, int]) -> None:
        """Add to one of NAMES."""
        with self._lock:
            self._counts[name].update(counts)

    def snapshot(self) -> dict[str, dict[str, int]]:
        """All counts since the start."""
        with self._lock:
            return {name: dict(counts) for name, counts in self._counts.items()}

    def report(self) -> Batch:
        """What was added since the last report, as rows of customMetrics."""
        batch = Batch()
        now = int(time() * 1e6)
        with self._lock:
            for name, counts in self._counts.items():
                for kind, added in (counts - self._reported[name]).items():
                    point = Point(
                        now, f"insights.{name}", Value(1, added, added, added), as_json({"kind": kind}), ROLE, None
                    )
                    batch.add("customMetrics", point.row(point.value))
                self._reported[name] = counts.copy()
            # These rows are counted once stored; they are no news, or an idle insights would write for ever
            self._reported["stored"]["customMetrics"] += len(batch.rows.get("customMetrics", ()))
        return batch.seal()
