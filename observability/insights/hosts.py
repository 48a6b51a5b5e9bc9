"""Which `Host` a request may name. A page from elsewhere that rebinds its name to loopback names another."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Scope

KNOWN = ("localhost", "127.0.0.1", "[::1]", "insights")


class Hosts:
    """KNOWN and more names, separated by commas."""

    def __init__(self, more: str) -> None:
        self._names = {*KNOWN, *(name.strip().lower() for name in more.split(",") if name.strip())}

    def refuse(self, scope: Scope) -> JSONResponse | None:
        """The answer to a request for another host, None for one that may pass."""
        host = Headers(scope=scope).get("host", "").lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name in self._names:
            return None
        message = f"This is not the host '{host[:100]}': HOMEPORT_INSIGHTS_HOSTS names those to answer to."
        return JSONResponse({"message": message}, 421)
