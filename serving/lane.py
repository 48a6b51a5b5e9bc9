"""Threads for one kind of request, and how many requests may wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from serving.errors import Busy


class Lane:
    """Requests of one kind do not hold up those of another: each kind has a lane of its own."""

    def __init__(self, name: str, threads: int, places: int) -> None:
        self.pool = ThreadPoolExecutor(threads, name)
        self._name = name
        self._places = places
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places, from before the body is read until the answer is there. Raises Busy."""
        if self._taken >= self._places:
            raise Busy(f"{self._places} requests to {self._name} are under way, the limit. Try again in a second.")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
