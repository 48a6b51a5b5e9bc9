"""One request seen everywhere: the id in the answer of the real endpoint finds it on the page."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Page, expect

from bundle import Store
from tests.browser import chromium, visit
from tests.conftest import MODEL, Silent, quick, shop_frame, wait_until, write_csv
from tests.observability.insights.page_stack import stack
from tests.observability.insights.test_page import card, chart
from trainer.job import train
from trainer.table import read_table

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory, shop_store):
    """A store whose champion is version 1, and which has a version 2."""
    import shutil

    folder = tmp_path_factory.mktemp("two")
    store = Store(shutil.copytree(shop_store.root, folder / "models"))
    table = write_csv(shop_frame(seed=1), folder / "shop.csv")
    train(quick(read_table(table), "buys", positive="yes", max_trials=2), store, Silent())
    return store


@pytest.fixture(scope="module")
def running(tmp_path_factory, two_versions, shop_rows):
    with stack(tmp_path_factory.mktemp("stack"), two_versions, MODEL, shop_rows) as found:
        yield found


@pytest.fixture
def page(running):
    with chromium() as browser, visit(browser, running.insights) as found:
        yield found


def find(page: Page, request_id: str) -> None:
    """As a person does who has only the id."""
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type(request_id)
    page.keyboard.press("Enter")


def fact(page: Page, name: str):
    return page.locator(f".facts > div:text-is('{name}') + div")


def test_a_failed_request_is_found_by_the_id_in_its_answer(page, running):
    answer = running.score([{"age": "old"}])
    assert answer.status_code == 400
    told = answer.headers["x-request-id"]
    find(page, told)
    expect(fact(page, "Request id")).to_have_text(told)
    expect(fact(page, "Model version")).to_have_text(answer.headers["x-model-version"])
    steps = card(page, "Time line").locator(".step:not(.scale)")
    expect(steps).to_have_count(2)
    expect(steps.filter(has_text="POST /score 400").locator(".track > .failed")).to_be_visible()
    expect(steps.filter(has_text=f"request={told}")).to_contain_text("trace")


def test_a_request_that_its_client_traces_is_found_by_either_id(page, running):
    trace = os.urandom(16).hex()
    answer = running.score(traceparent=f"00-{trace}-{os.urandom(8).hex()}-01")
    assert answer.status_code == 200
    told = answer.headers["x-request-id"]
    assert told != trace
    other = running.score(key="wrong", traceparent=f"00-{trace}-{os.urandom(8).hex()}-01").headers["x-request-id"]
    for one, expected, result in ((told, told, "200"), (trace, told, "200"), (other, other, "401")):
        find(page, one)
        expect(fact(page, "Operation id")).to_have_text(trace)
        expect(fact(page, "Request id")).to_have_text(expected)
        expect(fact(page, "Result")).to_have_text(result)
        expect(fact(page, "Model version")).to_have_text(answer.headers["x-model-version"])
        steps = card(page, "Time line").locator(".step:not(.scale)")
        expect(steps.filter(has_text="POST /score 200")).to_be_visible()


def test_a_request_is_found_by_an_id_of_its_clients_own(page, running):
    answer = running.score([], **{"x-request-id": "order-4711", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    assert answer.headers["x-request-id"] == "order-4711"
    wait_until(lambda: running.ask("SELECT count(*) FROM requests WHERE operation_Id = repeat('ab', 16)") == [[1]])
    find(page, "order-4711")
    page.get_by_role("row", name="POST /score").get_by_role("link").first.click()
    expect(fact(page, "Request id")).to_have_text("order-4711")


def test_what_the_endpoint_is_sent_is_counted_and_moves_the_model_view(page, running):
    for _ in range(60):
        assert running.score().status_code == 200
    assert running.score(key="wrong").status_code == 401
    running.promote("2")
    for _ in range(20):
        assert running.score([{**row, "age": 79, "colour": "mauve"} for row in running.rows[:20]]).status_code == 200
    page.goto("/model")
    expect(card(page, "Class balance").locator("svg text", has_text="version 2").first).to_be_visible(timeout=20_000)
    expect(card(page, "Features").locator("tbody tr", has_text="colour").locator("td").nth(3)).not_to_have_text("0")
    wait_until(lambda: set(chart(page, "Class balance")) == {"no", "yes"})
    wait_until(lambda: set(chart(page, "Rows scored by version")) == {"version 1", "version 2"})
    page.goto("/map")
    for name in ("key primary", "callers without a key", "availability tests", "homeport.serving", f"{MODEL} 2"):
        expect(page.locator(".map svg text", has_text=name).first).to_be_visible()
    page.goto("/failures")
    expect(card(page, "By status and operation").locator("tbody tr", has_text="no key")).to_contain_text("401")
    page.goto("/")
    expect(card(page, "Availability").locator(".figure")).to_have_text("100 %")
    page.goto("/live")
    expect(card(page, "Servers").locator("tbody tr")).to_have_count(2)
