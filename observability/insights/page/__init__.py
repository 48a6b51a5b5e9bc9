"""The page of insights: one module a view, each with its queries and how their answers are shown."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from observability.insights.page import (
    alerts,
    calls,
    failures,
    live,
    logs,
    model,
    overview,
    performance,
    search,
    transaction,
)
from observability.insights.page.desk import Desk
from observability.insights.page.frame import frame, minutes_of
from observability.insights.parts import Parts
from observability.insights.settings import Settings, pairs


def add_pages(parts: Parts, settings: Settings) -> None:
    """Tell NiceGUI what there is at which path. It is one for the whole process."""
    links = pairs(settings.links)

    def desk(request: Request) -> Desk:
        return Desk(parts, settings, minutes_of(request))

    @ui.page("/")
    def overview_page(request: Request) -> None:
        with frame(request, "/", links):
            overview.show(desk(request))

    @ui.page("/live")
    def live_page(request: Request) -> None:
        with frame(request, "/live", links):
            live.show(desk(request))

    @ui.page("/performance")
    def performance_page(request: Request, operation: str = "", role: str = "") -> None:
        with frame(request, "/performance", links):
            performance.show(desk(request), operation, role)

    @ui.page("/failures")
    def failures_page(request: Request) -> None:
        with frame(request, "/failures", links):
            failures.show(desk(request))

    @ui.page("/search")
    def search_page(request: Request, text: str = "") -> None:
        with frame(request, "/search", links, "Transaction" if search.is_operation(text) else ""):
            if search.is_operation(text):
                transaction.show(desk(request), text)
            else:
                search.show(desk(request), text)

    @ui.page("/transaction/{operation}")
    def transaction_page(request: Request, operation: str) -> None:
        with frame(request, "/search", links, "Transaction"):
            transaction.show(desk(request), operation)

    @ui.page("/map")
    def map_page(request: Request) -> None:
        with frame(request, "/map", links):
            calls.show(desk(request))

    @ui.page("/model")
    def model_page(request: Request) -> None:
        with frame(request, "/model", links):
            model.show(desk(request))

    @ui.page("/alerts")
    def alerts_page(request: Request) -> None:
        with frame(request, "/alerts", links):
            alerts.show(desk(request))

    @ui.page("/logs")
    def logs_page(request: Request, query: str = "") -> None:
        with frame(request, "/logs", links):
            logs.show(desk(request), query)
