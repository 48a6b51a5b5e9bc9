"""What all views share: the bar with the time range and the search, the list of views, and empty states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import NamedTuple

from fastapi import Request
from nicegui import ui

RANGES = {
    30: "Last 30 minutes", 60: "Last hour", 240: "Last 4 hours", 1_440: "Last day", 10_080: "Last week",
    43_200: "Last 30 days",
}  # fmt: skip
_STYLE = Path(__file__).with_name("style.css").read_text()
_KEYS = Path(__file__).with_name("keys.js").read_text()


class View(NamedTuple):
    """An entry of the list of views; one that is not `ranged` shows a time of its own."""

    path: str
    title: str
    icon: str
    ranged: bool = True


VIEWS = (
    View("/", "Overview", "dashboard"),
    View("/live", "Live metrics", "monitor_heart", ranged=False),
    View("/performance", "Performance", "speed"),
    View("/failures", "Failures", "error_outline"),
    View("/search", "Transaction search", "manage_search"),
    View("/map", "Application map", "hub"),
    View("/model", "Model", "insights"),
    View("/logs", "Logs", "terminal", ranged=False),
    View("/alerts", "Alerts", "notifications"),
)


def minutes_of(request: Request) -> int:
    """The time range in the address, or the one chosen last: one of RANGES, an hour if it is none."""
    asked = request.query_params.get("minutes") or request.cookies.get("minutes", "")
    return int(asked) if asked.isdecimal() and int(asked) in RANGES else 60


@contextmanager
def frame(request: Request, path: str, links: dict[str, str], title: str = "") -> Iterator[None]:
    """The page around one view; its elements are made inside the context."""
    view = next(view for view in VIEWS if view.path == path)
    minutes = minutes_of(request)
    ui.page_title(f"{title or view.title} · Homeport insights")
    ui.add_css(_STYLE)
    ui.add_body_html(f"<script>{_KEYS}</script>")
    ui.colors(primary="#0b5cab")  # of the light theme; the style has the dark one's
    with ui.left_drawer(bordered=True).classes("drawer").props('width=230 breakpoint=900 role="navigation"') as drawer:
        for number, other in enumerate(VIEWS, 1):
            with ui.link(target=f"{other.path}?minutes={minutes}").props(f"data-key={number}") as entry:
                ui.icon(other.icon, size="1.2rem")
                ui.label(other.title)
                ui.html(f"<kbd>{number}</kbd>", sanitize=False).classes("key")
            if other is view:
                entry.props("aria-current=page")
        if links:
            ui.label("Elsewhere").classes("links")
        for name, address in links.items():
            with ui.link(target=address, new_tab=True):
                ui.icon("open_in_new", size="1.2rem")
                ui.label(name)
    with ui.header().classes("row items-center bar"):
        ui.button(icon="menu", on_click=drawer.toggle).props('flat dense color=white aria-label="Views"')
        ui.link("Homeport insights", "/").classes("name")
        ui.space()
        ui.input(placeholder="Request id or text  ( / )").props(
            'dense dark outlined clearable aria-label="Search (/)"'
        ).classes("search")  # keys.js takes what is entered
        if view.ranged and not title:
            _range(request, minutes)
        ui.button(icon="contrast").props('flat dense color=white aria-label="Light or dark (t)"').classes("theme").on(
            "click", js_handler="() => switchTheme()"
        )
    content = ui.column().classes("content")
    ui.skip_link("To the content", target=content)
    with content:
        ui.html(f"<h1>{title or view.title}</h1>", sanitize=False)
        yield


def heading(text: str) -> None:
    """The title of a part of a view."""
    ui.html(f"<h2>{escape(text)}</h2>", sanitize=False)


def empty(text: str, advice: str, command: str = "") -> None:
    """Says that there is nothing, and what to do about it."""
    with ui.column().classes("empty"):
        ui.label(text).classes("text-weight-medium")
        ui.label(advice).classes("quiet")
        if command:
            ui.html(f"<code>{escape(command)}</code>", sanitize=False)


def _range(request: Request, minutes: int) -> None:
    def change(chosen: int) -> None:
        ui.navigate.to(str(request.url.include_query_params(minutes=chosen).replace(scheme="", netloc="")))

    ui.select(RANGES, value=minutes, label="Time range", on_change=lambda event: change(event.value)).props(
        "dense dark outlined options-dense"
    ).classes("range")
