"""The client: plain sockets, so that it costs little beside the servers that it asks.

`homeport.bench` measures latency, and has an event loop; here only the server's CPU counts.

While one half of its connections is read and sent to again, the server has the requests of the other.
The answers of a half are read the last first: a server must not pay for waking the client at each of
its answers. One that closes each connection is read in order, as it waits for the client to close, too.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

HOST = "127.0.0.1"
CONNECTIONS = 16
PATIENCE = 60.0  # seconds for one answer

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_PIECE = 262_144


class Refused(Exception):
    """The answer's status is not 200; the message is the beginning of the answer."""


def request(path: str, body: bytes, headers: str = "") -> bytes:
    """One POST of JSON as it goes over the wire; each of `headers` ends with a line break."""
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """One connection, opened again for each request to a server that closes it after each answer.

    >>> with Connection(8000) as connection:
    ...     connection.send(request("/score", b'{"data": []}'))
    ...     connection.receive()
    b'{"result":[]}'
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._close()

    @property
    def kept(self) -> bool:
        """Whether the server has left the connection open."""
        return self._socket is not None

    def fileno(self) -> int:
        """The number of the open socket."""
        assert self._socket is not None
        return self._socket.fileno()

    def send(self, content: bytes) -> None:
        """Send one request. Raises OSError."""
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port), timeout=PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(content)

    def receive(self) -> bytes:
        """The body of the answer. Raises Refused, OSError."""
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head, body = received[:end], received[end + 4 :]
        length = _LENGTH.search(head)
        if length is not None:
            while len(body) < int(length[1]):
                body += self._more()
        elif _CHUNKED.search(head):
            body = self._dechunked(body)
        else:
            raise Refused(f"no length: {head[:300]!r}")
        if _CLOSE.search(head):
            self._close()
        if not head.startswith(b"HTTP/1.1 200"):
            raise Refused(f"{(head + body)[:500]!r}")
        return body

    def _more(self) -> bytes:
        assert self._socket is not None
        piece = self._socket.recv(_PIECE)
        if not piece:
            raise ConnectionResetError("closed before the end of the answer")
        return piece

    def _dechunked(self, received: bytes) -> bytes:
        body = b""
        while True:
            while (end := received.find(b"\r\n")) < 0:
                received += self._more()
            size, received = int(received[:end].split(b";")[0], 16), received[end + 2 :]
            while len(received) < size + 2:
                received += self._more()
            body, received = body + received[:size], received[size + 2 :]
            if not size:
                return body

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclass(frozen=True)
class Drive:
    """What a number of requests took."""

    requests: int
    seconds: float  # of wall time
    client: float  # seconds of this process's CPU


def drive(port: int, requests: Sequence[bytes], count: int, connections: int = CONNECTIONS) -> Drive:
    """Send one request to see how the server treats connections, then at least `count`, another one of
    `requests` each time. Raises Refused, OSError.
    """
    turns = -(-count // connections)
    with ExitStack() as stack:
        opened = [stack.enter_context(Connection(port)) for _ in range(connections)]
        opened[0].send(requests[0])
        opened[0].receive()
        step = -1 if opened[0].kept else 1
        halves = opened[: connections // 2], opened[connections // 2 :]
        wall, cpu = time.perf_counter(), time.process_time()
        sent = 0
        for turn in range(turns + 1):
            for half in halves:
                if turn:
                    for connection in half[::step]:
                        connection.receive()
                if turn < turns:
                    for connection in half:
                        connection.send(requests[sent % len(requests)])
                        sent += 1
        return Drive(sent, time.perf_counter() - wall, time.process_time() - cpu)


def flood(port: int, requests: Sequence[bytes], count: int, connections: int) -> Drive:
    """Send `count` requests, the next one on each connection as soon as its answer is there.

    For more than one worker: with `drive`, a slow one would hold the other up. Raises Refused, OSError.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(Connection(port)) for _ in range(connections)]
        ready = stack.enter_context(select.epoll())
        wall, cpu = time.perf_counter(), time.process_time()
        for sent, connection in enumerate(opened):
            connection.send(requests[sent % len(requests)])
            ready.register(connection, select.EPOLLIN)
        by_number = {connection.fileno(): connection for connection in opened}
        sent, answered = connections, 0
        while answered < count:
            for number, _ in ready.poll():
                by_number[number].receive()
                answered += 1
                if sent < count:
                    by_number[number].send(requests[sent % len(requests)])
                    sent += 1
        return Drive(answered, time.perf_counter() - wall, time.process_time() - cpu)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
