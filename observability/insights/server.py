"""uvicorn on a socket of ours, and its end."""

from __future__ import annotations

import signal
import socket

import uvicorn

from observability.insights.app import Application
from observability.insights.errors import AddressRefused, DatabaseFailed
from observability.insights.settings import Settings
from observability.insights.writer import Writer

GRACE_SECONDS = 1  # for exports that wait for their commit when the server is told to stop
KEEP_ALIVE_SECONDS = 75  # longer than exporters' pauses, so that they do not meet a closing connection
BACKLOG = 512


class Server(uvicorn.Server):
    """uvicorn's server, which ends when nothing can be stored any more."""

    def __init__(self, config: uvicorn.Config, writer: Writer) -> None:
        super().__init__(config)
        self._writer = writer

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        return await super().on_tick(counter) or self._writer.broken


def serve(app: Application, writer: Writer, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises AddressRefused, and DatabaseFailed if that is why it ended."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=None,
        ws="websockets-sansio",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    for caught in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises what it caught once more when it has ended
        signal.signal(caught, lambda *_: None)
    with _listener(settings) as listener:
        Server(config, writer).run([listener])
    if writer.broken:
        raise DatabaseFailed("The database failed and has to be opened anew; the log says why.")


def _listener(settings: Settings) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise AddressRefused(
            f"Nothing can listen on {settings.host}:{settings.port} ({error.strerror}): stop what does, or set "
            "HOMEPORT_INSIGHTS_HOST and HOMEPORT_INSIGHTS_PORT."
        ) from None
    return listener
