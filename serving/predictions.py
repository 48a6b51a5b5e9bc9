"""What a model answered and what it was asked: counts for telemetry, never a value.

A request leaves its rows and outputs here, which costs it an append; the thread that sends telemetry counts them,
a batch at a time. Class counts, confidence and batch sizes are of every row; of a request's inputs the first
INPUT_ROWS are looked at. Drift is told once a window of rows is full: over fewer, the index says more about
chance than about the data (its expectation without any drift is some (bins - 1) / rows).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Any, cast

import msgspec
import numpy as np
from msgspec.structs import astuple
from opentelemetry.sdk.metrics.export import Metric

from bundle import Manifest
from bundle.decision import decision_of
from bundle.drift import Baseline, psi
from bundle.model import Outputs
from observability.telemetry import counter, gauge, histogram

WAITING_ROWS = 20_000  # that wait for the thread; past it the request that comes counts them itself
INPUT_ROWS = 1_000  # of one request
SLICE = 256  # rows that are counted at a time, so that requests meanwhile do not wait for the interpreter
CONFIDENCE = tuple(step / 20 for step in range(1, 20))
BATCH_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
_Attributes = dict[str, str | int]


class Histogram:
    """Counts between bounds, with sum, least and most."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self.total, self.least, self.most = 0.0, inf, -inf

    def add(self, values: Any) -> None:
        """Count numbers, at least one."""
        self.counts += np.bincount(np.searchsorted(self.bounds, values, side="left"), minlength=len(self.counts))
        self.total += float(values.sum())
        self.least, self.most = min(self.least, float(values.min())), max(self.most, float(values.max()))

    def point(self, attributes: _Attributes) -> tuple[_Attributes, list[int], float, float, float]:
        """As the metric takes it."""
        return attributes, self.counts.tolist(), self.total, self.least, self.most


