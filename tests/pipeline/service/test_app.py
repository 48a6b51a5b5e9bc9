"""The HTTP surface of the pipeline service, with an engine that keeps runs in memory."""

import asyncio
import uuid
from datetime import UTC, datetime

import httpx
import pytest
from openapi_spec_validator import validate

from pipeline.errors import EngineAway
from pipeline.service.agenda import Agenda
from pipeline.service.app import Parts, create_app
from pipeline.service.clock import Clock
from pipeline.service.registry import Registry
from pipeline.service.runs import Runs
from pipeline.service.settings import Settings
from pipeline.steps.record import RunFolder, StepRecord

KEY = "service-key-of-this-test"
JOB = {"Table": "bank-marketing", "Budget": 5}


class MemoryEngine:
    """Flow runs as Prefect's REST API answers them."""

    def __init__(self):
        self.kept, self.keys, self.away = {}, {}, False

    async def is_ready(self):
        return not self.away

    async def start(self, pipeline, parameters, tags, idempotency_key=None):
        if self.away:
            raise EngineAway("Prefect does not answer.")
        if idempotency_key in self.keys:
            return self.kept[self.keys[idempotency_key]]
        run = {"id": str(uuid.uuid4()), "parameters": parameters, "tags": tags, "created": _now(), "start_time": None}
        run |= {"end_time": None, "estimated_run_time": 0.0}
        self.kept[run["id"]] = run
        if idempotency_key:
            self.keys[idempotency_key] = run["id"]
        await self.set_state(run["id"], "SCHEDULED", "Scheduled", "")
        return run

    async def run(self, run):
        return self.kept.get(run)

    async def runs(self, tags, states=()):
        fits = [r for r in self.kept.values() if set(tags) <= set(r["tags"])]
        return [r for r in reversed(fits) if not states or r["state_type"] in states]

    async def set_state(self, run, kind, name, message):
        state = {"type": kind, "name": name, "message": message, "timestamp": _now()}
        self.kept[run] |= {"state_type": kind, "state": state}

    async def logs(self, run, after):
        lines = [{"timestamp": _now(), "level": 20, "message": f"line {n}", "task_run_id": "t"} for n in range(3)]
        return lines[after:]

    async def task_names(self, run):
        return {"t": "train"}


def _now():
    return datetime.now(UTC).isoformat()


class Service:
    """The application, called by anybody with any key."""

    def __init__(self, folder):
        self.settings = Settings(data=folder, models=folder / "models")
        self.engine = MemoryEngine()
        self.registry = Registry(folder / "pipelines.db")
        self.agenda = Agenda(folder / "agenda.db")
        runs = Runs(self.engine, self.settings)
        clock = Clock(self.agenda, None, start=None, busy=runs.is_under_way, model=None)
        parts = Parts(self.registry, self.engine, runs, self.agenda, clock, KEY, "http://pipelines.test")
        self.app = create_app(parts)

    def call(self, method, path, body=None, key=KEY):
        async def ask():
            transport = httpx.ASGITransport(self.app)
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://pipelines.test") as client:
                return await client.request(method, path, json=body, headers=headers)

        return asyncio.run(ask())

    def publish(self, name="bank", **fields):
        answer = self.call("POST", "/pipelines", {"Name": name, "Job": JOB} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()


@pytest.fixture
def service(tmp_path):
    made = Service(tmp_path)
    yield made
    made.registry.close()
    made.agenda.close()


def test_publish_and_run_as_the_exercise_does(service):
    published = service.publish(Description="nightly")
    assert (published["Status"], published["Version"], published["Description"]) == ("ACTIVE", "1", "nightly")
    assert published["Endpoint"] == "http://pipelines.test/pipelines/bank/runs"
    key = published["Keys"]["Primary"]
    answer = service.call("POST", "/pipelines/bank/runs", {"ExperimentName": "pipeline-rest-endpoint"}, key)
    answer.raise_for_status()
    run = answer.json()["Id"]
    shown = service.call("GET", f"/pipelines/bank/runs/{run}", key=key).json()
    assert (shown["Status"], shown["ExperimentName"], shown["Cause"]) == ("Queued", "pipeline-rest-endpoint", "REST")
    assert [step["Status"] for step in shown["Steps"]] == ["NotStarted"] * 9
    assert service.engine.kept[run]["parameters"]["job"]["Table"] == "bank-marketing"


def test_a_version_never_changes_and_a_name_means_its_newest(service):
    first = service.publish()
    second = service.publish(Job=JOB | {"Budget": 9})
    assert second["Version"] == "2"
    assert second["Keys"] is None, "keys are shown once, and are the name's"
    assert service.call("GET", "/pipelines/bank").json()["Id"] == second["Id"]
    assert service.call("GET", f"/pipelines/{first['Id']}").json()["Job"]["Budget"] == 5
    assert [one["Version"] for one in service.call("GET", "/pipelines").json()["Pipelines"]] == ["2"]
    assert len(service.call("GET", "/pipelines?all=true").json()["Pipelines"]) == 2
    again = service.call("POST", "/pipelines", {"Name": "bank", "Version": "2", "Job": JOB})
    assert again.status_code == 409
    assert "never change" in again.json()["message"]


def test_a_disabled_pipeline_refuses_and_an_enabled_one_runs_again(service):
    service.publish()
    assert service.call("POST", "/pipelines/bank/disable").json()["Status"] == "DISABLED"
    refused = service.call("POST", "/pipelines/bank/runs", {})
    assert refused.status_code == 409
    assert "homeport pipeline enable bank" in refused.json()["message"]
    service.call("POST", "/pipelines/bank/enable")
    assert service.call("POST", "/pipelines/bank/runs").status_code == 200


def test_each_key_opens_what_it_is_for(service):
    bank, shop = service.publish(), service.publish("shop")
    own, other = bank["Keys"]["Secondary"], shop["Keys"]["Primary"]
    run = service.call("POST", "/pipelines/bank/runs", {}, own).json()["Id"]
    for key in (None, "", "wrong", other):
        for method, path in (
            ("GET", "/pipelines/bank"), ("POST", "/pipelines/bank/runs"), ("GET", f"/pipelines/bank/runs/{run}"),
            ("GET", "/pipelines"), ("POST", "/pipelines/bank/disable"), ("GET", "/pipelines/nobody"),
            ("GET", "/pipelines/bank/schedules"),
        ):  # fmt: skip
            answer = service.call(method, path, key=key)
            assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, "Bearer"), (key, path)
    assert service.call("POST", "/pipelines/bank/disable", key=own).status_code == 401, "the service's key alone"
    assert service.call("GET", f"/pipelines/shop/runs/{run}", key=other).status_code == 404, "another pipeline's run"


