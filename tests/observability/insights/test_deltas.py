"""Cumulative points become what was added: whoever starts anew, sums over time are right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from observability.insights import deltas
from observability.insights.deltas import Deltas, Point, Value, as_table
from tests.observability.insights.conftest import NOW, insights, metrics, pairs

SECOND = 10**9
CUMULATIVE = 2


def histogram(count, total, *, time, start=0, low=0.1, high=9.0, attributes=None):
    found = Metric(name="http.server.request.duration", unit="s")
    found.histogram.aggregation_temporality = CUMULATIVE
    found.histogram.data_points.add(
        count=count, sum=total, min=low, max=high, start_time_unix_nano=NOW + start * SECOND,
        time_unix_nano=NOW + time * SECOND, attributes=pairs(attributes or {}),
    )  # fmt: skip
    return found


def counter(value, *, time, start=0, monotonic=True):
    found = Metric(name="counter")
    found.sum.aggregation_temporality, found.sum.is_monotonic = CUMULATIVE, monotonic
    found.sum.data_points.add(
        as_int=value, start_time_unix_nano=NOW + start * SECOND, time_unix_nano=NOW + time * SECOND
    )
    return found


@pytest.fixture
def sent(store, request):
    """Sends metrics to the module's server, as a role of this test's own; and what became of them."""
    return Sent(store, request.node.name)


class Sent:
    def __init__(self, running, role):
        self._running, self._role = running, role

    def take(self, *found, **sender):
        self._running.take(metrics(*found, sender={"service.name": self._role} | sender))

    def rows(self, columns="valueCount, valueSum", order="timestamp"):
        where = f"cloud_RoleName = '{self._role}'"
        return self._running.rows(f"SELECT {columns} FROM customMetrics WHERE {where} ORDER BY {order}")


def test_points_of_one_series(sent):
    for time, (count, total) in enumerate([(2, 1.0), (2, 1.0), (5, 4.0), (5, 4.0), (6, 4.5)]):
        sent.take(histogram(count, total, time=time))
    assert sent.rows() == [[2, 1.0], [3, 3.0], [1, 0.5]]


@pytest.mark.e2e
def test_a_restart_of_insights_neither_loses_nor_doubles(tmp_path):
    with insights(tmp_path) as running:
        running.take(metrics(histogram(4, 2.0, time=1), counter(10, time=1)))
        running.kill()
    with insights(tmp_path) as running:
        running.take(metrics(histogram(4, 2.0, time=1), counter(10, time=1)))  # sent again: the answer was lost
        running.take(metrics(histogram(7, 5.0, time=2), counter(11, time=2)))
        assert running.rows("SELECT sum(valueSum) FROM customMetrics WHERE name = 'counter'") == [[11]]
        name = "http.server.request.duration"
        assert running.rows(f"SELECT sum(valueCount), sum(valueSum) FROM customMetrics WHERE name = '{name}'") == [
            [7, 5.0]
        ]


def test_a_restart_of_the_sender_begins_at_nothing(sent):
    sent.take(histogram(4, 2.0, time=1), counter(10, time=1))
    sent.take(histogram(9, 3.0, time=20, start=15), counter(12, time=20, start=15))
    sent.take(histogram(10, 3.5, time=21, start=15), counter(13, time=21, start=15))
    assert sent.rows("name, valueCount, valueSum", "ALL") == [
        ["counter", 1, 1], ["counter", 1, 10], ["counter", 1, 12],
        ["http.server.request.duration", 1, 0.5], ["http.server.request.duration", 4, 2.0],
        ["http.server.request.duration", 9, 3.0],
    ]  # fmt: skip


def test_instances_and_dimensions_are_series_of_their_own(sent):
    for instance in ("one", "two"):
        for code in (200, 500):
            point = histogram(3, 3.0, time=1, attributes={"http.response.status_code": code})
            sent.take(point, **{"service.instance.id": instance})
    dimension = "customDimensions->>'$.\"http.response.status_code\"'"
    assert sent.rows(f"cloud_RoleInstance, {dimension}, valueCount", "ALL") == [
        ["one", "200", 3], ["one", "500", 3], ["two", "200", 3], ["two", "500", 3],
    ]  # fmt: skip


def test_least_and_most_are_given_where_they_are_known(sent):
    sent.take(histogram(2, 3.0, time=1, low=1, high=2))
    sent.take(histogram(3, 8.0, time=2, low=1, high=5))
    sent.take(histogram(4, 8.5, time=3, low=0.5, high=5))
    assert sent.rows("valueMin, valueMax") == [[1, 2], [None, 5], [0.5, None]]


def test_a_sum_that_may_fall_is_a_state(sent):
    for time, value in enumerate([5, 3, 3]):
        sent.take(counter(value, time=time, monotonic=False))
    assert sent.rows("value") == [[5], [3], [3]]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 5), min_size=1, max_size=6)), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_sums_are_right_however_points_are_doubled_and_cut_into_batches(runs, random):
    """Each run is a process: its series, and what it adds before each of its exports."""
    points, expected = [], 0
    for number, (series, steps) in enumerate(runs):
        count = 0
        for time, step in enumerate(steps):
            count += step
            value = Value(count, 2.0 * count, None, None)
            points += [Point(time, "m", value, "{}", None, None, f"{series}-{number}")] * random.randint(1, 2)
        expected += count
    known, rows, stored = Deltas([]), [], {}
    while points:
        cut = random.randint(1, len(points))
        staged = {}
        rows += known.advance(points[:cut], staged, now=0)[0]
        points = points[cut:]
        known.keep(staged)
        stored |= {last[0]: last for last in zip(*as_table(staged).to_pydict().values(), strict=True)} if staged else {}
        if random.random() < 0.3:  # insights starts anew with what it stored
            known = Deltas(stored.values())
    assert sum(row[4] for row in rows) == expected
    assert sum(row[3] for row in rows) == 2.0 * expected


def test_a_value_that_falls_begins_anew():
    known, staged = Deltas([]), {}
    points = [
        Point(time, "m", Value(0, total, None, None), "{}", None, None, "s") for time, total in enumerate([5, 7, 2])
    ]
    rows, _ = known.advance(points, staged, now=0)
    assert [row[3] for row in rows] == [5, 2, 2]


def test_too_many_series_are_refused_and_old_ones_forgotten():
    def point(series):
        return Point(1, "m", Value(1, 1.0, None, None), "{}", None, None, series)

    known, staged = Deltas([], max_series=2), {}
    rows, refused = known.advance([point("a"), point("b"), point("c"), point("a")], staged, now=0)
    assert (len(rows), refused) == (2, 1)
    known.keep(staged)
    assert known.forget(now=deltas.SERIES_SECONDS) == []
    assert sorted(known.forget(now=deltas.SERIES_SECONDS + 1)) == ["a", "b"]
    assert known.advance([point("c")], {}, now=0)[1] == 0
