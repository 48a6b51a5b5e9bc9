"""The parts that come with `--profile`."""

import json

import httpx
import pytest

from tests.compose.stack import Stack, until

pytestmark = pytest.mark.e2e

# Scores the golden rows of the champion on every worker.
ON_DASK = """
import json
from pathlib import Path
from distributed import Client

def score():
    from bundle import Store
    from bundle.model import Model
    from bundle.read import read_golden
    store = Store(Path("/var/lib/homeport/models"))
    folder = store.champion_path(store.names()[0])
    model, golden = Model(folder), read_golden(folder)
    outputs = model.outputs(model.encode(model.tuples(golden.rows)))
    return len(outputs), float(abs(outputs - golden.outputs).max())

if __name__ == "__main__":
    with Client("tcp://dask-scheduler:8786") as client:
        client.wait_for_workers(2, timeout=60)
        print(json.dumps(list(client.run(score).values())))
"""


@pytest.mark.parametrize(("profile", "services"), [("load", {"load"}), ("scale", {"dask-scheduler", "dask-worker"})])
def test_a_profile_adds_its_services(images, profile, services):
    alone, with_profile = (Stack().configuration(*names)["services"] for names in ((), (profile,)))
    assert with_profile.keys() - alone.keys() == services


def test_locust_loads_the_endpoint_from_its_page(stack):
    stack.compose("--profile", "load", "up", "--detach", "load")
    try:
        stack.wait_healthy("load")
        page = httpx.Client(base_url=stack.url("LOAD"), timeout=10)
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


def test_dask_scores_with_the_champion(stack):
    stack.compose("--profile", "scale", "up", "--detach", "--scale", "dask-worker=2", "dask-worker")
    try:
        stack.wait_healthy("dask-scheduler", "dask-worker")
        assert "bokeh" in httpx.get(f"{stack.url('DASK')}/status").text
        printed = stack.compose("exec", "-T", "dask-scheduler", "python", "-", stdin=ON_DASK)
        differences = json.loads(printed)
        assert len(differences) == 2
        for rows, difference in differences:
            assert rows > 10
            assert difference < 1e-5
    finally:
        stack.compose("--profile", "scale", "rm", "--stop", "--force", "dask-worker", "dask-scheduler")
