"""A clock that tests turn by hand, and a service that gives the same run for the same key."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from bundle import Store
from pipeline.errors import PipelineError
from pipeline.service.agenda import Agenda
from pipeline.service.clock import Clock
from pipeline.service.triggers import Watcher

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Killed(BaseException):
    """The end of the process, as far as the clock is concerned."""


class Disabled(PipelineError):
    """The pipeline is disabled."""


@dataclass
class Time:
    """What is called for the time."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Service:
    """Starts runs that last until they are ended."""

    runs: dict = field(default_factory=dict)  # by key: pipeline, cause, assignments
    asked: list = field(default_factory=list)  # keys, as often as they came
    under_way: set = field(default_factory=set)  # pipelines
    disabled: bool = False
    away: bool = False
    lasting: bool = False  # whether a run, once started, is under way until the test says otherwise
    kill: str = ""  # where: before a run is accepted, after, or when it is asked what is under way

    async def start(self, pipeline, cause, assignments, key):
        await asyncio.sleep(0)
        self.asked.append(key)
        if self.kill == "before":
            raise Killed
        if self.away:
            raise httpx.ConnectError("no engine")
        if self.disabled:
            raise Disabled(f"Pipeline '{pipeline}' is DISABLED. Enable it first.")
        self.runs.setdefault(key, (pipeline, cause, assignments))
        if self.lasting:
            self.under_way.add(pipeline)
        if self.kill == "after":
            raise Killed
        return f"run-{list(self.runs).index(key)}"

    async def busy(self, pipeline):
        await asyncio.sleep(0)
        if self.kill == "busy":
            raise Killed
        if self.away:
            raise httpx.ConnectError("no engine")
        return pipeline in self.under_way

    async def model(self, pipeline):
        return pipeline


async def nothing_asked(request):
    raise httpx.ConnectError("no insights")


class OneOff(httpx.AsyncBaseTransport):
    """A connection for each request, since each tick of a test has a loop of its own."""

    async def handle_async_request(self, request):
        async with httpx.AsyncHTTPTransport() as transport:
            answer = await transport.handle_async_request(request)
            return httpx.Response(answer.status_code, content=await answer.aread())


@dataclass
class Bench:
    """A clock over a file of its own, which may be opened again."""

    folder: Path
    time: Time = field(default_factory=Time)
    service: Service = field(default_factory=Service)
    transport: httpx.AsyncBaseTransport = field(default_factory=lambda: httpx.MockTransport(nothing_asked))
    insights: str = "http://insights:8080"
    values: dict = field(default_factory=dict)  # of metrics, by the content of the file
    evaluated: list = field(default_factory=list)

    def __post_init__(self):
        self.open()

    def open(self):
        self.path = self.folder / "pipeline" / "pipeline.db"
        self.agenda = Agenda(self.path)
        client = httpx.AsyncClient(base_url=self.insights, transport=self.transport)
        watcher = Watcher(self.folder, Store(self.folder / "models"), client, self.evaluate, self.time)
        service = self.service
        self.clock = Clock(
            self.agenda, watcher, start=service.start, busy=service.busy, model=service.model, now=self.time
        )

    def reopen(self):
        self.agenda.close()
        self.open()

    def evaluate(self, path, metric, model):
        self.evaluated.append((path.name, metric, model))
        value = self.values[path.read_text()]
        if isinstance(value, Exception):
            raise value
        return value, Store(self.folder / "models").champion(model).version

    def promote(self, version, model="shop"):
        folder = self.folder / "models" / model
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "champion").write_text(f'{{"version": "{version}"}}')

    def tick(self, later=timedelta()):
        """Let time pass, and do what is due; whether the process survived it."""
        self.time.now += later
        try:
            asyncio.run(self.clock.tick())
        except Killed:
            return False
        return True

    def write(self, name, text, at=None):
        """Write a file of the folder, at a time of its own."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if at is not None:
            os.utime(path, ns=(at, at))
        return path


@contextmanager
def bench(folder, **options):
    made = Bench(folder, **options)
    try:
        yield made
    finally:
        made.agenda.close()
