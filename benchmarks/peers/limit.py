"""The limit: a uvicorn application that reads the body and answers a constant."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send


async def app(_: Scope, receive: Receive, send: Send) -> None:
    """Answer what never changes."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"17")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"result":["no"]}'})
