"""Who scores mini-batches: the threads of this process. Dask is in `pipeline.batch.on_dask`."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, Protocol, TypeVar

import pyarrow as pa

from bundle.model import Model
from pipeline.batch.minibatch import MiniBatch
from pipeline.batch.score import Scored, score

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Work = tuple[int, MiniBatch]  # the place of its file


class Engine(Protocol):
    """Scores mini-batches and gives them back in their order."""

    def score(self, work: Generator[Work, None, None]) -> Generator[tuple[Work, Scored], None, None]:
        """A bounded number of them is under way at a time."""


class Threads:
    """The kernel and ONNX Runtime let other threads run while they score."""

    def __init__(self, model: Model, threads: int) -> None:
        self._model, self._threads = model, threads

    def score(self, work: Generator[Work, None, None]) -> Generator[tuple[Work, Scored], None, None]:
        """Read ahead, score on all threads, hand back in order."""
        with ThreadPoolExecutor(self._threads, "score") as pool, ahead(work, self._threads) as coming:

            def submit(one: Work) -> Future[Scored]:
                rows = model_rows(self._model.names, one[1].rows)
                return pool.submit(score, self._model, rows, one[1].spelling)

            yield from in_order(coming, submit, Future.result, 2 * self._threads)


def model_rows(names: Sequence[str], rows: pa.RecordBatch) -> pa.RecordBatch:
    """The columns that a model takes, as far as they are there."""
    return rows.select([name for name in names if rows.schema.get_field_index(name) >= 0])


def in_order(
    items: Iterable[Item], submit: Callable[[Item], Answer], result: Callable[[Answer], Scored], under_way: int
) -> Iterator[tuple[Item, Scored]]:
    """Submit up to so many items ahead of the one that is handed back."""
    window: deque[tuple[Item, Answer]] = deque()
    for item in items:
        window.append((item, submit(item)))
        if len(window) > under_way:
            first, answer = window.popleft()
            yield first, result(answer)
    while window:
        first, answer = window.popleft()
        yield first, result(answer)


class _End(NamedTuple):
    error: BaseException | None


@contextmanager
def ahead(items: Generator[Item, None, None], count: int) -> Iterator[Iterator[Item]]:
    """The same items, taken by another thread up to so many ahead; what it raises is raised here."""
    ready: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()
    places, ended = threading.Semaphore(count), threading.Event()

    def take() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                places.acquire()
                if ended.is_set():
                    break
                ready.put(item)
        except BaseException as raised:
            error = raised
        finally:
            items.close()
            ready.put(_End(error))

    def given() -> Iterator[Item]:
        while not isinstance(item := ready.get(), _End):
            yield item
            places.release()
        if item.error:
            raise item.error

    thread = threading.Thread(target=take, name="read", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        ended.set()
        places.release()
        thread.join()