def test_keys_are_made_anew_one_at_a_time_and_only_their_digests_are_kept(service, tmp_path):
    keys = service.publish()["Keys"]
    new = service.call("POST", "/pipelines/bank/keys/primary").json()["Key"]
    assert service.call("GET", "/pipelines/bank", key=keys["Primary"]).status_code == 401
    assert service.call("GET", "/pipelines/bank", key=new).status_code == 200
    assert service.call("GET", "/pipelines/bank", key=keys["Secondary"]).status_code == 200
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("pipelines.db*"))
    assert not any(key.encode() in kept for key in (new, *keys.values()))


@pytest.mark.parametrize(
    ("assigned", "said"),
    [({"Budgett": 1}, "Budgett"), ({"Budget": "much"}, "Budget"), ({"BatchInput": "a.csv"}, "BatchOutput")],
)
def test_a_parameter_that_makes_no_sense_is_refused(service, assigned, said):
    service.publish()
    answer = service.call("POST", "/pipelines/bank/runs", {"ParameterAssignments": assigned})
    assert answer.status_code == 422
    assert said in answer.json()["message"]


def test_a_body_that_makes_no_sense_is_refused_in_one_line(service):
    answer = service.call("POST", "/pipelines", {"Name": "No Name", "Job": JOB})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("Name")


def test_a_run_shows_what_its_steps_left(service):
    service.publish()
    run = service.call("POST", "/pipelines/bank/runs", {"ParameterAssignments": {"Budget": 7}}).json()["Id"]
    folder = RunFolder(service.settings.data, run)
    folder.write(StepRecord(name="train", status="Completed", metrics={"AUC": 0.9}, output={"version": "4"}))
    folder.write(StepRecord(name="evaluate", status="Failed", message="the champion is of another target"))
    asyncio.run(service.engine.set_state(run, "FAILED", "Failed", "Flow run encountered an exception"))
    shown = service.call("GET", f"/pipelines/bank/runs/{run}").json()
    assert (shown["Status"], shown["ModelVersion"], shown["Promoted"]) == ("Failed", "4", False)
    assert shown["Message"] == "the champion is of another target"
    base = f"/pipelines/bank/runs/{run}"
    assert service.call("GET", f"{base}/metrics").json() == {"Metrics": {"train": {"AUC": 0.9}}}
    assert service.call("GET", f"{base}/outputs").json() == {"Outputs": {"train": {"version": "4"}}}
    log = service.call("GET", f"{base}/logs?after=1").json()
    assert ([line["Message"] for line in log["Lines"]], log["Next"]) == (["line 1", "line 2"], 3)
    again = service.call("POST", f"{base}/rerun").json()
    assert again["Status"] == "Queued"
    assert [step["Status"] for step in again["Steps"][2:4]] == ["Completed", "NotStarted"]
    assert service.call("POST", f"{base}/rerun").status_code == 409
    assert service.call("POST", f"{base}/cancel").json()["Status"] == "Canceled"
    assert service.call("POST", f"{base}/cancel").status_code == 409


def test_an_engine_that_is_away_is_said(service):
    service.publish()
    assert service.call("GET", "/health/ready", key=None).status_code == 200
    service.engine.away = True
    assert service.call("GET", "/health/ready", key=None).status_code == 503
    answer = service.call("POST", "/pipelines/bank/runs")
    assert answer.status_code == 503
    assert "Prefect" in answer.json()["message"]


def test_the_description_is_valid_and_needs_no_other_host(service):
    document = service.call("GET", "/openapi.json", key=None).json()
    validate(document)
    assert "/pipelines/{name}/runs" in document["paths"]
    assert "/pipelines/{name}/schedules" in document["paths"]
    page = service.call("GET", "/docs", key=None).text
    assert "swagger-ui" in page
    assert "https://" not in page
