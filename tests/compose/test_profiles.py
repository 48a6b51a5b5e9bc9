"""The parts that come with `--profile`."""

import gzip
import json

import httpx
import pyarrow.parquet as pq
import pytest

from homeport.traffic import drawn_rows
from tests.compose.load import Load
from tests.compose.stack import Stack, docker, until
from tests.conftest import ROOT

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("profile", "services"),
    [("load", {"load"}), ("scale", {"dask-scheduler", "dask-worker"}), ("grafana", {"prometheus", "grafana"})],
)
def test_a_profile_adds_its_services(images, profile, services):
    alone, with_profile = (Stack().configuration(*names)["services"] for names in ((), (profile,)))
    assert with_profile.keys() - alone.keys() == services


def test_every_service_of_every_profile_is_hardened(images):
    for name, service in Stack().configuration("*")["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert int(service["mem_limit"]) > 0, name
        assert service["logging"]["options"] == {"max-file": "3", "max-size": "10m"}, name
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}, name
        assert not {"privileged", "cap_add", "network_mode", "pid", "user"} & service.keys(), name


def test_locust_loads_the_endpoint_from_its_page(stack):
    stack.compose("--profile", "load", "up", "--detach", "load")
    try:
        stack.wait_healthy("load")
        with httpx.Client(base_url=stack.url("LOAD"), timeout=10) as page:
            assert "Locust" in page.get("/").text
            started = page.post("/swarm", data={"user_count": 2, "spawn_rate": 2}).json()
            assert started["success"], started
            until(lambda: page.get("/stats/requests").json()["stats"][-1]["num_requests"] > 100, "a hundred requests")
            page.get("/stop")
            stats = page.get("/stats/requests").json()
            assert stats["errors"] == []
            assert stats["stats"][-1]["num_failures"] == 0
    finally:
        stack.compose("--profile", "load", "rm", "--stop", "--force", "load")


def test_a_batch_gives_the_same_bytes_on_dask(stack, tmp_path):
    (tmp_path / "new.csv").write_bytes(
        gzip.decompress((ROOT / "datasets" / "bank-marketing-sample.csv.gz").read_bytes())
    )
    tmp_path.chmod(0o777)  # the container's user is nobody here
    batch = ("run", "--rm", "-T", "--volume", f"{tmp_path}:/batch", "trainer", "batch", "--mini-batch-size", "500")
    stack.compose("--profile", "scale", "up", "--detach", "--scale", "dask-worker=2", "dask-worker")
    try:
        stack.wait_healthy("serving", "dask-scheduler", "dask-worker")
        assert "bokeh" in httpx.get(f"{stack.url('DASK')}/status").text
        stack.compose(*batch, "/batch/new.csv", "/batch/here.parquet")
        stack.compose(*batch, "/batch/new.csv", "/batch/there.parquet", "--scheduler", "tcp://dask-scheduler:8786")
        here, there = ((tmp_path / f"{place}.parquet").read_bytes() for place in ("here", "there"))
        assert here == there
        assert pq.read_metadata(tmp_path / "here.parquet").num_rows == 4_521
    finally:
        stack.compose("--profile", "scale", "rm", "--stop", "--force", "dask-worker", "dask-scheduler")


def dashboard():
    return json.loads((ROOT / "observability" / "grafana" / "dashboards" / "homeport.json").read_text())


def at_hand(service):
    """Skips unless a service's image is here or can be pulled."""
    image = Stack().configuration("grafana")["services"][service]["image"]
    if not docker("images", "--quiet", image):
        pytest.skip(f"{image} is not at hand: {service} was not started")


@pytest.fixture
def prometheus(stack):
    at_hand("prometheus")
    stack.wait_healthy("serving", "collector")
    stack.compose("--profile", "grafana", "up", "--detach", "prometheus")
    with httpx.Client(base_url=stack.url("PROMETHEUS")) as client:
        yield client
    stack.compose("--profile", "grafana", "rm", "--stop", "--force", "prometheus")


def test_each_panel_of_the_dashboard_has_data(stack, prometheus):
    row = drawn_rows(stack.ask("/openapi.json").json()["components"]["schemas"]["Row"]["properties"], 1)[0]
    with Load(stack.url("SERVING"), stack.key(), row):
        for panel in dashboard()["panels"]:
            for target in panel["targets"]:
                until(lambda query=target["expr"]: values(prometheus, query), f"{panel['title']}: {target['expr']}")


def values(prometheus, query):
    """The numbers that a query gives at the moment."""
    try:
        answer = prometheus.get("/api/v1/query", params={"query": query})
    except httpx.TransportError:
        return []
    if answer.status_code == 503:  # it starts
        return []
    assert answer.status_code == 200, answer.text
    found = [series["value"][1] for series in answer.json()["data"]["result"]]
    return [value for value in found if value != "NaN"]


def test_grafana_shows_the_dashboard(stack, prometheus):
    at_hand("grafana")
    stack.compose("--profile", "grafana", "up", "--detach", "grafana")
    try:
        with httpx.Client(base_url=stack.url("GRAFANA")) as page:
            found = until(lambda: answered(page, "/api/dashboards/uid/homeport"), "Grafana has the dashboard")
        assert found["dashboard"]["title"] == dashboard()["title"]
    finally:
        stack.compose("--profile", "grafana", "rm", "--stop", "--force", "grafana")


def answered(page, path):
    try:
        answer = page.get(path)
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None
