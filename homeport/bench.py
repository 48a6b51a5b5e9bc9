"""Load on an endpoint: users that each send a request, wait for the answer, and send the next."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import uvloop

from homeport.errors import EndpointError

QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


@dataclass
class Measured:
    """What the users saw; `finished[i]` is when request i was answered and `latencies[i]` how long it took, seconds."""

    users: int
    rows: int
    seconds: float = 0.0
    finished: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)  # HTTP status, or what went wrong with a connection

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return self.statuses.total() - self.statuses["200"]

    @property
    def throughput(self) -> float:
        """Answered requests a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """The latency that a share of the requests did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


class User(asyncio.Protocol):
    """One connection, one request at a time, until it is stopped."""

    def __init__(self, requests: Iterator[bytes], measured: Measured, started: float) -> None:
        self._requests = requests
        self._measured, self._started = measured, started
        self._parser: Any = None
        self._sent = 0.0
        self._waiting = False
        self.stopped = False
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._send()

    def data_received(self, data: bytes) -> None:
        """Read a part of an answer; `on_message_complete` follows when it is whole."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._measured.statuses["no HTTP"] += 1
            self._waiting = False
            self._transport.close()

    def on_message_complete(self) -> None:
        """Note the answer and send the next request."""
        now = perf_counter()
        self._waiting = False
        self._measured.statuses[str(self._parser.get_status_code())] += 1
        self._measured.finished.append(now - self._started)
        self._measured.latencies.append(now - self._sent)
        if self.stopped or not self._parser.should_keep_alive():
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """An answer that did not come is a failure."""
        if self._waiting:
            self._measured.statuses["connection lost"] += 1
        if not self.closed.done():
            self.closed.set_result(None)

    def stop(self) -> None:
        """End after the answer that is awaited."""
        self.stopped = True
        if not self._waiting:
            self._transport.close()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = True
        self._sent = perf_counter()
        self._transport.write(next(self._requests))


def scoring_request(url: str, key: str, body: bytes) -> bytes:
    """The bytes of a request to `url`/score."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path.rstrip('/')}/score HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def measure(
    url: str,
    requests: Iterator[bytes],
    rows: int,
    users: int,
    seconds: float,
    progress: Callable[[float], None] = lambda _: None,
) -> Measured:
    """Send requests of `rows` rows each for some seconds; `progress` is told how many have passed.

    The users take their requests from one endless iterator. Ctrl-C ends it early. Raises EndpointError if
    nothing answers there.
    """
    measured = Measured(users, rows)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = ssl.create_default_context() if parts.scheme == "https" else None

    async def load() -> None:
        loop = asyncio.get_running_loop()
        started = perf_counter()
        places: list[User | None] = [None] * users
        try:
            while (passed := perf_counter() - started) < seconds:
                for place, user in enumerate(places):
                    if user is None or user.closed.done():  # a server may close a connection: the user comes back
                        _, places[place] = await loop.create_connection(
                            lambda: User(requests, measured, started),
                            parts.hostname or "", port, ssl=context,
                        )  # fmt: skip
                progress(passed)
                await asyncio.sleep(min(0.1, seconds - passed))
        finally:
            measured.seconds = perf_counter() - started
            running = [user for user in places if user is not None]
            for user in running:
                user.stop()
            await asyncio.wait([user.closed for user in running], timeout=10) if running else None

    try:
        uvloop.run(load())
    except KeyboardInterrupt:
        if not measured.latencies:
            raise
    except OSError as error:
        raise EndpointError(f"No answer from {url} ({error}). Is it running? `homeport up` starts it.") from error
    return measured
