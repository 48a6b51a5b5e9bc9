"""The application: the scoring path before FastAPI, and all else by FastAPI."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from bundle import BundleError, BundleNotFound, Store
from serving import swagger
from serving.azure import Azure
from serving.errors import NotReady
from serving.keys import KeyRing, ensure_keys
from serving.scorer import Scorer
from serving.settings import Settings

log = logging.getLogger("homeport.serving")

ASSETS = Path(fastapi_offline.__file__).parent / "static"  # Swagger UI, so that /docs needs no CDN
_VERSION_PARAMETER = {
    "name": "version",
    "in": "query",
    "schema": {"type": "string", "enum": list(swagger.VERSIONS), "default": "2"},
}
_METHOD_NOT_ALLOWED = "The method is not allowed for the requested URL."


class Application(FastAPI):
    """FastAPI with one path in front of it."""

    score: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch `/score` past FastAPI's middleware and routing, which cost more than scoring does."""
        if scope["type"] == "http" and scope["path"] == "/score":
            await self.score(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def load(settings: Settings) -> Scorer | NotReady:
    """The champion, verified and warm; or why there is none."""
    store = Store(settings.models)
    try:
        names = [settings.model] if settings.model else store.names()
        if not names:
            raise BundleNotFound(f"There is no model in {settings.models}. Train one with `homeport train`.")
        folder = store.champion_path(names[0])
        scorer = Scorer(folder)
        _return_memory()
    except (BundleError, OSError) as error:
        log.error("not ready: %s", error)
        return NotReady(str(error))
    log.info("serving %s version %s from %s", scorer.manifest.name, scorer.manifest.version, folder)
    return scorer


def _return_memory() -> None:
    """Hand back what loading needed for a moment: glibc keeps it, a sixth of the process."""
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def create_app(settings: Settings | None = None) -> Application:
    """Build the application; settings come from the environment unless given.

    A bundle that cannot be loaded does not stop the start: readiness and scoring answer 503 with the
    reason. Raises KeysError if the file of keys is damaged.
    """
    settings = settings or Settings()
    scorer = load(settings)
    manifest = scorer.manifest if isinstance(scorer, Scorer) else None
    app = Application(
        title=manifest.name if manifest else "homeport",
        version=manifest.version if manifest else "0",
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    azure: ASGIApp = Azure(
        scorer,
        KeyRing(ensure_keys(settings.keys)),
        max_body=settings.max_body_bytes,
        inline_rows=settings.inline_rows,
        string_results=settings.string_results,
    )
    if origins:
        cors: dict[str, Any] = {"allow_origins": origins, "allow_methods": ["GET", "POST"], "allow_headers": ["*"]}
        app.add_middleware(CORSMiddleware, **cors)
        azure = CORSMiddleware(azure, **cors)
    app.score = azure
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")

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
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.head("/health/ready", include_in_schema=False)
    @app.get("/health/ready", tags=["service"], summary="Whether a model is loaded, verified and warm.")
    async def ready() -> JSONResponse:
        if manifest is None:
            return JSONResponse({"status": "not ready", "reason": str(scorer)}, 503)
        return JSONResponse({"status": "ready", "model": manifest.name, "version": manifest.version})

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
                return JSONResponse(swagger.document(manifest, known, request.url.netloc, request.url.scheme))
        raise HTTPException(404, f"Swagger version [{version}] is not valid. Supported versions: [2, 3, 3.1].")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{app.title}: API",
            swagger_js_url="/assets/swagger-ui-bundle.js",
            swagger_css_url="/assets/swagger-ui.css",
            swagger_favicon_url="/assets/favicon.png",
            swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True},
        )

    @app.exception_handler(HTTPException)
    async def as_message(_: Request, error: HTTPException) -> JSONResponse:
        message = _METHOD_NOT_ALLOWED if error.status_code == 405 else str(error.detail)
        return JSONResponse({"message": message}, error.status_code, headers=error.headers)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            own = swagger.document(manifest, "3.1", "", "")
            document["info"]["description"] = own["info"]["description"]
            document["paths"] = {"/score": own["paths"]["/score"], **document["paths"]}
            components = document.setdefault("components", {})
            components["securitySchemes"] = swagger.SECURITY_SCHEMES
            components["schemas"] = {**own["components"]["schemas"], **components.get("schemas", {})}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app
