"""The application: the scoring paths before FastAPI, and all else by FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from bundle import Manifest, __version__
from observability.telemetry import Outlet
from observability.telemetry import Settings as TelemetrySettings
from serving import about, openapi, report, routes, swagger
from serving.gate import Gate
from serving.keys import KeyRing
from serving.live import Live
from serving.scorer import Scorer
from serving.settings import Settings
from serving.telemetry import Telemetry

ASSETS = Path(fastapi_offline.__file__).parent / "static"  # Swagger UI, so that /docs needs no CDN
_VERSION_PARAMETER = {
    "name": "version",
    "in": "query",
    "schema": {"type": "string", "enum": list(swagger.VERSIONS), "default": "2"},
}
_METHOD_NOT_ALLOWED = "The method is not allowed for the requested URL."


class Application(FastAPI):
    """FastAPI with the gate in front of it."""

    gate: Gate
    scoring: ASGIApp  # the gate, behind CORS where that is wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch scoring past FastAPI's middleware and routing, which cost more than scoring does."""
        mounted = self.gate.live.mounted.get(scope["path"]) if scope["type"] == "http" else None
        if mounted is not None:
            scope["mounted"] = mounted  # looked up once: a new champion may have other paths
            await self.scoring(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None, telemetry: TelemetrySettings | None = None) -> Application:
    """Build the application; settings come from the environment unless given.

    A bundle that cannot be loaded does not stop the start: readiness and scoring answer 503 with the
    reason until there is one that can. Raises KeysError if the file of keys is damaged.
    """
    settings, telemetry = settings or Settings(), telemetry or TelemetrySettings()
    keys = KeyRing(settings.keys)
    counted = Telemetry(telemetry)
    outlet = Outlet(telemetry, "serving", __version__) if telemetry.is_sent else None
    live = Live(settings, keys, counted)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        with live.watching(), outlet.sending(counted) if outlet else nullcontext():
            yield
            counted.summarise()

    app = Application(
        title="Homeport",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.gate = Gate(live, keys, counted, settings)
    app.scoring = app.gate
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    if origins:
        cors: dict[str, Any] = {"allow_origins": origins, "allow_methods": ["GET", "POST"], "allow_headers": ["*"]}
        app.add_middleware(CORSMiddleware, **cors)
        app.scoring = CORSMiddleware(app.gate, **cors)
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")
    _add_health(app)
    app.include_router(routes.open_inference(app.gate, keys))
    app.include_router(routes.mlflow(app.gate))
    app.include_router(report.report(app.gate, keys))
    app.include_router(about.about(app.gate))
    _add_description(app)

    @app.exception_handler(HTTPException)
    async def as_message(request: Request, error: HTTPException) -> JSONResponse:
        message = _METHOD_NOT_ALLOWED if error.status_code == 405 else str(error.detail)
        name = "error" if request.url.path.startswith("/v2") else "message"
        return JSONResponse({name: message}, error.status_code, headers=error.headers)

    return app


def _add_health(app: Application) -> None:
    live = app.gate.live

    @app.head("/", include_in_schema=False)
    @app.get(
        "/",
        response_class=PlainTextResponse,
        tags=["service"],
        operation_id="ServiceHealthCheck",
        summary="Says that the service is up.",
    )
    async def healthy() -> str:
        return "Healthy"

    @app.head("/health/live", include_in_schema=False)
    @app.get("/health/live", tags=["service"], summary="Whether the process answers.")
    async def alive() -> dict[str, str]:
        return {"status": "live"}

    @app.head("/health/ready", include_in_schema=False)
    @app.get("/health/ready", tags=["service"], summary="Which model is loaded, verified and warm.")
    async def ready() -> JSONResponse:
        if app.gate.draining:
            return JSONResponse({"status": "draining", "reason": routes.unready(app.gate)}, 503)
        if not isinstance(live.served, Scorer):
            return JSONResponse({"status": "not ready", "reason": routes.unready(app.gate)}, 503)
        manifest = live.served.manifest
        refused = {"refused": live.refused} if live.refused else {}
        said = {"model": manifest.name, "version": manifest.version, "pinned": live.pinned}
        return JSONResponse({"status": "ready", **said, **refused})


def _add_description(app: Application) -> None:
    def manifest() -> Manifest | None:
        served = app.gate.live.served
        return served.manifest if isinstance(served, Scorer) else None

    @app.get(
        "/swagger.json",
        tags=["service"],
        summary="This description for clients of Azure.",
        openapi_extra={"parameters": [_VERSION_PARAMETER]},
    )
    async def swagger_json(request: Request) -> JSONResponse:
        version = request.query_params.get("version", "2")
        for known in swagger.VERSIONS:
            if version == known:
                return JSONResponse(swagger.document(manifest(), known, request.url.netloc, request.url.scheme))
        raise HTTPException(404, f"Swagger version [{version}] is not valid. Supported versions: [2, 3, 3.1].")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        served = manifest()
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{served.name if served else app.title}: API",
            swagger_js_url="/assets/swagger-ui-bundle.js",
            swagger_css_url="/assets/swagger-ui.css",
            swagger_favicon_url="/assets/favicon.png",
            swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True},
        )

    app.openapi = lambda: openapi.document(app.routes, manifest())  # type: ignore[method-assign]
