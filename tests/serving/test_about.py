"""`/model`: what anybody may know of the model that answers."""

from bundle import Store
from bundle.read import verify
from tests.conftest import MODEL, serve


def test_it_describes_the_model_and_leads_to_its_report(endpoint, shop_bundle):
    manifest = verify(shop_bundle)
    answer = endpoint.anonymous.get("/model")
    assert answer.status_code == 200
    given = answer.json()
    assert (given["name"], given["version"], given["task"]) == (MODEL, manifest.version, "binary")
    assert given["classes"] == list(manifest.classes)
    assert given["metrics"]["accuracy"] == manifest.metrics["accuracy"]
    assert given["baselines"]["majority class"]["accuracy"] < given["metrics"]["accuracy"]
    assert given["threshold"] is None
    assert endpoint.client.get(given["report"]).status_code == 200
    assert endpoint.client.get(given["inputs"]).status_code == 200


def test_it_shows_no_row_of_the_data(endpoint, shop_bundle):
    text = endpoint.anonymous.get("/model").text
    assert '"data"' not in text
    assert "example" not in text


def test_without_a_model_it_says_so(tmp_path):
    with serve(tmp_path, Store(tmp_path / "none").root) as running:
        answer = running.anonymous.get("/model")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
