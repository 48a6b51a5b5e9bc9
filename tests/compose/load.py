"""A client that goes on while services come and go."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from tests.compose.stack import until

PATH = "/invocations"  # which nothing else in these tests asks, so that its counts are the load's


class Load:
    """Two threads post a row again and again, each tenth time without a key. Use as a context manager."""

    answered: ClassVar[Counter[int]] = Counter()  # by status, of all loads of a class

    def __init__(self, url: str, key: str, row: dict[str, Any]) -> None:
        self._url, self._body = url, {"dataframe_records": [row]}
        self._headers = {"Authorization": f"Bearer {key}"}
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(2)]
        self.answers: Counter[int] = Counter()  # by status
        self.unanswered = 0

    def wait_for_answers(self, count: int) -> None:
        """Until so many more requests were answered with 200."""
        wanted = self.answers[200] + count
        until(lambda: self.answers[200] >= wanted, f"{count} more answers")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        number = 0
        with httpx.Client(base_url=self._url, timeout=10) as client:
            while not self._end.wait(0.002):  # some hundreds a second: the machine has other work too
                number += 1
                try:
                    headers = {} if number % 10 == 0 else self._headers
                    status = client.post(PATH, json=self._body, headers=headers).status_code
                except httpx.TransportError:
                    with self._lock:
                        self.unanswered += 1
                    self._end.wait(0.05)
                else:
                    with self._lock:
                        self.answers[status] += 1
                        self.answered[status] += 1
