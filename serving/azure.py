"""`/score` as Azure's inference server speaks it.

Status codes, messages and headers follow Azure's inference server 1.5.1; `serving.swagger` documents it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from time import perf_counter
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl

import msgspec

from bundle import __version__
from serving.errors import InvalidRequest
from serving.exchange import Answer, Dialect, Headers, Request
from serving.scorer import Method, Scorer

_SERVER = (b"x-ms-server-version", f"homeport/{__version__}".encode())
_SUCCEEDED = (b"x-ms-run-function-failed", b"False")


class GlobalParameters(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The optional part of the newer envelope."""

    method: Method = "predict"


class Azure(Dialect):
    """Both envelopes of Azure ML's services."""

    name = "azure"
    methods = ("GET", "POST")
    failed: ClassVar[Headers] = [(b"x-ms-run-function-failed", b"True")]

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._decode = msgspec.json.Decoder(_envelope(scorer.Row)).decode
        self._encode: Callable[[Any], bytes] = msgspec.json.encode

    def answer(self, request: Request) -> Answer:
        """Rows in either envelope → labels or probabilities in the same."""
        body = request.body
        if request.method == "GET":
            body = _query_as_body(request.query)
        else:
            request.demand_json()
        try:
            envelope = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            envelope = None
        if envelope is None:
            raise _explained(self._scorer, body)
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
        answer = self._encode({key: self._scorer.score(rows, method, request.deadline)})
        milliseconds = b"%.3f" % ((perf_counter() - started) * 1000)
        return Answer(answer, headers=[_SUCCEEDED, (b"x-ms-run-fn-exec-ms", milliseconds)], rows=len(rows))

    @classmethod
    def headers(cls, request: Request) -> Headers:
        """The server's version, and the client's own id of its request."""
        client_id = request.headers.get(b"x-ms-client-request-id")
        return [_SERVER] if client_id is None else [_SERVER, (b"x-ms-client-request-id", client_id)]


class AzureStrings(Azure):
    """The same with each answer as a JSON string that holds the object, as Azure's first SDK deployed it."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer)
        self._encode = _encode_as_string


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


def _encode_as_string(content: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.encode(content).decode())
