"""Prefect's server and worker as processes of this service: started anew when they end, gone when it is."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from pipeline.service.engine import POOL
from pipeline.service.settings import Settings

log = logging.getLogger("homeport.pipeline")

AGAIN_SECONDS = 1.0  # before a process that ended is started anew
END_SECONDS = 8.0  # to end when told; then it is killed
_PR_SET_PDEATHSIG = 1  # prctl(2)


def environment(settings: Settings, credential: str) -> dict[str, str]:
    """What Prefect's processes are told: to call nobody, and to let nobody in without the credential."""
    prefect = settings.data.absolute() / "prefect"
    own = {
        "PREFECT_HOME": str(prefect),
        "PREFECT_API_URL": f"{settings.prefect_url}/api",
        "PREFECT_UI_API_URL": f"{settings.prefect_page or settings.prefect_url}/api",
        "PREFECT_UI_STATIC_DIRECTORY": str(prefect / "page"),  # its own folder may be read-only
        "PREFECT_API_AUTH_STRING": credential,
        "PREFECT_SERVER_API_AUTH_STRING": credential,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "homeport",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "HOMEPORT_PIPELINE_DATA": str(settings.data.absolute()),
        "HOMEPORT_PIPELINE_MODELS": str(settings.models.absolute()),
        "HOMEPORT_PIPELINE_ENDPOINT": settings.endpoint,
        "HOMEPORT_PIPELINE_KEYS": str(settings.keys.absolute()),
    }
    given = {name: value for name, value in os.environ.items() if value}  # what compose leaves empty is not set
    return {**given, **own}


def server_command(settings: Settings) -> list[str]:
    """Prefect's server."""
    where = ["--host", settings.prefect_host, "--port", str(urlsplit(settings.prefect_url).port or 4200)]
    return [sys.executable, "-m", "prefect", "server", "start", *where]


def worker_command(settings: Settings) -> list[str]:
    """Prefect's worker, which runs each flow in a process of its own."""
    limit = str(settings.concurrency)
    return [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--limit", limit]


@asynccontextmanager
async def running(commands: Mapping[str, Sequence[str]], env: Mapping[str, str]) -> AsyncIterator[None]:
    """Keep these processes running, by name of what they are."""
    tasks = [asyncio.create_task(_keep(name, command, env)) for name, command in commands.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
    while True:
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(env), stdin=asyncio.subprocess.DEVNULL, preexec_fn=_end_with_parent
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            raise
        log.warning("Prefect's %s ended with code %s: it is started anew", name, code)
        await asyncio.sleep(AGAIN_SECONDS)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _end_with_parent() -> None:
    """So that a service that is killed leaves no server on its port. Linux has it; elsewhere they stay."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
