"""Availability: asks addresses again and again whether they answer, as Azure's availability tests do."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from threading import Event, Thread
from time import perf_counter, time

import httpx

from observability.insights.batch import Batch
from observability.insights.counters import ROLE
from observability.insights.writer import Writer

TIMEOUT_SECONDS = 10.0
log = logging.getLogger("homeport.insights")


class Prober:
    """Asks each of `targets`, addresses by name, every `seconds` from `start` until `close`, in a thread of its own.

    An answer of 200 to 299 is success. Each test carries a `traceparent` that asks for no span: a request that fails
    is kept all the same, and found from the test by its operation id.
    """

    def __init__(self, writer: Writer, targets: Mapping[str, str], seconds: float) -> None:
        self._writer, self._seconds = writer, seconds
        self._end = Event()
        self._location = socket.gethostname()
        self._threads = [
            Thread(target=self._run, args=target, name="prober", daemon=True) for target in targets.items()
        ]

    def start(self) -> None:
        """Ask at once, and then again and again."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End; a test under way is not waited for, its result is dropped."""
        self._end.set()

    def _run(self, name: str, address: str) -> None:
        with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as client:  # a proxy is not what is tested
            while not self._end.is_set():
                batch = _test(client, name, address, self._location)
                if not self._end.is_set():
                    self._writer.submit(batch)
                self._end.wait(self._seconds)


def _test(client: httpx.Client, name: str, address: str, location: str) -> Batch:
    trace, span = os.urandom(16).hex(), os.urandom(8).hex()
    now, began = int(time() * 1e6), perf_counter()
    try:
        # not the body: that it begins to answer is what is asked
        with client.stream("GET", address, headers={"traceparent": f"00-{trace}-{span}-00"}) as answer:
            success, message = answer.is_success, f"{answer.status_code} {answer.reason_phrase}".strip()
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        success, message = False, str(error) or type(error).__name__
    duration = 1000 * (perf_counter() - began)
    batch = Batch()
    common = ("{}", None, trace, None, ROLE, location, 1)
    batch.add("availabilityResults", (now, span, name, location, success, message, duration, *common))
    return batch.seal()
