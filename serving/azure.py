"""`/score` as Azure's inference server speaks it, as a plain ASGI application.

It stands before FastAPI's routing because that costs more than the scoring does; `serving.swagger`
documents it. Status codes, messages and headers follow Azure's inference server 1.5.1.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from importlib.metadata import version
from random import getrandbits
from time import perf_counter
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Message, Receive, Scope, Send

from serving.errors import InvalidRequest, NotReady
from serving.keys import KeyRing
from serving.scorer import Method, Scorer

MAX_REQUEST_ID = 100
_SERVER = (b"x-ms-server-version", f"homeport/{version('homeport')}".encode())
_SUCCEEDED, _FAILED = (b"x-ms-run-function-failed", b"False"), (b"x-ms-run-function-failed", b"True")
_JSON = (b"content-type", b"application/json")
_ALLOW = (b"allow", b"GET, POST, OPTIONS")

log = logging.getLogger("homeport.serving")

Headers = list[tuple[bytes, bytes]]


class GlobalParameters(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The optional part of the newer envelope."""

    method: Method = "predict"


class BodyTooLarge(InvalidRequest):
    """The body is longer than the limit."""


class Azure:
    """The dialect for one scorer. Without a scorer every call is answered with 503 and the reason."""

    def __init__(
        self, scorer: Scorer | NotReady, keys: KeyRing, *, max_body: int, inline_rows: int, string_results: bool
    ) -> None:
        self._scorer = scorer
        self._recognise = keys.recognise
        self._max_body = max_body
        self._inline_rows = inline_rows
        self._encode: Callable[[Any], bytes] = _encode_as_string if string_results else msgspec.json.encode
        if isinstance(scorer, Scorer):
            self._decode = msgspec.json.Decoder(_envelope(scorer.Row)).decode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id") or b"%032x" % getrandbits(128)  # unique, not secret
        echoed = [_SERVER, (b"x-request-id", request_id)]
        if b"x-ms-client-request-id" in headers:
            echoed.append((b"x-ms-client-request-id", headers[b"x-ms-client-request-id"]))
        if max(len(request_id), len(headers.get(b"x-ms-client-request-id", b""))) > MAX_REQUEST_ID:
            message = f"A request id should have at most {MAX_REQUEST_ID} characters."
            return await _respond(send, 431, _message(message), [_SERVER])
        method = scope["method"]
        if method == "OPTIONS":
            return await _respond(send, 200, b"", [*echoed, _ALLOW])
        if method not in ("GET", "POST"):
            message = "The method is not allowed for the requested URL."
            return await _respond(send, 405, _message(message), [*echoed, _ALLOW])
        if self._recognise(headers.get(b"authorization", b"")) is None:
            message = "Give one of the endpoint's keys in the header 'Authorization: Bearer <key>'."
            return await _respond(send, 401, _message(message), [*echoed, (b"www-authenticate", b"Bearer")])
        if isinstance(self._scorer, NotReady):
            return await _respond(send, 503, _message(str(self._scorer)), echoed)
        try:
            if method == "GET":
                body = _query_as_body(scope["query_string"])
            else:
                if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
                    return await _respond(send, 415, _message("Expects Content-Type to be application/json"), echoed)
                body = await _body(receive, headers, self._max_body)
            answer, milliseconds = await self._run(self._scorer, body)
        except BodyTooLarge as error:
            return await _respond(send, 413, _message(str(error)), [*echoed, (b"connection", b"close")])
        except InvalidRequest as error:
            return await _respond(send, 400, _message(str(error)), echoed)
        except _Disconnected:
            return None
        except Exception:
            log.exception("request %s failed", request_id.decode("latin-1"))
            message = f"The model failed; the service's log says why (request {request_id.decode('latin-1')})."
            return await _respond(send, 500, _message(message), [*echoed, _FAILED])
        return await _respond(
            send, 200, answer, [*echoed, _SUCCEEDED, (b"x-ms-run-fn-exec-ms", b"%.3f" % milliseconds)]
        )

    async def _run(self, scorer: Scorer, body: bytes) -> tuple[bytes, float]:
        """Decode, score and encode; returns the answer and the milliseconds that scoring took."""
        try:
            envelope = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            envelope = None
        if envelope is None:
            raise await asyncio.to_thread(_explained, scorer, body)  # slow on a large body
        started = perf_counter()
        if envelope.Inputs is msgspec.UNSET:
            key, rows, method = "result", envelope.data, envelope.method
            mixed = envelope.GlobalParameters is not msgspec.UNSET
        else:
            key, rows = "Results", envelope.Inputs.data
            method = "predict" if envelope.GlobalParameters is msgspec.UNSET else envelope.GlobalParameters.method
            mixed = envelope.data is not msgspec.UNSET or envelope.method is not msgspec.UNSET
        if rows is msgspec.UNSET:
            raise InvalidRequest("A value is not provided for the 'data' parameter.")
        if mixed:
            raise InvalidRequest("Give either data and method, or Inputs and GlobalParameters.")
        if method is msgspec.UNSET:
            method = "predict"
        if len(rows) <= self._inline_rows:
            answer = scorer.score(rows, method)
        else:
            answer = await asyncio.to_thread(scorer.score, rows, method)
        return self._encode({key: answer}), (perf_counter() - started) * 1000


