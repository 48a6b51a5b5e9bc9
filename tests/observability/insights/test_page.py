"""The page in a real browser, over telemetry that the tests send; `test_page_stack` has the endpoint's own."""

from __future__ import annotations

import csv
import io
import os
import re
from time import time_ns
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Page, expect

from observability.insights.page.frame import VIEWS
from observability.insights.page.logs import QUERIES
from tests.browser import NARROW, WIDE, chromium, visit
from tests.conftest import ROOT
from tests.observability.insights.conftest import NOW, insights, metrics, traces
from tests.observability.insights.page_data import HTML, MINUTE, ONE, OWN, TOLD, point, request, send

LINKS = {"Swagger": "http://127.0.0.1:1/docs", "MLflow": "http://127.0.0.1:2", "Prefect": "http://127.0.0.1:3"}
CHARTS = "el => getElement(+el.id.slice(1)).chart.getOption().series.map(one => [one.name, one.data])"


def card(page: Page, title: str):
    """The part of a view that has a title."""
    return page.locator(".card", has=page.get_by_role("heading", name=title, exact=True))


def chart(page: Page, title: str) -> dict[str, list]:
    """The series of a chart by name, once there are any."""
    found = card(page, title).locator(".chart")
    expect(found.locator("svg path").first).to_be_attached()
    return dict(found.evaluate(CHARTS))


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def running(browser, tmp_path_factory):
    links = ",".join(f"{name}={address}" for name, address in LINKS.items())
    with insights(tmp_path_factory.mktemp("page"), LINKS=links, AVAILABILITY_SECONDS="1") as found:
        send(found)
        yield found


@pytest.fixture
def page(browser, running):
    with visit(browser, running.url) as found:
        yield found


VISITS = [
    pytest.param("dark", NARROW, marks=pytest.mark.e2e),
    pytest.param("light", NARROW, marks=pytest.mark.e2e),
    pytest.param("dark", WIDE, marks=pytest.mark.e2e),
    pytest.param("light", WIDE, marks=pytest.mark.e2e),
]


@pytest.mark.parametrize(("theme", "size"), VISITS)
def test_every_view_is_whole_without_the_internet_fits_and_can_be_read(browser, running, theme, size):
    extra = (f"/search?text={ONE.hex()}", "/performance?operation=POST+/score&role=homeport.serving")
    with visit(browser, running.url, theme=theme, size=size) as page:
        for path in [view.path for view in VIEWS] + list(extra):
            page.goto(path, wait_until="networkidle")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator(f"body.body--{theme}")).to_be_attached()
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
            assert page.evaluate(FAINT) == [], path