class Predictions:
    """Of one version of a model, since it is served by this worker."""

    def __init__(self, manifest: Manifest, baseline: Baseline | None, window_rows: int, window_seconds: float) -> None:
        """Without a baseline nothing is said of inputs, nor of drift."""
        self._model: _Attributes = {"ml.model.name": manifest.name, "ml.model.version": manifest.version}
        self._regression, self._classes = manifest.regression, [str(label) for label in manifest.classes]
        self._decide = decision_of(manifest)
        self._names = [column.name for column in manifest.columns]
        self._baseline = baseline
        self._window_rows, self._window_seconds = window_rows, window_seconds
        self._waiting: deque[tuple[Sequence[msgspec.Struct], Outputs]] = deque()
        self._waiting_rows = 0
        self._lock = threading.Lock()
        self._begin()

    def offer(self, rows: Sequence[msgspec.Struct], outputs: Outputs, _: float = 0.0) -> None:
        """Take a scored request; any thread may."""
        self._waiting.append((rows[:INPUT_ROWS], outputs))
        self._waiting_rows += len(outputs)
        if self._waiting_rows > WAITING_ROWS:
            self.count()

    def restart(self) -> None:
        """Forget all sums, and what waits to be counted."""
        with self._lock:
            self._waiting.clear()
            self._begin()

    def count(self, pause: float | None = None) -> None:
        """Count what waits. With a `pause` other threads come in between slices."""
        with self._lock:
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._waiting_rows = 0
            if not taken:
                return
            self._sizes.add(np.array([len(outputs) for _, outputs in taken]))
            outputs = np.concatenate([outputs for _, outputs in taken])
            self._count_outputs(outputs)
            if self._baseline is None:
                return
            add_to(self._window[""], self._baseline.scores.count(outputs[:, -1]))
            rows = [astuple(row) for rows, _ in taken for row in rows]
            for start in range(0, len(rows), SLICE):
                self._count_inputs(self._baseline, rows[start : start + SLICE])
                if pause is not None:
                    time.sleep(pause)

    def metrics(self, since: int, now: int) -> list[Metric]:
        """The sums, and the drift of a window that is full; the times are nanoseconds of the epoch."""
        self.count(pause=0)
        with self._lock:
            model = self._model
            classes = [
                (model | {"ml.class": name}, count)
                for name, count in zip(self._classes, self._class_counts.tolist(), strict=True)
            ]
            strength = "ml.prediction.value" if self._regression else "ml.prediction.confidence"
            about = "Values." if self._regression else "The highest probability of each row."
            found = [
                counter("ml.prediction.class.count", "{row}", "Rows by answer.", classes, since, now),
                _histogram("ml.prediction.batch.rows", "{row}", "Rows of a request.", self._sizes, model, since, now),
                _histogram(strength, "1", about, self._strength, model, since, now),
            ]
            features = [(model | {"ml.feature": name}, counts) for name, counts in self._seen.items()]
            for place, name, meaning in ((0, "unseen", "Values that training had not."), (1, "missing", "No value.")):
                points = [(attributes, counts[place]) for attributes, counts in features]
                found.append(counter(f"ml.feature.{name}", "{row}", meaning, points, since, now))
            found.append(
                counter("ml.feature.rows", "{row}", "Rows looked at.", [(model, self._input_rows)], since, now)
            )
            return [*found, *self._drift(now)]

    def _count_outputs(self, outputs: Outputs) -> None:
        if self._regression:
            self._strength.add(outputs[:, 0])
        else:
            self._class_counts += np.bincount(self._decide(outputs), minlength=len(self._classes))
            self._strength.add(outputs.max(axis=1))

    def _count_inputs(self, baseline: Baseline, rows: list[Any]) -> None:
        self._input_rows += len(rows)
        columns = dict(zip(self._names, zip(*rows, strict=True), strict=True))
        for name, distribution in baseline.columns.items():
            counts = distribution.count(columns[name])
            add_to(self._window[name], counts)
            add_to(self._seen[name], counts[-2:])

    def _begin(self) -> None:
        baseline = self._baseline
        self._class_counts = np.zeros(len(self._classes), dtype=np.int64)
        edges = baseline.scores.edges if baseline and self._regression else CONFIDENCE
        self._strength, self._sizes = Histogram(edges), Histogram(BATCH_ROWS)
        self._seen = {} if baseline is None else {name: [0, 0] for name in baseline.columns}  # unseen, missing
        self._input_rows = 0
        self._begin_window()

    def _begin_window(self) -> None:
        self._opened = time.monotonic()
        baseline = self._baseline
        found = {} if baseline is None else {"": baseline.scores, **baseline.columns}
        self._window = {name: [0] * len(distribution.expected) for name, distribution in found.items()}

    def _drift(self, now: int) -> list[Metric]:
        """Nothing while the window is filling: a point that is repeated would only fill the store."""
        baseline = self._baseline
        if baseline is None or time.monotonic() - self._opened < self._window_seconds:
            return []
        if min(map(sum, self._window.values())) < self._window_rows:
            return []
        scores = psi(baseline.scores.expected, self._window[""])
        features = [
            (self._model | {"ml.feature": name}, psi(distribution.expected, self._window[name]))
            for name, distribution in baseline.columns.items()
        ]
        self._begin_window()
        return [
            gauge("ml.feature.drift.psi", "1", "Population stability index against training.", features, now),
            gauge("ml.prediction.drift.psi", "1", "The same of the model's outputs.", [(self._model, scores)], now),
        ]


def told(predictions: Sequence[Predictions], since: int, now: int) -> list[Metric]:
    """The metrics of several versions, each metric once."""
    found: dict[str, Metric] = {}
    for one in predictions:
        for metric in one.metrics(since, now):
            if metric.name in found:
                cast("list[Any]", found[metric.name].data.data_points).extend(metric.data.data_points)
            else:
                found[metric.name] = metric
    return list(found.values())


def add_to(sums: list[int], counts: Sequence[int]) -> None:
    """Add counts to sums in their place."""
    sums[:] = map(int.__add__, sums, counts)


def _histogram(
    name: str, unit: str, about: str, counted: Histogram, attributes: _Attributes, since: int, now: int
) -> Metric:
    points = [counted.point(attributes)] if counted.counts.any() else []
    return histogram(name, unit, about, counted.bounds, points, since, now)
