"""Debian's Chromium, and a page of it that remembers all that went wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

_QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
expect.set_options(timeout=20_000)  # a view is filled anew every five seconds, and the machine may be busy
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; where there is none a test is skipped, but not in CI."""
    path = shutil.which("chromium")
    if path is None:
        assert os.environ.get("CI") != "true", "Chromium is missing: apt install chromium"
        pytest.skip("Chromium is missing: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, origin: str, *, theme: str = "light", size: dict[str, int] = WIDE) -> Iterator[Page]:
    """A page with cookies of its own, whose addresses are relative to `origin`.

    In the end there was no error in it, all that it asked for was there, and nothing was asked of anybody else.
    """
    wrong: list[str] = []
    with browser.new_context(base_url=origin, color_scheme=theme, viewport=size, accept_downloads=True) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
        page.on("request", lambda request: None if _is_own(request.url, origin) else wrong.append(request.url))
        page.on("websocket", lambda socket: None if _is_own(socket.url, origin) else wrong.append(socket.url))
        page.on(
            "response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        )
        page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}") if _failed(request) else None)
        yield page
    assert wrong == []


def _failed(request) -> bool:
    return request.failure != "net::ERR_ABORTED"  # what was under way when the page was left


def _is_own(url: str, origin: str) -> bool:
    found = urlsplit(url)
    return found.scheme in {"data", "blob"} or found.netloc == urlsplit(origin).netloc
