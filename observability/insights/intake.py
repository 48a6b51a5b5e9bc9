"""`POST /v1/traces`, `/v1/metrics` and `/v1/logs`: an export in, 200 once it is stored, or the reason why not."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from observability.insights.batch import Batch
from observability.insights.counters import Counters
from observability.insights.errors import (
    BodyTooLarge,
    Full,
    InvalidExport,
    MediaUnsupported,
    MethodNotAllowed,
    TooSlow,
)
from observability.insights.logs import add_logs
from observability.insights.metrics import add_metrics
from observability.insights.otlp import Encoding, Signal, answer, decompress, parse, status
from observability.insights.spans import add_spans
from observability.insights.writer import Writer

PATHS = {f"/v1/{signal.value}": signal for signal in Signal}
RECEIVE_SECONDS = 20.0
RETRY_SECONDS = 1
_REFUSALS: dict[type[Exception], tuple[int, str]] = {
    BodyTooLarge: (413, "too large"),
    MediaUnsupported: (415, "unknown type"),
    MethodNotAllowed: (405, "method"),
    TooSlow: (408, "too slow"),
    InvalidExport: (400, "invalid"),
    Full: (503, "full"),
}


class Intake:
    """An ASGI application for PATHS. It holds no more than `max_waiting_bytes` that are not stored yet."""

    def __init__(self, writer: Writer, counters: Counters, max_body_bytes: int, max_waiting_bytes: int) -> None:
        self._writer, self._counters = writer, counters
        self._max_body_bytes, self._max_waiting_bytes = max_body_bytes, max_waiting_bytes
        self._decoder = ThreadPoolExecutor(1, "decoder")  # one: a body that unfolds to a lot has no companion
        self.waiting_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        signal, headers = PATHS[scope["path"]], Headers(scope=scope)
        encoding = Encoding.PROTOBUF
        try:
            if scope["method"] != "POST":
                raise MethodNotAllowed("OTLP is sent by POST.")
            encoding = Encoding.of(headers.get("content-type", ""))
            rejected = await self._take(signal, encoding, headers, receive)
        except ClientDisconnect:
            return
        except (InvalidExport, Full) as error:
            code, reason = next(known for kind, known in _REFUSALS.items() if isinstance(error, kind))
            self._counters.add("refused", {reason: 1})
            await _send(send, code, encoding, status(encoding, str(error)))
            return
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in rejected.items())
        await _send(send, 200, encoding, answer(signal, encoding, sum(rejected.values()), reasons))

    async def _take(self, signal: Signal, encoding: Encoding, headers: Headers, receive: Receive) -> dict[str, int]:
        """Read, decode and store; the items that were rejected, by reason."""
        expected = _length(headers)
        if expected is not None and expected > self._max_body_bytes:
            raise self._too_large()
        held = self._hold(0, expected or self._max_body_bytes)
        try:
            body = await self._body(receive)
            coding = headers.get("content-encoding", "").strip().lower()
            loop = asyncio.get_running_loop()
            batch = await loop.run_in_executor(self._decoder, self._decode, signal, encoding, body, coding)
            del body
            held = self._hold(held, batch.size)
            return await asyncio.wrap_future(self._writer.submit(batch))
        finally:
            self.waiting_bytes -= held

    def _hold(self, held: int, size: int) -> int:
        """Hold `size` bytes instead of `held`. An export that is alone is always taken."""
        others = self.waiting_bytes - held
        if others and others + size > self._max_waiting_bytes:
            raise Full("Too much waits to be stored; send it again later.")
        self.waiting_bytes = others + size
        return size

    async def _body(self, receive: Receive) -> bytes:
        parts, size = [], 0
        try:
            async with asyncio.timeout(RECEIVE_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._max_body_bytes:
                        raise self._too_large()
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise TooSlow(f"The body did not arrive within {RECEIVE_SECONDS:g} s.") from None

    def _decode(self, signal: Signal, encoding: Encoding, body: bytes, coding: str) -> Batch:
        export = parse(signal, decompress(body, coding, self._max_body_bytes), encoding)
        batch = Batch()
        if signal is Signal.TRACES:
            add_spans(export, batch)
        elif signal is Signal.METRICS:
            add_metrics(export, batch)
        else:
            add_logs(export, batch)
        return batch.seal()

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body is longer than {self._max_body_bytes:,} bytes: send smaller batches.")


def _length(headers: Headers) -> int | None:
    declared = headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else None


async def _send(send: Send, code: int, encoding: Encoding, body: bytes) -> None:
    headers = [(b"content-type", encoding.value.encode()), (b"content-length", str(len(body)).encode())]
    if code == 503:
        headers.append((b"retry-after", str(RETRY_SECONDS).encode()))
    elif code in (408, 413):
        headers.append((b"connection", b"close"))  # what is left of the body is not read
    elif code == 405:
        headers.append((b"allow", b"POST"))
    start: Message = {"type": "http.response.start", "status": code, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
