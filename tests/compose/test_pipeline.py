"""The pipeline service in containers: published, triggered by its key, promoted, and answered by the endpoint."""

import httpx
import pytest

from tests.compose.stack import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def healthy(stack):
    """The stack; what the test has promoted is gone afterwards, and the endpoint back at its first model."""
    stack.wait_healthy("serving", "pipeline", "mlflow")
    before = stack.ask("/health/ready").json()
    yield stack
    stack.compose("exec", "-T", "pipeline", "rm", "-r", "/var/lib/homeport/models/piped")
    until(lambda: stack.ask("/health/ready").json() == before, "the endpoint is back at its first model")


def test_a_pipeline_promotes_a_version_that_the_endpoint_answers_with(healthy):
    stack = healthy
    key = stack.compose("exec", "-T", "pipeline", "cat", "/var/lib/homeport/pipeline/service.key").strip()
    base = stack.url("PIPELINE")
    # a model of another name than the first one's: serving takes the one that is promoted last
    job = {"Table": "bank-marketing", "Model": "piped", "MaxTrials": 3, "Learners": ["lgbm"]}
    owner = {"Authorization": f"Bearer {key}"}
    published = httpx.post(f"{base}/pipelines", headers=owner, json={"Name": "piped", "Job": job}, timeout=30).json()
    assert published["Endpoint"] == f"{base}/pipelines/piped/runs", "as clients of this machine call it"
    headers = {"Authorization": f"Bearer {published['Keys']['Primary']}"}
    answer = httpx.post(published["Endpoint"], headers=headers, json={"ExperimentName": "by-rest"}, timeout=30)
    answer.raise_for_status()
    run = f"{published['Endpoint']}/{answer.json()['Id']}"

    def ended():
        shown = httpx.get(run, headers=headers, timeout=30).json()
        return shown if shown["Status"] in ("Completed", "Failed", "Canceled") else None

    shown = until(ended, "the run ended")
    assert (shown["Status"], shown["Promoted"]) == ("Completed", True), shown
    assert {step["Name"]: step["Status"] for step in shown["Steps"]}["smoke-test"] == "Completed"
    served = stack.ask("/health/ready").json()
    assert (served["model"], served["version"]) == ("piped", shown["ModelVersion"])
    log = f"{stack.url('MLFLOW')}/api/2.0/mlflow"
    experiment = httpx.get(f"{log}/experiments/get-by-name?experiment_name=by-rest").json()["experiment"]
    runs = httpx.post(f"{log}/runs/search", json={"experiment_ids": [experiment["experiment_id"]]}).json()["runs"]
    known = ["lgbm", "lgbm (defaults)", "majority class"]
    assert sorted(one["info"]["run_name"] for one in runs) == sorted([*known, "lgbm 1", "lgbm 2", "train piped"])
    assert httpx.get(log, headers={"Host": "elsewhere.example"}).status_code == 403
    page = shown["Page"].partition("/runs/")[0]
    assert page == stack.url("PREFECT")
    assert httpx.get(page).status_code == 200
    assert httpx.get(f"{page}/api/admin/version").status_code == 401
    assert key not in stack.compose("logs", "--no-color", "pipeline")
