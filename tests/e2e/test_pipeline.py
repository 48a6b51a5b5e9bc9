"""The pipeline service of the embedded stack, with Prefect's own server and worker, from publishing to a new answer."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from bundle import Store
from homeport.processes import Running
from homeport.stack import Stack
from pipeline.steps.record import RunFolder
from tests.conftest import MODEL, free_port, shop_frame, wait_until, write_csv

pytestmark = pytest.mark.e2e

JOB = {"Target": "buys", "Learners": ["lgbm"], "MaxTrials": 3}


@dataclass
class Pipelines:
    """A stack, and a client of its pipeline service with the service's key."""

    stack: Stack
    client: httpx.Client
    table: Path

    @property
    def store(self) -> Store:
        return Store(self.stack.models)

    def publish(self, name: str, **job) -> dict:
        body = {"Name": name, "Job": JOB | {"Table": str(self.table), "Model": MODEL} | job}
        answer = self.client.post("/pipelines", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def start(self, name: str, **assigned) -> str:
        answer = self.client.post(f"/pipelines/{name}/runs", json={"ParameterAssignments": assigned})
        answer.raise_for_status()
        return answer.json()["Id"]

    def show(self, name: str, run: str) -> dict:
        return self.client.get(f"/pipelines/{name}/runs/{run}").raise_for_status().json()

    def over(self, name: str, run: str, seconds: float = 120) -> dict:
        wait_until(lambda: self.show(name, run)["Status"] in ("Completed", "Failed", "Canceled"), seconds)
        return self.show(name, run)

    def until(self, name: str, run: str, step: str) -> None:
        def runs() -> bool:
            return {one["Name"]: one["Status"] for one in self.show(name, run)["Steps"]}[step] == "Running"

        wait_until(runs, 90)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those below the service with all these words on their command line."""
        children = psutil.Process(self.stack.pipeline.running().pid).children(recursive=True)
        return [one for one in children if set(words) <= set(" ".join(one.cmdline()).split())]


def started(stack: Stack) -> Running:
    """The service, started by a process that ends, as a command's does."""
    code = "from pathlib import Path; from homeport.stack import Stack; import sys; "
    code += "Stack(*map(Path, sys.argv[1:])).start_pipeline()"
    subprocess.run([sys.executable, "-c", code, stack.state, stack.models], check=True)
    return stack.pipeline.running()


@contextmanager
def running_pipelines(folder: Path, **environment: str) -> Iterator[Pipelines]:
    """An embedded stack in a folder, with a first model and the pipeline service."""
    table = write_csv(shop_frame(1500), folder / "shop.csv")
    homeport = [sys.executable, "-m", "homeport"]
    train = [*homeport, "train", str(table), "-t", "buys", "--name", MODEL, "--max-trials", "2"]
    up = [*homeport, "up", "--port", str(free_port()), "--no-insights"]
    with pytest.MonkeyPatch.context() as patch:
        ports = {"HOMEPORT_PIPELINE_PORT": str(free_port()), "HOMEPORT_PREFECT_PORT": str(free_port())}
        for name, value in (ports | environment).items():
            patch.setenv(name, value)
        for command in (train, up):
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        stack = Stack(folder / ".homeport", folder / "models")
        try:
            running = started(stack)
            key = (stack.pipelines / "service.key").read_text()
            authorization = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=running.url, headers=authorization, trust_env=False, timeout=30) as client:
                yield Pipelines(stack, client, table)
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    with running_pipelines(tmp_path_factory.mktemp("pipelines")) as running:
        yield running


def test_publish_trigger_with_the_key_promote_and_the_endpoint_answers(pipelines):
    published = pipelines.publish("shop", Margin=0)
    key = published["Keys"]["Primary"]
    # as the exercise does it, by curl
    command = [
        "curl", "-sf", "-X", "POST", published["Endpoint"], "-H", f"Authorization: Bearer {key}",
        "-H", "Content-Type: application/json", "-d",
        '{"ExperimentName": "pipeline-rest-endpoint", "ParameterAssignments": {"MaxTrials": 12}}',
    ]  # fmt: skip
    answer = subprocess.run(command, check=True, capture_output=True).stdout
    run = httpx.Response(200, content=answer).json()["Id"]
    shown = pipelines.over("shop", run)
    steps = {step["Name"]: step for step in shown["Steps"]}
    assert shown["Status"] == "Completed", shown
    if not shown["Promoted"]:  # the first model was better: what is promoted then is tried by a pipeline of its own
        assert "not better" in shown["Message"] or "better" in shown["Message"]
        run = pipelines.start("shop", Model="other", Serve=False)
        shown = pipelines.over("shop", run)
        assert shown["Promoted"]
    else:
        assert steps["smoke-test"]["Status"] == "Completed"
        endpoint = pipelines.stack.running().url
        assert httpx.get(f"{endpoint}/health/ready").json()["version"] == shown["ModelVersion"]
    lines = pipelines.client.get(f"/pipelines/shop/runs/{run}/logs").json()["Lines"]
    assert any(line["Step"] == "train" for line in lines)
    page = httpx.get(shown["Page"].partition("/runs")[0], trust_env=False)
    assert page.status_code == 200
    refused = httpx.get(shown["Page"].partition("/runs")[0] + "/api/flow_runs/" + run, trust_env=False)
    assert refused.status_code == 401, "Prefect's API takes its credential alone"


