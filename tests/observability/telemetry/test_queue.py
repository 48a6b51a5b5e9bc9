"""What waits is bounded, and what finds no place is counted."""

from enum import Enum

from observability.telemetry.destination import BATCH, WAITING, Queue


class Result(Enum):
    SUCCESS = 0
    FAILURE = 1


def test_a_queue_keeps_the_newest_and_counts_the_others():
    sent, up = [], False

    def export(batch):
        if up:
            sent.extend(batch)
        return Result.SUCCESS if up else Result.FAILURE

    queue = Queue(export, lambda: False)
    for number in range(WAITING + 7):
        queue.put(number)
    assert not queue.send()
    assert queue.dropped == 7
    up = True
    assert queue.send()
    assert sent == list(range(7, WAITING + 7))


def test_a_batch_is_bounded():
    sizes = []

    def export(batch):
        sizes.append(len(batch))
        return Result.SUCCESS

    queue = Queue(export, lambda: False)
    for number in range(BATCH + 1):
        queue.put(number)
    assert queue.send()
    assert sizes == [BATCH, 1]


def test_what_is_refused_for_good_does_not_stand_in_the_way():
    sent = []

    def export(batch):
        if 3 in batch:
            return Result.FAILURE
        sent.extend(batch)
        return Result.SUCCESS

    queue = Queue(export, lambda: True)
    for number in range(BATCH + 1):
        queue.put(number)
    assert queue.send()
    assert sent == [BATCH]
    assert queue.dropped == BATCH
