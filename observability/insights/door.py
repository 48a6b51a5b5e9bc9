"""What is turned away before anything reads it: requests for other hosts, and bodies that the API does not take.

A page from elsewhere that lets its own name point to loopback can call what listens there, but names itself in `Host`;
one that calls under our name, as it may by a WebSocket, names itself in `Origin`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Scope

from observability.insights.intake import PATHS

HOSTS = ("localhost", "127.0.0.1", "[::1]", "insights")
MAX_BODY_BYTES = 100_000  # of a request that is no export: queries are short


class Door:
    """Knows HOSTS and more names, separated by commas."""

    def __init__(self, more_hosts: str) -> None:
        self._hosts = {*HOSTS, *(name.strip().lower() for name in more_hosts.split(",") if name.strip())}

    def refuse(self, scope: Scope) -> JSONResponse | None:
        """The answer to a request that may not pass, None for one that may."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name not in self._hosts:
            message = f"This is not the host '{host[:100]}': HOMEPORT_INSIGHTS_HOSTS names those to answer to."
            return JSONResponse({"message": message}, 421)
        if (origin := headers.get("origin")) is not None and urlsplit(origin).netloc.lower() != host:
            return JSONResponse({"message": f"The page {origin[:100]} has no business here."}, 403)
        if scope["path"] not in PATHS and _is_long(headers):
            message = f"The body is longer than {MAX_BODY_BYTES:,} bytes, or of no declared length."
            return JSONResponse({"message": message}, 413, headers={"connection": "close"})
        return None


def _is_long(headers: Headers) -> bool:
    return "transfer-encoding" in headers or int(headers.get("content-length", "0")) > MAX_BODY_BYTES
