"""`/report`: for those who have a key, in a program or in a browser, and of the version that answers."""

import base64

import pytest

from serving.keys import read_keys
from serving.report import as_bearer
from tests.browser import chromium
from tests.conftest import MODEL, serve, wait_until

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def basic(password, user="anyone"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer wrong", "Basic", "Basic !", "Basic " + base64.b64encode(b"a:wrong").decode(), "Basic eA=="],
)
def test_it_needs_a_key(endpoint, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = endpoint.anonymous.get("/report", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="Homeport"'
    assert answer.headers["cache-control"] == "no-store"
    assert "key" in answer.json()["message"]


def test_no_other_path_asks_a_browser_for_a_password_or_takes_one(endpoint, complete_row):
    key = endpoint.client.headers["Authorization"].removeprefix("Bearer ")
    for method, path in (("POST", "/score"), ("GET", "/v2"), ("POST", "/explain")):
        answer = endpoint.anonymous.request(method, path, headers=basic(key))
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_either_key_opens_it_and_none_is_taken_from_an_address(tmp_path, shop_store, shop_bundle):
    with serve(tmp_path, shop_store.root) as running:
        keys = read_keys(tmp_path / "keys.json")
        for key in (keys.primary, keys.secondary):
            for headers in ({"Authorization": f"Bearer {key}"}, basic(key), basic(key, "")):
                answer = running.anonymous.get("/report", headers=headers)
                assert answer.status_code == 200
                assert answer.content == (shop_bundle / "report.html").read_bytes()
                assert answer.headers["content-type"] == "text/html; charset=utf-8"
                assert answer.headers["content-security-policy"].startswith(POLICY)
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["x-model-version"] == "1"
            assert running.anonymous.get("/report", params={"key": key}).status_code == 401
            assert keys.primary not in running.log.read_text()
        assert running.anonymous.head("/report", headers=basic(keys.primary)).status_code == 200


def test_it_is_that_of_the_version_that_answers(tmp_path, own_store):
    import msgspec

    from bundle import write_bundle

    old = own_store.path(MODEL, "1")
    manifest = own_store.manifest(MODEL, "1")
    files = {name: (old / name).read_bytes() for name in manifest.files}
    write_bundle(own_store, manifest, files | {"report.html": b"<!doctype html>second"})
    del files["report.html"]
    write_bundle(own_store, msgspec.structs.replace(manifest), files)
    with serve(tmp_path, own_store.root) as running:

        def swap(version):
            own_store.promote(MODEL, version)
            wait_until(lambda: running.anonymous.get("/health/ready").json()["version"] == version)
            return running.client.get("/report")

        assert running.client.get("/report").content == (old / "report.html").read_bytes()
        assert "(/report)" in running.anonymous.get("/openapi.json").json()["info"]["description"]
        assert swap("2").text == "<!doctype html>second"
        gone = swap("3")
        assert (gone.status_code, gone.json()) == (404, {"message": f"{MODEL} version 3 has no report.html here."})
        assert "(/report)" not in running.anonymous.get("/openapi.json").json()["info"]["description"]


def test_without_a_model_there_is_none_yet(tmp_path):
    with serve(tmp_path, tmp_path / "nothing") as empty:
        assert empty.client.get("/report").status_code == 503
        assert empty.anonymous.get("/report").status_code == 401


def test_a_password_becomes_a_bearers_key():
    assert as_bearer(b"basic " + base64.b64encode(b"me:with:colons")) == b"Bearer with:colons"
    assert as_bearer(b"Bearer x") == b"Bearer x"
    assert as_bearer("Basic ü".encode("latin-1")) == b""


@pytest.mark.e2e
def test_a_browser_shows_it_under_its_policy(endpoint):
    key = endpoint.client.headers["Authorization"].removeprefix("Bearer ")
    wrong = []
    with (
        chromium() as browser,
        browser.new_context(http_credentials={"username": "me", "password": key}) as context,
    ):
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(f"{endpoint.url}/report")
        assert page.locator("h1").inner_text().startswith(MODEL)
        colour = page.locator(".card").first.evaluate("card => getComputedStyle(card).borderTopWidth")
        assert colour == "1px"  # the page's own style is let in
    assert [text for text in wrong if "favicon" not in text and "401" not in text] == []