class _Disconnected(Exception):
    """The client went away before its body was whole."""


def _envelope(row: type[msgspec.Struct]) -> Any:
    """Both envelopes in one struct; which one it is shows in which field is set."""
    rows: Any = list[row]  # type: ignore[valid-type]
    options: dict[str, Any] = {"forbid_unknown_fields": True, "gc": False}
    inputs = msgspec.defstruct("Inputs", [("data", rows)], **options)
    return msgspec.defstruct(
        "Envelope",
        [
            ("data", rows | msgspec.UnsetType, msgspec.UNSET),
            ("method", Literal["predict", "predict_proba"] | msgspec.UnsetType, msgspec.UNSET),
            ("Inputs", inputs | msgspec.UnsetType, msgspec.UNSET),
            ("GlobalParameters", GlobalParameters | msgspec.UnsetType, msgspec.UNSET),
        ],
        **options,
    )


def _explained(scorer: Scorer, body: bytes) -> InvalidRequest:
    """Why a body was refused, by a slow second look at it."""
    if not body.strip():
        return InvalidRequest("POST body is empty. Expecting a JSON dictionary.")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        return InvalidRequest(f"POST body could not be decoded as JSON: {error}")
    if not isinstance(content, dict):
        return InvalidRequest("POST body should be a JSON dictionary.")
    known = {"data", "method", "Inputs", "GlobalParameters"}
    unknown = sorted(set(content) - known)
    if unknown:
        return InvalidRequest(
            f"Unknown parameter {json.dumps(unknown[0])}. Known are: data, method; or Inputs, GlobalParameters."
        )
    inputs = content.get("Inputs", {})
    parameters = content.get("GlobalParameters", {})
    if "data" not in content and (not isinstance(inputs, dict) or "data" not in inputs):
        return InvalidRequest("A value is not provided for the 'data' parameter.")
    if "Inputs" in content and (not isinstance(inputs, dict) or set(inputs) != {"data"}):
        return InvalidRequest("'Inputs' should be an object with 'data' alone.")
    if not isinstance(parameters, dict) or set(parameters) - {"method"}:
        return InvalidRequest("'GlobalParameters' should be an object with 'method' alone.")
    for method in (content.get("method", "predict"), parameters.get("method", "predict")):
        if method not in ("predict", "predict_proba"):
            return InvalidRequest(f"'method' should be 'predict' or 'predict_proba', got {json.dumps(method)[:80]}.")
    try:
        for rows in [holder["data"] for holder in (content, inputs) if "data" in holder]:
            scorer.complain(rows)
    except InvalidRequest as error:
        return error
    return InvalidRequest("POST body could not be decoded as JSON: it is not strict JSON in UTF-8.")


def _query_as_body(query: bytes) -> bytes:
    """`?data=[…]&method="predict"` → the body of a POST; a value that is no JSON is taken as a string."""
    content = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        try:
            content[name] = json.loads(value)
        except (ValueError, RecursionError):
            content[name] = value
    return json.dumps(content).encode()


async def _body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """Read the body. Raises BodyTooLarge as soon as it is known to be."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(
            f"The body has {int(declared)} bytes; the endpoint takes {limit}. Send fewer rows at a time."
        )
    parts: list[bytes] = []
    size = 0
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes. Send fewer rows at a time.")
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _encode_as_string(content: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.encode(content).decode())


def _message(text: str) -> bytes:
    return json.dumps({"message": text}).encode()


async def _respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    headers = [*headers, _JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
