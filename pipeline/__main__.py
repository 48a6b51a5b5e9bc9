"""Runs the pipeline service: `python -m pipeline`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from bundle import Store
from pipeline.errors import CheckFailed, EngineAway, PipelineError
from pipeline.service import children, reaper
from pipeline.service.agenda import Agenda
from pipeline.service.app import Parts, create_app
from pipeline.service.clock import Clock
from pipeline.service.engine import Engine
from pipeline.service.keys import ensure_secret
from pipeline.service.registry import Registry
from pipeline.service.runs import Runs
from pipeline.service.settings import Settings
from pipeline.service.triggers import Watcher

SERVICE_KEY, CREDENTIAL = "service.key", "prefect.key"
GRACE_SECONDS = 3
GATE_SECONDS = 600


def main() -> int:
    """Serve until a signal."""
    description = "Publishes and runs pipelines. Its settings are environment variables: docs/reference.md lists them."
    argparse.ArgumentParser(prog="python -m pipeline", description=description).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("uvicorn.error", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = Settings()
        app = assembled(settings)
    except ValidationError as error:
        for wrong in error.errors():
            print(f"HOMEPORT_PIPELINE_{wrong['loc'][0]}".upper() + f": {wrong['msg']}.", file=sys.stderr)
        return 2
    except (PipelineError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


def assembled(settings: Settings) -> FastAPI:
    """The application with all that goes on beside it. Raises PipelineError, OSError."""
    data = settings.data
    user, password = "homeport", ensure_secret(data / CREDENTIAL)
    credential = f"{user}:{password}"
    registry = Registry(data / "pipelines.db")
    agenda = Agenda(data / "agenda.db")
    engine = Engine(settings.prefect_url, credential)
    runs = Runs(engine, settings)
    insights = httpx.AsyncClient(base_url=settings.insights, trust_env=False, timeout=10)

    async def start(pipeline: str, cause: str, assignments: Mapping[str, Any], key: str) -> str:
        try:
            return await runs.start(registry.find(pipeline), cause, "", assignments, key)
        except EngineAway as away:
            raise ConnectionError(str(away)) from away  # to the clock a PipelineError is a refusal

    async def model(pipeline: str) -> str:
        return registry.find(pipeline).job.model or pipeline

    def evaluate(path: Path, metric: str, name: str) -> tuple[float, str]:
        return _gate(settings, path, metric, name)

    watcher = Watcher(data, Store(settings.models), insights, evaluate)
    clock = Clock(agenda, watcher, start=start, busy=runs.is_under_way, model=model)

    @asynccontextmanager
    async def beside(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(registry.close)
            stack.callback(agenda.close)
            stack.push_async_callback(engine.close)
            stack.push_async_callback(insights.aclose)
            if settings.engine:
                commands = {"server": children.server_command(settings), "worker": children.worker_command(settings)}
                env = children.environment(settings, credential)
                await stack.enter_async_context(children.running(commands, env))
            tasks = [asyncio.create_task(clock.run()), asyncio.create_task(reaper.watch(engine, data))]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    address = settings.public_url or f"http://{settings.host}:{settings.port}"
    parts = Parts(registry, engine, runs, agenda, clock, ensure_secret(data / SERVICE_KEY), address)
    return create_app(parts, beside)


def _gate(settings: Settings, path: Path, metric: str, model: str) -> tuple[float, str]:
    """`pipeline.steps.gate` in a process of its own. Raises CheckFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.steps.gate", str(path), metric, model],
        env=children.environment(settings, ""),
        capture_output=True,
        text=True,
        timeout=GATE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise CheckFailed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{path}: not evaluated.")
    found = msgspec.json.decode(done.stdout)
    return found["value"], found["version"]


if __name__ == "__main__":
    sys.exit(main())
