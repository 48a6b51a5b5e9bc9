"""The way of every scoring request: who may pass, what is too much, and what an error is in HTTP.

`respond` answers a request that has arrived whole and is small; called as an ASGI application the gate
takes any other: it reads the body, scores it in a thread, and refuses what is past the limits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from random import getrandbits
from time import monotonic, perf_counter

from starlette.types import Receive, Scope, Send

from serving.errors import (
    BodyTooLarge,
    Busy,
    DeadlineExceeded,
    Disconnected,
    InvalidRequest,
    KeyRefused,
    MediaUnsupported,
    MethodNotAllowed,
    NotExplainable,
    NotReady,
    RequestIdTooLong,
    TooManyRows,
)
from serving.exchange import Answer, Headers, Mounted, Request
from serving.keys import KeyName, KeyRing
from serving.lane import Lane
from serving.live import Live
from serving.settings import Settings
from serving.spans import within
from serving.telemetry import Telemetry

log = logging.getLogger("homeport.serving")

MAX_REQUEST_ID = 100
KEY_WANTED = "Give one of the endpoint's keys in the header 'Authorization: Bearer <key>'."
THREADS = min(4, os.cpu_count() or 1)
EXPLANATIONS = 8  # requests under way: each may take seconds
_STATUS: dict[type[Exception], tuple[int, Headers]] = {
    InvalidRequest: (400, []),
    KeyRefused: (401, [(b"www-authenticate", b"Bearer")]),
    MethodNotAllowed: (405, []),
    BodyTooLarge: (413, []),  # the rest is read and dropped: a client that is cut off never sees why
    MediaUnsupported: (415, []),
    TooManyRows: (422, []),
    Busy: (429, [(b"retry-after", b"1")]),
    RequestIdTooLong: (431, []),
    NotExplainable: (501, []),
    NotReady: (503, [(b"retry-after", b"5")]),
    DeadlineExceeded: (504, []),
}
_PRINTABLE = re.compile(rb"[\x20-\x7e]*").fullmatch


class Gate:
    """Keys, limits and telemetry around the dialects of whatever is served at the moment."""

    def __init__(self, live: Live, keys: KeyRing, telemetry: Telemetry, settings: Settings) -> None:
        self.live = live
        self.draining = False  # the server is about to end: clients should go elsewhere
        self._recognise = keys.recognise
        self.telemetry = telemetry
        self.max_body = settings.max_body_bytes
        self._max_seconds = settings.max_seconds
        self._scoring = Lane("score", THREADS, settings.max_concurrency)
        self._explaining = Lane("explain", 1, EXPLANATIONS)

    def respond(self, mounted: Mounted, request: Request) -> Answer:
        """Answer a small request at once."""
        started = perf_counter()
        key = None
        try:
            key = self._admit(mounted, request)
            answer = mounted.answer(request)
        except Exception as error:
            answer = self._refusal(mounted, request, error)
        return self._stamped(mounted, request, answer, key, started)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer any request to the path of a dialect."""
        started = perf_counter()
        mounted: Mounted = scope["mounted"]
        headers = dict(scope["headers"])
        request = Request(
            scope["method"], scope["path"], scope["query_string"], headers, request_id(headers),
            deadline=monotonic() + self._max_seconds,
        )  # fmt: skip
        key = None
        try:
            if request.method == "OPTIONS":
                answer = Answer(b"", headers=[_allowed(mounted)])
            else:
                key = self._admit(mounted, request)
                lane = self._explaining if mounted.dialect.slow else self._scoring
                with lane.place():
                    request.body = await _body(receive, headers, self.max_body)
                    if len(request.body) <= mounted.inline_bytes:
                        answer = mounted.answer(request)
                    else:
                        loop = asyncio.get_running_loop()
                        answer = await loop.run_in_executor(lane.pool, _timely, mounted, request)
        except Disconnected:
            return
        except Exception as error:
            answer = self._refusal(mounted, request, error)
        answer = self._stamped(mounted, request, answer, key, started)
        found = [*answer.headers, (b"content-type", answer.media), (b"content-length", b"%d" % len(answer.body))]
        if self.draining:
            found.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": found})
        await send({"type": "http.response.body", "body": answer.body})

    def _admit(self, mounted: Mounted, request: Request) -> KeyName:
        """The name of the key that the request came with. Raises InvalidRequest."""
        headers = request.headers
        if len(request.id) > MAX_REQUEST_ID or len(headers.get(b"x-ms-client-request-id", b"")) > MAX_REQUEST_ID:
            request.id = _new_id()
            headers.pop(b"x-ms-client-request-id", None)
            raise RequestIdTooLong(f"A request id should have at most {MAX_REQUEST_ID} characters.")
        if request.method not in mounted.methods:
            raise MethodNotAllowed("The method is not allowed for the requested URL.")
        key = self._recognise(headers.get(b"authorization", b""))
        if key is None:
            raise KeyRefused(KEY_WANTED)
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise MediaUnsupported("A body in a Content-Encoding is not read here. Send it as it is.")
        return key

    def _refusal(self, mounted: Mounted, request: Request, error: Exception) -> Answer:
        """An error in the words of the dialect; one that is not the client's is logged with its trace."""
        status, headers = _STATUS.get(type(error), (500, []))
        message = str(error)
        if status == 500:
            shown = request.id.decode("latin-1")
            log.error("request %s failed", shown, exc_info=error, extra={"span": within(request)})
            message = f"The model failed; the service's log says why (request {shown})."
            headers = mounted.dialect.failed
        elif status == 405:
            headers = [_allowed(mounted)]
        return Answer(mounted.dialect.refusal(status, message), status, [*headers])

    def _stamped(
        self, mounted: Mounted, request: Request, answer: Answer, key: KeyName | None, started: float
    ) -> Answer:
        """The answer with the headers that all answers have, counted."""
        answer.headers += [*mounted.stamp, (b"x-request-id", request.id), *mounted.dialect.headers(request)]
        self.telemetry.record(mounted, request, answer, key, perf_counter() - started)
        return answer


def request_id(headers: dict[bytes, bytes]) -> bytes:
    """The client's id of its request, or a new one: unique, not secret."""
    sent = headers.get(b"x-request-id")
    return sent if sent and _PRINTABLE(sent) else _new_id()


def _new_id() -> bytes:
    return b"%032x" % getrandbits(128)


def _allowed(mounted: Mounted) -> tuple[bytes, bytes]:
    return b"allow", ", ".join((*mounted.methods, "OPTIONS")).encode()


def _timely(mounted: Mounted, request: Request) -> Answer:
    """Answer in a thread, unless the request has waited for one too long."""
    if monotonic() > request.deadline:
        raise DeadlineExceeded("Time was up before a thread was free. Send less at a time, or try again later.")
    return mounted.answer(request)


async def _body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """Read the body. Raises BodyTooLarge as soon as it is known to be, and Disconnected."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(
            f"The body has {int(declared)} bytes; the endpoint takes {limit}. Send fewer rows at a time."
        )
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes. Send fewer rows at a time.")
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
