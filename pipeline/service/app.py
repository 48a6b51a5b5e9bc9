"""The HTTP surface: pipelines published, run by key, followed; Swagger at /docs, without the internet."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from hmac import compare_digest
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline

from bundle import __version__
from pipeline import errors
from pipeline.service import schedule_routes
from pipeline.service.agenda import Agenda
from pipeline.service.clock import Clock
from pipeline.service.contract import (
    Created,
    Key,
    Keys,
    Log,
    Metrics,
    Outputs,
    Problem,
    PublishedPipeline,
    PublishedPipelines,
    PublishRequest,
    Run,
    RunRequest,
    Runs,
    show_pipeline,
)
from pipeline.service.engine import Engine
from pipeline.service.registry import Published, Registry, Slot
from pipeline.service.runs import Runs as AllRuns

STATUS: Mapping[type[errors.PipelineError], int] = {
    **schedule_routes.STATUS,
    errors.JobUnusable: 422,
    errors.NotPublished: 404,
    errors.RunUnknown: 404,
    errors.VersionTaken: 409,
    errors.PipelineDisabled: 409,
    errors.RunNotOver: 409,
    errors.EngineAway: 503,
}

bearer = HTTPBearer(auto_error=False, description="The service's key, or one of the pipeline's.")
Sent = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


class KeyRefused(errors.PipelineError):
    """No key, or none that opens this."""


@dataclass(frozen=True)
class Parts:
    """What the service is made of."""

    registry: Registry
    engine: Engine
    runs: AllRuns
    agenda: Agenda
    clock: Clock
    key: str  # of the service
    address: str  # as clients call it


def create_app(parts: Parts, lifespan: AbstractAsyncContextManager[None] | Any = None) -> FastAPI:
    """The application; `lifespan` is what goes on beside it."""
    app: FastAPI = FastAPIOffline(
        title="Homeport pipelines",
        version=__version__,
        description="Publish a pipeline, run it by its key, follow the run. Names are as in Azure's REST API.",
        lifespan=lifespan,
    )

    async def answer(_: Request, error: Exception) -> JSONResponse:
        status = 401 if isinstance(error, KeyRefused) else STATUS.get(type(error), 400)  # type: ignore[arg-type]
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        return JSONResponse({"message": str(error)}, status, headers)

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        wrong = error.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"] if part != "body")
        return JSONResponse({"message": f"{place or 'The body'}: {wrong['msg']}."}, 422)

    app.add_exception_handler(errors.PipelineError, answer)
    app.add_exception_handler(RequestValidationError, refuse)
    app.include_router(_health(parts))
    guard = Guard(parts)
    app.include_router(_pipelines(parts, guard))
    app.include_router(_runs(parts, guard))
    app.include_router(schedule_routes.schedule_router(parts.agenda, parts.clock, guard.owner_of))
    return app


class Guard:
    """Who may do what."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def owner(self, sent: Sent) -> None:
        """The service's key opens everything. Raises KeyRefused."""
        if not (sent and compare_digest(sent.credentials.encode(), self._parts.key.encode())):
            raise KeyRefused(
                "This takes the service's key: Authorization: Bearer KEY. It is in the file service.key of the "
                "folder of pipelines."
            )

    async def owner_of(self, name: str, sent: Sent) -> str:
        """The same, for one pipeline; its name. Raises KeyRefused, NotPublished."""
        await self.owner(sent)
        return self._parts.registry.find(name).name

    async def user_of(self, name: str, sent: Sent) -> Published:
        """A pipeline's own keys open it too. Raises KeyRefused, also where there is no such pipeline; NotPublished."""
        key = sent.credentials if sent else ""
        is_owner = compare_digest(key.encode(), self._parts.key.encode())
        try:
            found = self._parts.registry.find(name)
        except errors.NotPublished:
            if is_owner:
                raise
            raise KeyRefused(_REFUSED) from None
        if not (is_owner or self._parts.registry.recognises(found.name, key)):
            raise KeyRefused(_REFUSED)
        return found


_REFUSED = "Give one of the pipeline's keys, or the service's: Authorization: Bearer KEY."


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem} for code in codes}


def _health(parts: Parts) -> APIRouter:
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", summary="Whether the service runs.")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @router.get("/ready", summary="Whether runs can be begun: Prefect answers.", responses=_problems(503))
    async def ready() -> JSONResponse:
        is_ready = await parts.engine.is_ready()
        return JSONResponse({"status": "ready" if is_ready else "starting"}, 200 if is_ready else 503)

    return router


