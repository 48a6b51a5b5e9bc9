"""From sums since a start to what was added since they were last sent, for who adds up what it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
)

Point = NumberDataPoint | HistogramDataPoint
_Series = tuple[Any, ...]


class Deltas:
    """What was sent of each series.

    >>> added = deltas.of(data)
    >>> deltas.keep(not_taken=())  # once it was sent; what was not taken is part of the next
    """

    def __init__(self) -> None:
        self._sent: dict[_Series, Point] = {}
        self._missed: set[_Series] = set()
        self._staged: dict[_Series, tuple[Point, Point]] = {}  # as a sum, and what was added to it

    def of(self, data: MetricsData) -> MetricsData:
        """The same metrics as additions, without those to which nothing was added; states stay as they are.

        No number that JSON does not have gets through: it would be refused with all the rest.
        """
        self._staged = {}
        resources = [
            replace(
                resource,
                scope_metrics=[
                    replace(scope, metrics=[self._added(metric) for metric in scope.metrics])
                    for scope in resource.scope_metrics
                ],
            )
            for resource in data.resource_metrics
        ]
        return MetricsData(resources)

    def keep(self, not_taken: Iterable[Point] = ()) -> None:
        """What was asked for last was sent, but for some of its points."""
        if not self._staged:
            return  # there were only states
        left = set(map(id, not_taken))
        missing = self._sent.keys() - self._staged.keys()
        # Who leaves out a series twice has forgotten it: if it comes again, it begins at nothing.
        self._sent = {series: point for series, point in self._sent.items() if series not in missing & self._missed}
        self._missed = set(missing)
        self._sent |= {series: total for series, (total, added) in self._staged.items() if id(added) not in left}

    def _added(self, metric: Metric) -> Metric:
        points = [point for point in metric.data.data_points if isinstance(point, Point)]
        if isinstance(metric.data, Gauge):
            states: Any = [point for point in points if isinstance(point, NumberDataPoint) and isfinite(point.value)]
            return replace(metric, data=Gauge(states))
        added: Any = list(self._additions(metric.name, points))
        return replace(
            metric, data=replace(metric.data, data_points=added, aggregation_temporality=AggregationTemporality.DELTA)
        )

    def _additions(self, name: str, points: Sequence[Point]) -> Iterator[Point]:
        for point in points:
            if not isfinite(point.sum if isinstance(point, HistogramDataPoint) else point.value):
                continue
            # a new start is another series, which begins at nothing
            series = name, tuple(sorted((point.attributes or {}).items())), point.start_time_unix_nano
            last = self._sent.get(series)
            added: Point | None
            if isinstance(point, HistogramDataPoint):
                added = _histogram(point, last if isinstance(last, HistogramDataPoint) else None)
            else:
                added = _number(point, last if isinstance(last, NumberDataPoint) else None)
            self._staged[series] = point, added or point
            if added:
                yield added


def _number(total: NumberDataPoint, last: NumberDataPoint | None) -> NumberDataPoint | None:
    before = last.value if last and last.value <= total.value else 0  # what shrank began anew
    return replace(total, value=total.value - before) if total.value > before else None


def _histogram(total: HistogramDataPoint, last: HistogramDataPoint | None) -> HistogramDataPoint | None:
    """The least and most of what was added are known where they are a record, or of one value; otherwise they are
    the bounds of its outermost buckets, which they are within.
    """
    if last is None or last.count > total.count:
        return total if total.count else None
    count, sum_ = total.count - last.count, total.sum - last.sum
    if not count:
        return None
    counts = [new - old for new, old in zip(total.bucket_counts, last.bucket_counts, strict=True)]
    filled = [place for place, number in enumerate(counts) if number]
    least, most = total.min, total.max
    if count == 1:
        least = most = min(max(sum_, total.min), total.max)
    elif filled:
        bounds = total.explicit_bounds
        if total.min == last.min and filled[0] > 0:
            least = max(least, bounds[filled[0] - 1])
        if total.max == last.max and filled[-1] < len(bounds):
            most = min(most, bounds[filled[-1]])
    return replace(total, count=count, sum=sum_, bucket_counts=counts, min=least, max=most)
