"""`GET /report`: the report of the model that answers. It shows test rows, so it needs a key.

Programs send the key as everywhere; a browser asks for it, as the password of HTTP Basic, with any user
name. It is never part of an address.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from serving.gate import Gate
from serving.keys import KeyRing
from serving.scorer import Scorer

REPORT = "report.html"
PATH = "/report"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
KEY_WANTED = (
    "Give one of the endpoint's keys in the header 'Authorization: Bearer <key>', or in a browser as the password."
)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}},
    401: {"description": "The key is missing or wrong."},
    404: {"description": "The bundle has no report."},
    503: {"description": "There is no model yet."},
}


def as_bearer(authorization: bytes) -> bytes:
    """The header as it would be if its password were a bearer's key; any other header as it is.

    >>> as_bearer(b"Basic " + base64.b64encode(b"me:secret"))
    b'Bearer secret'
    """
    if authorization[:6].lower() != b"basic ":
        return authorization
    try:
        _, _, password = base64.b64decode(authorization[6:].strip(), validate=True).partition(b":")
    except binascii.Error:
        return b""
    return b"Bearer " + password


def report(gate: Gate, keys: KeyRing) -> APIRouter:
    """The report of the version that answers, as it was when the bundle was written."""
    router = APIRouter(tags=["service"])

    @router.head(PATH, include_in_schema=False)
    @router.get(
        PATH,
        summary="The model's report, for people; with the key as a bearer's, or as the password of HTTP Basic.",
        response_class=HTMLResponse,
        responses=_ANSWERS,
        openapi_extra={"security": [{"Bearer": []}, {"Basic": []}]},
    )
    def page(request: Request) -> HTMLResponse:
        sent = request.headers.get("authorization", "").encode("latin-1")
        if keys.recognise(as_bearer(sent)) is None:
            raise HTTPException(401, KEY_WANTED, HEADERS | {"WWW-Authenticate": 'Basic realm="Homeport"'})
        served = gate.live.served
        if not isinstance(served, Scorer):
            raise HTTPException(503, str(served), HEADERS | {"Retry-After": "5"})
        manifest = served.manifest
        try:
            content = (served.bundle / REPORT).read_bytes() if REPORT in manifest.files else None
        except OSError:
            content = None
        if content is None:
            missing = f"{manifest.name} version {manifest.version} has no {REPORT} here."
            raise HTTPException(404, missing, HEADERS)
        stamp = {"X-Model-Name": manifest.name, "X-Model-Version": manifest.version}
        return HTMLResponse(content, headers=HEADERS | stamp)

    return router
