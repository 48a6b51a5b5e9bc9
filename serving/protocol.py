"""HTTP/1.1 on one connection: uvicorn's protocol with a shortcut and with time limits.

A small request to a scoring path is answered as soon as its last byte is there: no ASGI scope, no
task, one write. That is half of what such a request costs in uvicorn. Whatever is unusual about a
request (a large or chunked body, pipelining, `Expect`, `Origin`, `Connection: close`) is
handed to uvicorn as if nothing had happened, and reaches the same gate as an ASGI application.
`Upgrade` is ignored, as a server may: a client that offers HTTP/2 is answered in HTTP/1.1.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.exchange import Answer, Mounted, Request
from serving.gate import Gate, request_id

KEEP_ALIVE_SECONDS = 75  # longer than the usual load balancer's 60, so that it closes first
MAX_HEAD_BYTES = 65_536
_TIMEOUT = b'{"message": "The request did not arrive in time."}'
_HEAD_TOO_LARGE = b'{"message": "The head of the request is too large."}'


class Protocol(HttpToolsProtocol):
    """One connection; `deadline` is when it is cut unless something happens before."""

    def __init__(self, gate: Gate, receive_seconds: float, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._gate = gate
        self._receive_seconds = receive_seconds
        self._mounted: Mounted | None = None  # set while a request takes the shortcut
        self._parts: list[bytes] = []
        self._gathers = False  # set while the body of a scoring request goes uvicorn's way
        self._in_head = False
        self._in_chunk = False  # between the head of a chunk and its content; behind the last one are trailers
        self._head_bytes = 0
        self._is_anew = False  # set while a head with an offer to upgrade is taken back
        self._is_old = False  # HTTP/1.0, where a connection that stays open has to be said
        self.deadline = monotonic() + receive_seconds

    def data_received(self, data: bytes) -> None:
        """Feed the parser, whose callbacks follow; bounds what a head may take."""
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._in_head or self._in_chunk:
            # what came together with the end of another message is not counted
            self._head_bytes = 0 if self._head_bytes < 0 else self._head_bytes + len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._end(431, _HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Start of a request: the clock runs."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head, self._head_bytes = True, -1
        if not self.flow.write_paused:
            self.deadline = monotonic() + self._receive_seconds

    def on_headers_complete(self) -> None:
        """Decide the way of the request."""
        self._in_head = False
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._is_anew = True
            return
        mounted = self._gate.live.mounted.get(self.url.decode("latin-1"))
        if mounted is not None and self._is_plain(mounted.inline_bytes):
            self._mounted = mounted
            self._parts = []
        else:
            self._gathers = mounted is not None
            self._hand_over()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._mounted is not None:
            self._parts.append(body)
            return
        self._in_chunk = False
        if self._gathers and not self.cycle.response_complete:
            # the gate wants the body whole: to wake it for each part costs more than the copying
            self.cycle.body += body
            if len(self.cycle.body) > self._gate.max_body:
                self.cycle.message_event.set()
        else:
            super().on_body(body)

    def on_chunk_header(self) -> None:
        """Start of a chunk; what follows the last one is bounded as a head is."""
        self._in_chunk, self._head_bytes = True, -1

    def on_message_complete(self) -> None:
        """The request is whole: answer it."""
        mounted = self._mounted
        if mounted is None:
            if self._is_anew:
                return
            self._in_chunk = False
            if not self.flow.write_paused:  # then the clock runs already
                # the gate has a limit of its own
                self.deadline = monotonic() + KEEP_ALIVE_SECONDS if self.cycle.response_complete else inf
            super().on_message_complete()
            return
        self._mounted = None
        headers = dict(self.headers)
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        request = Request("POST", self.url.decode("latin-1"), b"", headers, request_id(headers), body)
        answer = self._gate.respond(mounted, request)
        self.server_state.total_requests += 1
        self.deadline = monotonic() + KEEP_ALIVE_SECONDS
        if self._gate.draining:
            answer.headers.append((b"connection", b"close"))
        elif self._is_old:
            answer.headers.append((b"connection", b"keep-alive"))
        self._write(answer)
        if self._gate.draining:
            self.transport.close()

    def on_response_complete(self) -> None:
        """An answer went uvicorn's way: the clock runs if no other is due."""
        super().on_response_complete()
        if self.deadline == inf and self.cycle.response_complete:
            self.deadline = monotonic() + KEEP_ALIVE_SECONDS

    def send_400_response(self, msg: str) -> None:
        """What came is not HTTP."""
        if self._is_answering():
            self.transport.close()
        else:
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """Close when idle; a request that is on its way in is still answered."""
        if self._mounted is not None or self._in_head:
            return  # once whole it is handed over, and answered with `Connection: close`
        super().shutdown()

    def pause_writing(self) -> None:
        """The client does not take its answer: the clock runs."""
        self.deadline = monotonic() + self._receive_seconds
        super().pause_writing()

    def resume_writing(self) -> None:
        """It took it after all."""
        self.deadline = monotonic() + KEEP_ALIVE_SECONDS
        super().resume_writing()

    def expire(self) -> None:
        """Cut the connection: its deadline is over."""
        started = self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self._is_answering():  # the client may be waiting for that
            self.deadline = monotonic() + self._receive_seconds
        elif started:
            self.transport.close()
        else:
            self._end(408, _TIMEOUT)

    def _feed(self, data: bytes) -> None:
        """Parse. A head that offers an upgrade is parsed once more without: the parser would skip its body."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                if not self._is_anew:
                    return  # CONNECT
                version = self.parser.get_http_version().encode()
                lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
                lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
                data = b"\r\n".join((*lines, b"", data[upgrade.args[0] :]))
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self._is_anew = False

    def _is_answering(self) -> bool:
        """Whether an answer is due before that to what arrives: nothing else may be sent in its place."""
        cycle = self.cycle
        return bool(self.pipeline) or (cycle is not None and not cycle.response_complete and not cycle.more_body)

    def _is_receiving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete and self.cycle.more_body

    def _is_plain(self, longest: int) -> bool:
        parser = self.parser
        if parser.get_method() != b"POST" or not parser.should_keep_alive():
            return False
        self._is_old = parser.get_http_version() == "1.0"
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        if self.expect_100_continue or self.flow.write_paused or self._gate.draining:
            return False
        length = b""
        for name, value in self.headers:
            if name == b"content-length":
                length = value
            elif name == b"origin":
                return False
        return length.isdigit() and int(length) <= longest

    def _hand_over(self) -> None:
        """Let uvicorn begin the message anew, with what was read of it."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()
        self.headers = []  # for trailers, which are no headers: nobody reads them

    def _write(self, answer: Answer) -> None:
        parts = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in answer.headers:
            parts += (name, b": ", value, b"\r\n")
        length = b"%d" % len(answer.body)
        parts += (b"content-type: ", answer.media, b"\r\ncontent-length: ", length, b"\r\n\r\n", answer.body)
        self.transport.write(b"".join(parts))

    def _end(self, status: int, body: bytes) -> None:
        is_arriving = self._in_head or self._mounted is not None or self._is_receiving()
        if is_arriving and not self._is_answering():
            self._write(Answer(body, status, [(b"connection", b"close")]))
        self.transport.close()