# Texts whose contrast is below WCAG's AA: 4.5, or 3 where they are large
FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (el) => {
    if (!el) return [255, 255, 255, 1];
    const own = rgba(getComputedStyle(el).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(el.parentElement));
  };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => {
    const v = c[i] / 255;
    return sum + share * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const el = node.parentElement, style = getComputedStyle(el);
    if (!node.data.trim() || !el.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (!el.getClientRects().length || ["SCRIPT", "STYLE", "I"].includes(el.tagName)) continue;
    const below = ground(el), ink = rgba(el.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(over(ink, below)), light(below)].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.add(`${node.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...found];
}"""


def test_a_request_is_found_by_its_id_with_its_span_its_lines_and_its_model(page):
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type(ONE.hex())
    page.keyboard.press("Enter")
    expect(card(page, "POST /score 500").locator(".facts")).to_contain_text("Model version2")
    steps = card(page, "Time line").locator(".step:not(.scale)")
    expect(steps).to_have_count(4)
    expect(steps.filter(has_text="POST /score 500").locator(".track > .failed")).to_be_visible()
    expect(steps.filter(has_text="SELECT features")).to_contain_text("20 ms")
    expect(steps.filter(has_text="the model failed")).to_contain_text("trace")
    expect(steps.filter(has_text="ZeroDivisionError")).to_contain_text("exception")


def test_a_request_in_the_trace_of_its_client_is_found_by_the_id_that_the_client_was_told(page):
    page.goto(f"/search?text={TOLD}")
    expect(card(page, "POST /score 200").locator(".facts")).to_contain_text(f"Operation id{OWN.hex()}")


def test_html_in_telemetry_is_text(page):
    for path in ("/failures", "/search", "/performance", f"/search?text={ONE.hex()}", f"/search?text={quote(HTML)}",
                 f"/logs?query={quote('SELECT message, operation_Id FROM traces')}"):  # fmt: skip
        page.goto(path)
        # what is hidden says that nothing was found
        expect(page.locator("main, .content").get_by_text(HTML).filter(visible=True).first).to_be_visible()
    page.goto(f"/performance?operation={quote('GET ' + HTML)}&role=homeport.serving")
    expect(page.get_by_role("heading", name=f"GET {HTML}: durations")).to_be_visible()
    page.goto(f"/logs?query={quote('SELECT name, duration FROM requests')}")
    page.get_by_role("tab", name="Chart").click()
    expect(page.locator(".chart svg path").first).to_be_attached()
    assert page.locator("img[src=x]").count() == 0
    assert page.title() != "run"


def test_keys_lead_to_the_views_and_the_theme_is_remembered(page, running):
    page.goto("/")
    for number, view in enumerate(VIEWS, 1):
        expect(page.locator(f'a[data-key="{number}"]')).to_contain_text(view.title)
    page.keyboard.press("4")
    expect(page.get_by_role("heading", level=1)).to_have_text("Failures")
    expect(page.locator('a[aria-current="page"]')).to_contain_text("Failures")
    expect(page.locator("body.body--light")).to_be_attached()
    page.keyboard.press("t")
    expect(page.locator("body.body--dark")).to_be_attached()
    running.take(traces(request(418, NOW)))
    expect(page.get_by_role("cell", name="418", exact=True)).to_be_visible(timeout=15_000)  # the view was filled anew
    expect(page.locator("body.body--dark")).to_be_attached()
    page.keyboard.press("7")
    expect(page.get_by_role("heading", level=1)).to_have_text("Model")
    expect(page.locator("body.body--dark")).to_be_attached()
    page.keyboard.press("/")
    expect(page.get_by_label("Search (/)")).to_be_focused()
    page.keyboard.type("t4")  # in a field keys are letters
    expect(page.get_by_role("heading", level=1)).to_have_text("Model")
    expect(page.get_by_label("Search (/)")).to_have_value("t4")


@pytest.mark.e2e
def test_an_empty_database_says_what_to_do(browser, tmp_path):
    advice = {
        "/": "No request was seen in this time.", "/live": "No request came in the last minute.",
        "/performance": "No request was seen in this time.", "/failures": "No request failed in this time.",
        "/search": "Nothing was stored in this time.", "/map": "Nobody called anybody in this time.",
        "/model": "The model scored nothing in this time.", "/logs": "Nothing was asked yet.",
        "/alerts": "No rule began or ceased to fire in this time.",
        f"/search?text={ONE.hex()}": f"There is nothing of {ONE.hex()}.",
        "/transaction/nonsense": "There is nothing of nonsense.",
        "/search?text=nowhere": "Nothing holds “nowhere” in this time.",
    }  # fmt: skip
    assert {view.path for view in VIEWS} <= set(advice)
    with insights(tmp_path) as empty, visit(browser, empty.url) as page:
        for path, said in advice.items():
            page.goto(path)
            box = page.locator(".empty", has_text=said)
            expect(box).to_be_visible()
            assert len(box.inner_text()) > len(said) + 20, "and what to do"


@pytest.mark.e2e
def test_a_transaction_that_arrives_later_appears_by_itself(page, running):
    late = os.urandom(16)
    page.goto(f"/search?text={late.hex()}")
    expect(page.locator(".empty")).to_contain_text("appears by itself")
    running.take(traces(request(200, NOW, trace_id=late, name="POST /late")))
    expect(card(page, "POST /late 200")).to_be_visible()


@pytest.mark.e2e
def test_the_overview_has_the_numbers_of_the_api(page, running):
    page.goto("/")
    expect(card(page, "Server requests").locator(".figure")).not_to_have_text("–")
    told = httpx.get(f"{running.url}/api/overview", params={"minutes": 60}, trust_env=False).json()
    share = f"{100 * told['failures'] / told['requests']:.3g}"
    figures = {
        "Failed requests": f"{told['failures']:,} · {share} %", "Server requests": f"{told['requests']:,}",
        "Server response time": f"{told['mean']:.3g} ms on average", "Availability": "no test",
    }  # fmt: skip
    for title, figure in figures.items():
        expect(card(page, title).locator(".figure")).to_have_text(figure)
    for title, name, field in [
        ("Failed requests", "Failed", "failures"), ("Server requests", "Received", "requests"),
        ("Server response time", "95th percentile", "p95"),
    ]:  # fmt: skip
        drawn = [value for _, value in chart(page, title)[name]]
        assert drawn == [step[field] for step in told["series"]]


@pytest.mark.e2e
def test_what_was_dropped_on_the_way_is_said(page, running):
    page.goto("/")
    expect(card(page, "Server requests").locator(".figure")).not_to_have_text("–")
    said = page.get_by_role("status").filter(has_text="found no place")
    expect(said).to_be_hidden()
    running.take(metrics(point("homeport.telemetry.dropped", 1234, NOW - MINUTE, signal="traces", destination="otlp")))
    expect(said).to_contain_text("1,234 of ", timeout=15_000)


@pytest.mark.e2e
def test_a_longer_time_is_chosen_and_remembered(page, running):
    running.take(traces(request(200, NOW - 120 * MINUTE, name="POST /before")))
    page.goto("/performance")
    expect(page.get_by_role("link", name="POST /score")).to_be_visible()
    expect(page.get_by_role("link", name="POST /before")).to_have_count(0)
    page.get_by_label("Time range").click()
    page.get_by_role("option", name="Last 4 hours").click()
    page.get_by_role("link", name="POST /before").click()
    expect(page.get_by_role("heading", name="POST /before: durations")).to_be_visible()
    page.goto("/performance")
    expect(page.get_by_role("link", name="POST /before")).to_be_visible()


@pytest.mark.e2e
def test_performance_leads_from_an_operation_to_one_request(page):
    page.goto("/performance")
    row = card(page, "Operations").locator("tbody tr", has_text="POST /score")
    expect(row.locator("td")).to_have_count(8)
    row.get_by_role("link").click()
    slowest = card(page, "POST /score: the slowest requests").locator("tbody tr").first
    expect(slowest).to_contain_text(ONE.hex())
    assert sum(bar["value"] for bar in chart(page, "POST /score: durations")["requests"]) == 52
    slowest.get_by_role("link").click()
    expect(card(page, "POST /score 500")).to_be_visible()


@pytest.mark.e2e
def test_failures_are_told_by_status_with_the_exceptions(page):
    page.goto("/failures")
    counts = card(page, "By status and operation").locator("tbody tr")
    expect(counts.filter(has_text="the rows are wrong")).to_contain_text("120")
    expect(counts.filter(has_text="no model is ready")).to_contain_text("10")
    drawn = chart(page, "Failed requests by status")
    assert {name: sum(value for _, value in data) for name, data in drawn.items()} == {"400": 120, "503": 10}
    assert len({tuple(time for time, _ in data) for data in drawn.values()}) == 1, "bars are stacked by place"
    exception = card(page, "Exceptions").locator("tbody tr", has_text="ZeroDivisionError")
    card(page, "The latest failed requests").get_by_label("Status").click()
    page.get_by_role("option", name="503").click()
    latest = card(page, "The latest failed requests").locator("tbody tr")
    expect(latest).to_have_count(10)
    exception.get_by_role("link").click()
    expect(card(page, "POST /score 500")).to_be_visible()


@pytest.mark.e2e
def test_the_map_shows_callers_services_and_versions(page):
    page.goto("/map")
    calls = card(page, "Calls").locator("tbody tr")
    for caller, callee in [
        ("key primary", "homeport.serving"), ("homeport.serving", "shop 1"), ("homeport.serving", "shop 2"),
        ("homeport.serving", "features"),
    ]:  # fmt: skip
        expect(calls.filter(has_text=re.compile(f"{re.escape(caller)}.*{re.escape(callee)}"))).to_have_count(1)
    for name in ("key primary", "homeport.serving", "shop 1", "shop 2"):
        expect(page.locator(".map svg text", has_text=re.compile(f"^{name}$"))).to_be_visible()


@pytest.mark.e2e
def test_the_model_has_its_classes_its_drift_and_its_changes_marked(page):
    page.goto("/model")
    classes = chart(page, "Class balance")
    assert list(classes) == ["no", "yes"]
    assert [round(data[-1][1]) for data in classes.values()] == [33, 67]
    assert all(round(no + yes) == 100 for (_, no), (_, yes) in zip(*classes.values(), strict=True))
    for title in ("Class balance", "Confidence", "Rows scored by version", "Drift over time"):
        expect(card(page, title).locator("svg text", has_text="version 2").first).to_be_visible()
    versions = chart(page, "Rows scored by version")
    assert {name: sum(value for _, value in data) for name, data in versions.items()} == {
        "version 1": 900, "version 2": 900
    }  # fmt: skip
    assert {round(value, 3) for _, value in chart(page, "Confidence")["Mean confidence"]} == {0.8}
    (drift,) = chart(page, "Drift by feature, the latest").values()
    assert [bar["value"] for bar in drift] == [0.6, 0.15, 0.02]
    assert len({bar["itemStyle"]["color"] for bar in drift}) == 3
    features = card(page, "Features").locator("tbody tr", has_text="spend")
    expect(features.locator("td")).to_have_text(["spend", "0.6", "10", "0"])


@pytest.mark.e2e
def test_live_metrics_go_on_by_themselves(page, running):
    page.goto("/live")
    requests = card(page, "Requests").locator(".figure")
    expect(page.locator(".empty")).to_contain_text("No request came in the last minute.")
    page.evaluate("window.same = true")
    now = time_ns()
    running.take(metrics(point("http.server.request.duration", 0.2, now, 50, http__response__status_code=200)))
    expect(requests).not_to_have_text("0 a second")
    expect(page.locator(".empty")).to_be_hidden()
    expect(card(page, "Servers").locator("tbody tr")).to_contain_text("50")
    assert page.evaluate("window.same"), "the page was not loaded again"


@pytest.mark.e2e
def test_ready_made_queries_run(page, running):
    page.goto("/logs")
    for name, query in QUERIES.items():
        page.get_by_label("Ready-made queries").click()
        page.get_by_role("option", name=name, exact=True).click()
        expected = running.ask(query).json()
        for column in expected["columns"]:
            expect(page.get_by_role("columnheader", name=column["name"], exact=True)).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator(".content")).to_contain_text(f"{len(expected['rows'])} row")


def test_queries_of_the_guide_run(running):
    queries = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "insights.md").read_text(), re.DOTALL)
    assert len(queries) >= 3
    for query in queries:
        assert running.rows(query), query


@pytest.mark.e2e
def test_an_answer_is_a_table_a_chart_and_a_file(page, running):
    query = (
        "SELECT resultCode, sum(itemCount) AS requests, max(timestamp) AS latest FROM requests GROUP BY 1 ORDER BY 1"
    )
    page.goto("/logs")
    editor = page.locator(".cm-content")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(query)
    page.keyboard.press("Control+Enter")
    expected = running.rows(query)
    rows = page.locator("tbody tr", has=page.locator("td"))
    expect(rows).to_have_count(len(expected))
    for place, (code, count, _) in enumerate(expected):
        expect(rows.nth(place).locator("td").nth(0)).to_have_text(code)
        expect(rows.nth(place).locator("td").nth(1)).to_have_text(str(count))
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    header, *found = csv.reader(io.StringIO(download.value.path().read_text()))
    assert header == ["resultCode", "requests", "latest"]
    assert [[code, int(count)] for code, count, _ in found] == [[code, count] for code, count, _ in expected]
    page.get_by_role("tab", name="Chart").click()
    expect(page.locator(".chart svg path").first).to_be_attached()
    assert "requests" in dict(page.locator(".chart").evaluate(CHARTS))


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("query", "said"),
    [("SELEC 1", "syntax error"), ("DROP TABLE requests", "A query is one statement"), ("FROM nothing", "nothing")],
)
def test_what_is_wrong_with_a_query_is_said(page, query, said):
    page.goto(f"/logs?query={quote(query)}")
    expect(page.get_by_role("alert")).to_contain_text(said)


@pytest.mark.e2e
def test_links_lead_to_the_other_services_and_focus_can_go_everywhere(page):
    page.goto("/logs")
    for name, address in LINKS.items():
        link = page.get_by_role("link", name=name)
        expect(link).to_have_attribute("href", address)
        expect(link).to_have_attribute("target", "_blank")
    page.locator(".cm-content").click()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert not page.evaluate("!!document.activeElement.closest('.cm-editor')"), "the editor is no trap"


@pytest.mark.e2e
def test_the_list_of_views_opens_on_a_narrow_screen(browser, running):
    with visit(browser, running.url, size=NARROW) as page:
        page.goto("/")
        entry = page.get_by_role("link", name="Failures", exact=False)
        expect(entry).not_to_be_in_viewport()
        page.get_by_role("button", name="Views").click()
        expect(entry).to_be_in_viewport()
        entry.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Failures")
        expect(entry).not_to_be_in_viewport()


@pytest.mark.e2e
def test_the_keyboard_reaches_the_content_first(page):
    page.goto("/performance")
    expect(page.get_by_role("link", name="POST /score")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('.content')")


@pytest.mark.e2e
def test_an_alert_that_fires_is_on_the_overview_and_among_the_alerts(page):
    page.goto("/")
    alert = page.get_by_role("alert").filter(has_text="Drift of a feature")
    expect(alert).to_contain_text("0.6, the limit is 0.25", timeout=40_000)
    alert.get_by_role("link").click()
    expect(card(page, "Rules").locator("tbody tr", has_text="Drift of a feature")).to_contain_text("firing")
    events = card(page, "What happened").locator("tbody tr", has_text="Drift of a feature")
    expect(events).to_contain_text("began to fire")
