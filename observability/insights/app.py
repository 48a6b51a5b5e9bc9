"""The application: OTLP's paths before FastAPI, and all else by FastAPI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi_offline
import msgspec
from fastapi import FastAPI, Request, Response
from fastapi import Path as InPath
from fastapi import Query as InQuery
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from nicegui import ui
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from observability.insights import sql
from observability.insights.alerts import described
from observability.insights.door import Door
from observability.insights.errors import Busy, QueryRefused
from observability.insights.intake import PATHS, RETRY_SECONDS, Intake
from observability.insights.overview import MAX_MINUTES, overview
from observability.insights.page import add_pages
from observability.insights.parts import Parts
from observability.insights.settings import Settings
from observability.insights.transactions import transaction

ASSETS = Path(fastapi_offline.__file__).parent / "static"  # Swagger UI, so that /docs needs no CDN


class Query(BaseModel):
    """A query in DuckDB's SQL over the tables."""

    query: str = Field(examples=["SELECT name, count(*) FROM requests WHERE success = false GROUP BY name"])
    max_rows: int = Field(default=1_000, ge=1, alias="maxRows")


class Application(FastAPI):
    """FastAPI with the intake in front of it."""

    intake: Intake
    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Turn away what may not pass, dispatch exports past FastAPI, and leave the rest to it."""
        if scope["type"] != "lifespan" and (refusal := self.door.refuse(scope)) is not None:
            await refusal(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in PATHS:
            await self.intake(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(parts: Parts, settings: Settings) -> Application:
    """Build the application over what runs."""
    app = Application(
        title="Homeport insights",
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.door = Door(settings.hosts)
    app.intake = Intake(parts.writer, parts.counters, settings.max_body_bytes, settings.max_waiting_bytes)
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")
    _add_health(app, parts)
    _add_api(app, parts, settings)

    @app.exception_handler(QueryRefused)
    async def refused(_: Request, error: QueryRefused) -> JSONResponse:
        return JSONResponse({"message": str(error)}, 400)

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        return JSONResponse({"message": str(error)}, 503, headers={"retry-after": str(RETRY_SECONDS)})

    add_pages(parts, settings)
    ui.run_with(app, title=app.title, dark=None, tailwind=False, show_welcome_message=False)  # all other paths
    return app


def _add_health(app: Application, parts: Parts) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/assets/swagger-ui-bundle.js",
            swagger_css_url="/assets/swagger-ui.css",
            swagger_favicon_url="/assets/favicon.png",
            swagger_ui_parameters={"tryItOutEnabled": True},
        )

    @app.get("/health/live", tags=["service"], summary="Whether the process answers.")
    async def alive() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready", tags=["service"], summary="Whether exports can be stored.")
    async def ready() -> JSONResponse:
        if parts.writer.problem is not None:
            return JSONResponse({"status": "not ready", "reason": parts.writer.problem}, 503)
        return JSONResponse({"status": "ready"})

    @app.get("/api/status", tags=["service"], summary="What insights counts of itself since its start.")
    async def status() -> dict[str, Any]:
        size = await parts.reader.run(lambda _: parts.store.bytes())
        return {
            **parts.counters.snapshot(),
            "waitingBytes": app.intake.waiting_bytes,
            "databaseBytes": size,
            "series": parts.writer.series,
        }


def _add_api(app: Application, parts: Parts, settings: Settings) -> None:
    @app.post("/api/query", tags=["telemetry"], summary="One statement that reads, in DuckDB's SQL.")
    async def query(asked: Query) -> Response:
        most = min(asked.max_rows, settings.max_query_rows)
        return _json(await parts.reader.run(lambda cursor: sql.run(cursor, asked.query, most).encode()))

    @app.get("/api/overview", tags=["telemetry"], summary="Requests, failures and durations over time.")
    async def look(minutes: int = InQuery(60, ge=1, le=MAX_MINUTES)) -> Response:
        return _json(msgspec.json.encode(await parts.reader.run(lambda cursor: overview(cursor, minutes))))

    @app.get("/api/alerts", tags=["telemetry"], summary="The alert rules, and which of them fire.")
    async def alerts() -> list[dict[str, Any]]:
        return [described(state) for state in parts.alerts.states()]

    @app.get("/api/transactions/{operation_id}", tags=["telemetry"], summary="One operation: its spans and logs.")
    async def follow(operation_id: str = InPath(pattern="^[0-9a-fA-F]{32}$")) -> Response:
        items = await parts.reader.run(lambda cursor: transaction(cursor, operation_id))
        if not items:
            return JSONResponse({"message": f"There is nothing of operation {operation_id}."}, 404)
        return _json(msgspec.json.encode({"operation_Id": operation_id.lower(), "items": items}))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
