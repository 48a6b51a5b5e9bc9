"""One worker: uvicorn with this endpoint's protocol, time limits and manner of ending."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from functools import partial
from time import monotonic

import uvicorn

from observability.telemetry import Settings as TelemetrySettings
from serving.app import Application, create_app
from serving.protocol import KEEP_ALIVE_SECONDS, Protocol
from serving.settings import Settings

GRACE_SECONDS = 1.0  # for clients on open connections to hear that they should go elsewhere
TURN_SECONDS = 0.02  # of which the grace is made
DRAIN_SECONDS = 10  # for requests that are under way when the server is told to stop
SUMMARY_TICKS = 600  # of a tenth of a second
BACKLOG = 2_048
GARBAGE = 50_000, 20, 20  # a thousand rows are thousands of tuples, none of them in a cycle: look less often


class Server(uvicorn.Server):
    """uvicorn's server, which cuts slow clients and loses no request when it ends."""

    def __init__(self, config: uvicorn.Config, app: Application, parent: int) -> None:
        super().__init__(config)
        self._gate = app.gate
        self._parent = parent

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if counter % 10 == 0:
            self._cut_slow_clients()
            if counter % SUMMARY_TICKS == 0:
                self._gate.telemetry.summarise()
            if os.getppid() != self._parent:  # it was killed: nobody would stop or replace this worker
                self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what comes in for a moment longer, each time with `Connection: close`; then end."""
        self._gate.draining = True
        # counted in turns of the loop, each of which reads what came: by the clock, a stall would end it unread
        for _ in range(round(GRACE_SECONDS / TURN_SECONDS)):
            if not self.server_state.connections or self.force_exit:
                break
            await asyncio.sleep(TURN_SECONDS)
        await super().shutdown(sockets)

    def _cut_slow_clients(self) -> None:
        now = monotonic()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol) and connection.deadline < now:
                connection.expire()


def run_worker(settings: Settings, telemetry: TelemetrySettings, listener: socket.socket, parent: int) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT."""
    gc.set_threshold(*GARBAGE)
    app = create_app(settings, telemetry)
    config = uvicorn.Config(
        app,
        http=partial(Protocol, app.gate, settings.receive_seconds),  # type: ignore[arg-type]
        loop="uvloop",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=None,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    Server(config, app, parent).run([listener])
