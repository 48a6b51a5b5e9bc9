"""What clients of the Open Inference Protocol and of MLflow ask beside scoring: health and metadata."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from bundle import __version__
from serving import oip
from serving.gate import KEY_WANTED, Gate
from serving.invocations import Invocations
from serving.keys import KeyRing
from serving.scorer import Scorer


def unready(gate: Gate) -> str:
    """Why no client should be sent here now; empty if clients may."""
    if gate.draining:
        return "The server is being stopped."
    return "" if isinstance(gate.live.served, Scorer) else str(gate.live.served)


def open_inference(gate: Gate, keys: KeyRing) -> APIRouter:
    """Health without a key, metadata with one; see `serving.oip`."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"])

    def keyed(request: Request) -> None:
        if keys.recognise(request.headers.get("authorization", "").encode("latin-1")) is None:
            raise HTTPException(401, KEY_WANTED, {"WWW-Authenticate": "Bearer"})

    def scorer(name: str, version: str | None = None) -> Scorer:
        served = gate.live.served
        if not isinstance(served, Scorer):
            raise HTTPException(503, str(served), {"Retry-After": "5"})
        manifest = served.manifest
        if name != manifest.name or version not in (None, manifest.version):
            asked = name if version is None else f"{name} version {version}"
            raise HTTPException(
                404, f"There is no model {asked} here. Served is {manifest.name} version {manifest.version}."
            )
        return served

    with_key: dict[str, Any] = {"dependencies": [Depends(keyed)], "openapi_extra": {"security": [{"Bearer": []}]}}

    @router.get("", summary="What the server is, and which extensions it speaks.", **with_key)
    async def server() -> dict[str, Any]:
        return {"name": "homeport", "version": __version__, "extensions": oip.EXTENSIONS}

    @router.head("/health/live", include_in_schema=False)
    @router.get("/health/live", summary="Whether the process answers.")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.head("/health/ready", include_in_schema=False)
    @router.get("/health/ready", summary="Whether the model is loaded, verified and warm.")
    async def ready() -> JSONResponse:
        reason = unready(gate)
        if reason:
            return JSONResponse({"live": True, "ready": False, "error": reason}, 503)
        return JSONResponse({"live": True, "ready": True})

    @router.get("/models/{name}", summary="The model's inputs and outputs.", **with_key)
    async def model(name: str) -> dict[str, Any]:
        return oip.metadata(scorer(name).manifest)

    @router.get("/models/{name}/versions/{version}", summary="The inputs and outputs of a version.", **with_key)
    async def model_version(name: str, version: str) -> dict[str, Any]:
        return oip.metadata(scorer(name, version).manifest)

    @router.get("/models/{name}/ready", summary="Whether the model can be asked.")
    async def model_ready(name: str) -> JSONResponse:
        return _model_ready(name, None)

    @router.get("/models/{name}/versions/{version}/ready", summary="Whether a version can be asked.")
    async def version_ready(name: str, version: str) -> JSONResponse:
        return _model_ready(name, version)

    def _model_ready(name: str, version: str | None) -> JSONResponse:
        scorer(name, version)
        reason = unready(gate)
        if reason:
            return JSONResponse({"name": name, "ready": False, "error": reason}, 503)
        return JSONResponse({"name": name, "ready": True})

    # The served model's own paths are mounted before FastAPI; here are those of any other.
    @router.post("/models/{name}/infer", include_in_schema=False, **with_key)
    async def infer(name: str) -> None:
        scorer(name)

    @router.post("/models/{name}/versions/{version}/infer", include_in_schema=False, **with_key)
    async def infer_version(name: str, version: str) -> None:
        scorer(name, version)

    return router


def mlflow(gate: Gate) -> APIRouter:
    """Health and version, without a key; see `serving.invocations`."""
    router = APIRouter(tags=["mlflow"])

    @router.head("/ping", include_in_schema=False)
    @router.get("/ping", summary="Whether the model is loaded, verified and warm.", response_class=PlainTextResponse)
    @router.get("/health", summary="As /ping.", response_class=PlainTextResponse)
    async def ping() -> Any:
        reason = unready(gate)
        if reason:
            return JSONResponse(json.loads(Invocations.refusal(503, reason)), 503)
        return "\n"

    @router.get("/version", summary="The version of Homeport.", response_class=PlainTextResponse)
    async def version() -> str:
        return __version__

    return router
