"""The report in a browser without a network: from the disk, light, dark, narrow and on paper."""

import pytest
from playwright.sync_api import expect

from tests.browser import NARROW, WIDE, chromium
from tests.conftest import MODEL

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def watch(page, wrong):
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on("request", lambda request: None if request.url.startswith("file:") else wrong.append(request.url))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_opens_from_the_disk_without_a_network(browser, shop_bundle, theme, size):
    wrong: list[str] = []
    with browser.new_context(color_scheme=theme, viewport=size, offline=True, java_script_enabled=False) as context:
        page = context.new_page()
        watch(page, wrong)
        page.goto((shop_bundle / "report.html").as_uri())
        expect(page.locator("h1")).to_contain_text(MODEL)
        for figure in page.locator("figure svg").all():
            box = figure.bounding_box()
            assert box["width"] > 200, box
            assert box["height"] > 80, box
        page.locator("nav a", has_text="Groups").click()
        expect(page.locator("#groups")).to_be_in_viewport()
    with browser.new_context(color_scheme=theme, viewport=size, offline=True) as context:
        page = context.new_page()
        watch(page, wrong)
        page.goto((shop_bundle / "report.html").as_uri())
        back, text = page.evaluate(
            "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert (brightness(back) > brightness(text)) == (theme == "light")
        label = page.evaluate("() => getComputedStyle(document.querySelector('figure svg text')).fill")
        assert abs(brightness(label) - brightness(back)) > 200  # of 765: what is written in a figure can be read
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert wrong == []


def test_it_is_black_on_white_on_paper(browser, shop_bundle):
    with browser.new_context(color_scheme="dark", offline=True) as context:
        page = context.new_page()
        page.goto((shop_bundle / "report.html").as_uri())
        page.emulate_media(media="print", color_scheme="dark")
        colours = page.evaluate(
            "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert [brightness(colour) for colour in colours] == [765, 0]
        assert page.locator("nav").is_hidden()
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def brightness(colour: str) -> int:
    return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
