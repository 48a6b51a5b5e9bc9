"""What Azure sums is what was counted, whatever was not taken in between."""

from bisect import bisect_left
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from observability.telemetry import counter, gauge, histogram
from observability.telemetry.deltas import Deltas

BOUNDS = (1.0, 2.0, 5.0)
SINCE, NOW = 1, 2


def data(*metrics):
    scope = ScopeMetrics(InstrumentationScope("homeport"), list(metrics), "")
    return MetricsData([ResourceMetrics(Resource({}), [scope], "")])


def points(metrics):
    return [point for one in metrics.resource_metrics[0].scope_metrics[0].metrics for point in one.data.data_points]


def counted(*values, since=SINCE):
    """A counter with a series for each value."""
    return counter("requests", "1", "", [({"place": place}, value) for place, value in enumerate(values)], since, NOW)


def measured(values):
    counts = [0] * (len(BOUNDS) + 1)
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    point = {}, counts, sum(values), min(values, default=inf), max(values, default=0.0)
    return histogram("seconds", "s", "", BOUNDS, [point], SINCE, NOW)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["all", "first", "none"]))))
def test_sums_are_right_whatever_is_not_taken(steps):
    deltas, totals, taken = Deltas(), [0, 0], [0, 0]
    for first, second, fate in [*steps, (0, 0, "all")]:
        totals = [totals[0] + first, totals[1] + second]
        added = points(deltas.of(data(counted(*totals))))
        if fate == "none":
            continue
        left = [point for point in added if fate == "first" and point.attributes["place"] == 1]
        deltas.keep(not_taken=left)
        for point in added:
            assert point.value > 0, "what did not change is not sent"
            if point not in left:
                taken[point.attributes["place"]] += point.value
    assert taken == totals


@given(st.lists(st.tuples(st.lists(st.floats(0, 9)), st.booleans())))
def test_a_histogram_has_the_count_and_sum_of_what_was_added_and_is_within_its_least_and_most(steps):
    deltas, values, added = Deltas(), [], []
    for more, is_taken in steps:
        values, added = values + more, added + more
        found = points(deltas.of(data(measured(values))))
        assert bool(found) == bool(added)
        for point in found:
            assert point.count == len(added) == sum(point.bucket_counts)
            assert point.sum == pytest.approx(sum(added))
            assert min(values) <= point.min <= min(added) + 1e-9
            assert max(added) - 1e-9 <= point.max <= max(values)
        if is_taken:
            deltas.keep()
            added = []


def test_the_least_and_most_are_those_of_the_minute_as_far_as_buckets_tell():
    deltas = Deltas()
    for values, least, most in (
        ([0.5, 4.0], 0.5, 4.0),
        ([0.5, 4.0, 1.2, 1.8], 1.0, 2.0),  # the bucket that both are in
        ([0.5, 4.0, 1.2, 1.8, 1.5], 1.5, 1.5),  # one value is known
        ([0.5, 4.0, 1.2, 1.8, 1.5, 3.0, 7.0], 2.0, 7.0),  # so is a record
    ):
        (point,) = points(deltas.of(data(measured(values))))
        deltas.keep()
        assert (point.min, point.max) == (pytest.approx(least), pytest.approx(most))


def test_all_are_marked_as_additions_but_states_which_stay_as_they_are():
    deltas = Deltas()
    state = gauge("drift", "1", "", [({"feature": "age"}, 0.5)], NOW)
    for _ in range(2):
        added = deltas.of(data(counted(3), measured([1.0]), state))
        deltas.keep()
        *sums, told = added.resource_metrics[0].scope_metrics[0].metrics
        assert {one.data.aggregation_temporality for one in sums} == {AggregationTemporality.DELTA}
        assert told == state
    assert points(added) == list(state.data.data_points), "what did not change is not sent"


def test_what_json_does_not_have_stays_here():
    deltas = Deltas()
    states = gauge("drift", "1", "", [({"feature": "a"}, nan), ({"feature": "b"}, inf), ({"feature": "c"}, 1.0)], NOW)
    overflown = histogram("seconds", "s", "", BOUNDS, [({}, [0, 0, 0, 1], inf, inf, inf)], SINCE, NOW)
    (point,) = points(deltas.of(data(states, overflown)))
    assert point.attributes == {"feature": "c"}


def test_sums_that_begin_anew_are_taken_whole():
    deltas = Deltas()
    found = []
    for metric in (counted(5), counted(7, since=3), counted(2, since=3)):  # a new start, and one that is not told
        found += [point.value for point in points(deltas.of(data(metric)))]
        deltas.keep()
    assert found == [5, 7, 2]


def test_what_is_remembered_is_bounded_by_what_is_told():
    deltas = Deltas()
    for since in range(1, 1000):
        deltas.of(data(counted(5, since=since)))
        deltas.keep()
    assert len(deltas._sent) <= 3


def test_who_is_left_out_once_is_not_forgotten():
    deltas = Deltas()
    found = []
    for metric in (counted(5, 5), counted(6), counted(6, 7)):
        found.append([point.value for point in points(deltas.of(data(metric)))])
        deltas.keep()
    assert found == [[5, 5], [1], [2]]


def test_states_alone_forget_nothing():
    deltas = Deltas()
    deltas.of(data(counted(5)))
    deltas.keep()
    for _ in range(3):
        deltas.of(data(gauge("drift", "1", "", [({}, 0.5)], NOW)))
        deltas.keep()
    assert points(deltas.of(data(counted(5)))) == []
