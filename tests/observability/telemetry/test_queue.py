"""What waits is bounded, what finds no place or is refused is counted, and destinations do not wait for each other."""

import threading

from opentelemetry.sdk.resources import Resource

from observability.telemetry import counter, gauge
from observability.telemetry.destination import BATCH, STATES, WAITING, Destination, Exports, Queue, Sent
from tests.conftest import wait_until


def test_a_queue_keeps_the_newest_and_counts_the_others():
    sent, up = [], False

    def export(batch):
        if not up:
            return Sent(again=batch, why="it is down")
        sent.extend(batch)
        return Sent()

    queue = Queue(export)
    for number in range(WAITING + 7):
        queue.put(number)
    assert queue.send() == ["it is down"]
    assert queue.dropped == 7
    up = True
    assert queue.send() == []
    assert sent == list(range(7, WAITING + 7))
    assert queue.send() is None


def test_what_is_left_finds_its_place_again_only_if_nothing_newer_took_it():
    batches = []

    def export(batch):
        batches.append(list(batch))
        if len(batches) > 1:
            return Sent()
        for number in range(5, 9):
            queue.put(number)
        return Sent(again=batch, why="it is down")

    queue = Queue(export, places=6)
    for number in range(5):
        queue.put(number)
    assert queue.send() == ["it is down"]
    assert queue.dropped == 3
    assert queue.send() == []
    assert batches[1] == [3, 4, 5, 6, 7, 8]


def test_a_batch_is_bounded():
    sizes = []

    def export(batch):
        sizes.append(len(batch))
        return Sent()

    queue = Queue(export)
    for number in range(BATCH + 1):
        queue.put(number)
    assert queue.send() == []
    assert sizes == [BATCH, 1]


def test_what_is_refused_for_good_does_not_stand_in_the_way():
    sent = []

    def export(batch):
        if 3 in batch:
            return Sent(refused=batch, why="status 400")
        sent.extend(batch)
        return Sent()

    queue = Queue(export)
    for number in range(BATCH + 1):
        queue.put(number)
    assert queue.send() == ["status 400"]
    assert sent == [BATCH]
    assert queue.dropped == BATCH


def test_of_a_batch_that_was_taken_in_part_only_the_rest_is_sent_again():
    batches = []

    def export(batch):
        batches.append(list(batch))
        return Sent(again=[2, 3], refused=[4], why="status 206") if len(batches) == 1 else Sent()

    queue = Queue(export)
    for number in range(6):
        queue.put(number)
    assert queue.send() == ["status 206"]
    queue.put(6)
    assert queue.send() == []
    assert batches == [[0, 1, 2, 3, 4, 5], [2, 3, 6]]
    assert queue.dropped == 1


def test_what_cannot_be_written_does_not_stand_in_the_way(caplog):
    def export(batch):
        raise TypeError("a private value cannot be written")

    queue = Queue(export)
    queue.put(1)
    assert queue.send() == ["it cannot be written"]
    assert queue.send() is None
    assert queue.dropped == 1
    assert "telemetry could not be made ready" in caplog.text


class Place:
    """Keeps the values of metrics by name, if it takes any, and counts the tries."""

    def __init__(self, metric_seconds=0.0):
        self.told, self.tries, self.sent = [], 0, Sent()
        self.takes = threading.Event()
        self.takes.set()
        exports = Exports("place", "A place", metric_seconds, self.take, self.take, self.metrics)
        self.destination = Destination(exports, Resource({}))

    def take(self, _):
        self.takes.wait()
        return self.sent

    def metrics(self, data):
        found = list(data.resource_metrics[0].scope_metrics[0].metrics)
        self.tries += 1
        if self.sent.why:
            return Sent(again=found, why=self.sent.why)
        self.told += [(metric.name, metric.data.data_points[0].value) for metric in found]
        return Sent()

    def __enter__(self):
        self.destination.start()
        return self

    def __exit__(self, *_):
        self.takes.set()
        self.destination.end()
        self.destination.join(10)


def count(value):
    return counter("sum", "1", "", [({}, value)], 0, 1)


def test_metrics_wait_for_their_time_unless_it_is_the_end_or_at_once():
    with Place(metric_seconds=3600) as place:
        place.destination.offer([count(1)])
        wait_until(lambda: place.told == [("sum", 1)])
        place.destination.spans.put("a span")
        place.destination.offer([count(2)])
        wait_until(lambda: place.destination.spans.send() is None)
        assert place.told == [("sum", 1)]
        place.destination.offer([count(3)], at_once=True)
        wait_until(lambda: place.told == [("sum", 1), ("sum", 3)])
        place.destination.offer([count(4)])
    assert place.told == [("sum", 1), ("sum", 3), ("sum", 4)]


def test_only_what_was_tried_is_counted_as_failed(caplog):
    with Place(metric_seconds=3600) as place:
        place.destination.offer([count(1)])
        wait_until(lambda: place.told)
        place.sent = Sent(again=["a span"], why="no answer")
        place.destination.spans.put("a span")
        place.destination.offer([count(2)])
        wait_until(lambda: "A place takes no telemetry (no answer)" in caplog.text)
        assert place.destination.failed == 1
        place.sent = Sent()
        place.destination.offer([count(3)])
        wait_until(lambda: "A place takes telemetry again" in caplog.text)
        assert place.destination.failed == 1
        assert place.tries == 1


def test_states_are_kept_until_they_are_taken_and_bounded(caplog):
    with Place() as place:
        place.sent = Sent(why="no answer")
        for number in range(STATES + 3):
            place.destination.offer([gauge("state", "1", "", [({}, number)], 1)])
        wait_until(lambda: "takes no telemetry" in caplog.text)
    assert place.destination.states.dropped == 3
    place.sent = Sent()
    assert place.destination.states.send() == []
    assert place.told == [("state", number) for number in range(3, STATES + 3)]


def test_one_place_that_hangs_takes_no_time_from_another():
    with Place() as hanging, Place(metric_seconds=3600) as place:
        hanging.takes.clear()
        for each in (hanging, place):
            each.destination.spans.put("a span")
            each.destination.offer([count(1)])
        wait_until(lambda: place.told == [("sum", 1)])
        place.destination.offer([count(2)])
        for each in (hanging, place):
            each.destination.end()
        place.destination.join(10)
        assert place.told == [("sum", 1), ("sum", 2)]