def _pipelines(parts: Parts, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/pipelines", tags=["pipelines"], responses=_problems(401, 404, 422))
    registry = parts.registry
    owner, user = Depends(guard.owner), Depends(guard.user_of)

    @router.post("", status_code=201, dependencies=[owner], summary="Publish a pipeline, or its next version.")
    async def publish(asked: PublishRequest) -> PublishedPipeline:
        job = asked.job.assigned({})  # with the rules that concern several fields
        made = registry.publish(asked.name, job, asked.version, asked.description)
        keys = None
        if not registry.has_keys(made.name):
            keys = Keys(
                primary=registry.make_key(made.name, "primary"), secondary=registry.make_key(made.name, "secondary")
            )
        return show_pipeline(made, parts.address, keys)

    @router.get("", dependencies=[owner], summary="What is published, newest first.")
    async def listed(all: bool = False) -> PublishedPipelines:  # noqa: A002
        found = registry.pipelines(all_versions=all)
        return PublishedPipelines(pipelines=[show_pipeline(one, parts.address) for one in found])

    @router.get("/{name}", summary="One pipeline: the newest version of that name, or the version with that id.")
    async def shown(found: Published = user) -> PublishedPipeline:
        return show_pipeline(found, parts.address)

    @router.post("/{name}/enable", dependencies=[owner], summary="Make it ACTIVE: it takes runs.")
    async def enable(name: str) -> PublishedPipeline:
        return show_pipeline(registry.set_status(name, "ACTIVE"), parts.address)

    @router.post("/{name}/disable", dependencies=[owner], summary="Make it DISABLED: it takes none.")
    async def disable(name: str) -> PublishedPipeline:
        return show_pipeline(registry.set_status(name, "DISABLED"), parts.address)

    @router.post("/{name}/keys/{slot}", dependencies=[owner], summary="Make one of its keys anew; the other stays.")
    async def key(name: str, slot: Slot) -> Key:
        return Key(key=registry.make_key(registry.find(name).name, slot))

    return router


def _runs(parts: Parts, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/pipelines/{name}/runs", tags=["runs"], responses=_problems(401, 404, 503))
    runs = parts.runs
    user = Depends(guard.user_of)

    @router.post("", summary="Run it.", responses=_problems(409, 422))
    async def start(asked: RunRequest | None = None, pipeline: Published = user) -> Created:
        asked = asked or RunRequest()
        run = await runs.start(pipeline, "REST", asked.experiment_name, asked.parameter_assignments)
        return Created(id=run)

    @router.get("", summary="Its runs, newest first, without their steps.")
    async def listed(pipeline: Published = user) -> Runs:
        return Runs(runs=await runs.list(pipeline.name))

    @router.get("/{id}", summary="One run: its status and its steps.")
    async def shown(id: str, pipeline: Published = user) -> Run:  # noqa: A002
        return await runs.show(pipeline.name, id)

    @router.get("/{id}/logs", summary="Lines of its log; ask again with after=Next.")
    async def log(id: str, after: int = 0, pipeline: Published = user) -> Log:  # noqa: A002
        return await runs.log(pipeline.name, id, after)

    @router.get("/{id}/metrics", summary="What its steps have measured.")
    async def metrics(id: str, pipeline: Published = user) -> Metrics:  # noqa: A002
        folder = await runs.folder(pipeline.name, id)
        return Metrics(metrics={record.name: record.metrics for record in folder.steps() if record.metrics})

    @router.get("/{id}/outputs", summary="What its steps have given.")
    async def outputs(id: str, pipeline: Published = user) -> Outputs:  # noqa: A002
        folder = await runs.folder(pipeline.name, id)
        return Outputs(outputs={record.name: record.output for record in folder.steps() if record.output})

    @router.post("/{id}/cancel", summary="End it.", responses=_problems(409))
    async def cancel(id: str, pipeline: Published = user) -> Run:  # noqa: A002
        return await runs.cancel(pipeline.name, id)

    @router.post("/{id}/rerun", summary="Let it go on from the step that failed.", responses=_problems(409))
    async def rerun(id: str, pipeline: Published = user) -> Run:  # noqa: A002
        return await runs.rerun(pipeline.name, id)

    return router