def test_a_second_run_takes_the_training_over(pipelines):
    pipelines.publish("again", Model="again", Serve=False)
    pipelines.over("again", pipelines.start("again"))
    began = time.monotonic()
    shown = pipelines.over("again", pipelines.start("again"))
    print(f"second run: {time.monotonic() - began:.1f} s")
    assert {step["Name"]: step["Reused"] for step in shown["Steps"]}["train"]


@pytest.mark.parametrize("killed", ["flow", "worker and flow", "server"])
def test_what_is_killed_in_the_middle_of_training_goes_on(pipelines, killed):
    name = f"kill-{killed.split()[0]}"
    pipelines.publish(name, Model=name, Serve=False)
    run = pipelines.start(name, MaxTrials=None, Budget=8)
    pipelines.until(name, run, "train")
    victims = [] if killed == "server" else pipelines.processes("pipeline.start")
    assert killed == "server" or victims
    if "worker" in killed:
        victims += pipelines.processes("prefect", "worker")
    if killed == "server":
        victims += pipelines.processes("prefect", "server", "--host")
    for victim in victims:
        victim.kill()
    began = time.monotonic()
    if killed != "server":
        folder = RunFolder(pipelines.stack.pipelines, run)
        wait_until(lambda: folder.resumes == 1, 30)
        print(f"{killed}: found after {time.monotonic() - began:.1f} s")
    wait_until(lambda: pipelines.client.get("/health/ready").status_code == 200, 60)
    shown = pipelines.over(name, run, 180)
    assert (shown["Status"], shown["Promoted"]) == ("Completed", True), shown
    assert pipelines.store.champion(name).previous == ()
    if killed != "server":
        assert {step["Name"]: step["Reused"] for step in shown["Steps"]}["ingest"], "what was finished is not repeated"


def test_the_whole_service_killed_forgets_nothing(pipelines):
    pipelines.publish("all", Model="all", Serve=False)
    run = pipelines.start("all", MaxTrials=None, Budget=8)
    pipelines.until("all", run, "train")
    service = psutil.Process(pipelines.stack.pipeline.running().pid)
    tree = [service, *service.children(recursive=True)]
    os.kill(service.pid, signal.SIGKILL)
    for process in tree:
        if process.is_running():
            process.kill()
    psutil.wait_procs(tree, 10)
    started(pipelines.stack)
    assert pipelines.over("all", run, 180)["Status"] == "Completed"
    assert pipelines.store.champion("all").previous == ()


def test_a_run_is_cancelled_and_goes_on_when_asked(pipelines):
    pipelines.publish("cancel", Model="cancel", Serve=False)
    run = pipelines.start("cancel", MaxTrials=None, Budget=60)
    pipelines.until("cancel", run, "train")
    pipelines.client.post(f"/pipelines/cancel/runs/{run}/cancel").raise_for_status()
    assert pipelines.over("cancel", run)["Status"] == "Canceled"
    wait_until(lambda: not RunFolder(pipelines.stack.pipelines, run).is_held(), 30)
    assert pipelines.store.versions("cancel") == []
    assert pipelines.client.post(f"/pipelines/cancel/runs/{run}/cancel").status_code == 409


def test_a_failed_run_goes_on_from_the_step_that_failed(pipelines):
    pipelines.publish("mend", Model="mend", Serve=False)
    absent = pipelines.table.with_name("late.csv")
    run = pipelines.start("mend", BatchInput=str(absent), BatchOutput=str(absent.with_name("scored.csv")))
    shown = pipelines.over("mend", run)
    assert (shown["Status"], shown["Promoted"]) == ("Failed", True)
    assert "late.csv" in shown["Message"]
    absent.write_bytes(pipelines.table.read_bytes())
    pipelines.client.post(f"/pipelines/mend/runs/{run}/rerun").raise_for_status()
    shown = pipelines.over("mend", run)
    assert shown["Status"] == "Completed", shown
    assert {s["Name"]: s["Reused"] for s in shown["Steps"]} | {"batch-score": False} == {
        **{s["Name"]: True for s in shown["Steps"]}, "smoke-test": False, "batch-score": False,
    }  # fmt: skip
    assert pipelines.store.champion("mend").previous == ()


def test_a_schedule_runs_it_and_a_trigger_on_new_data_too(pipelines):
    pipelines.publish("clock", Model="clock", Serve=False)
    table = pipelines.table.with_name("arrives.csv")
    table.write_bytes(pipelines.table.read_bytes())
    made = pipelines.client.post("/pipelines/clock/schedules", json={"Every": "2h", "RunNow": True})
    assert made.status_code == 201, made.text
    wait_until(lambda: len(pipelines.client.get("/pipelines/clock/runs").json()["Runs"]) == 1, 30)
    first = pipelines.client.get("/pipelines/clock/runs").json()["Runs"][0]
    assert first["Cause"].startswith("schedule")
    pipelines.over("clock", first["Id"])
    trigger = {"Kind": "data", "Path": str(table), "EverySeconds": 1}
    assert pipelines.client.post("/pipelines/clock/triggers", json=trigger).status_code == 201
    with table.open("a") as file:
        file.write(pipelines.table.read_text().splitlines()[1] + "\n")
    wait_until(lambda: len(pipelines.client.get("/pipelines/clock/runs").json()["Runs"]) == 2, 60)
    second = pipelines.client.get("/pipelines/clock/runs").json()["Runs"][0]
    assert second["Cause"].startswith("trigger")
    assert pipelines.over("clock", second["Id"])["Status"] == "Completed"
