"""The stack as a whole: what is started by `docker compose up`, and how it takes what happens to it.

The tests use one stack, one after another, and each leaves it as healthy as it was.
"""

import httpx
import pytest

from homeport.traffic import drawn_rows
from tests.compose.load import PATH, Load
from tests.compose.stack import until

pytestmark = pytest.mark.e2e

SERVICES = ("insights", "collector", "serving")
RECOVERY_SECONDS = 30
SIGNALS = {
    "trainer": ("dependencies", "customEvents", "customMetrics", "traces"),
    "serving": ("requests", "customMetrics", "traces", "customEvents"),
    "insights": ("customMetrics", "availabilityResults"),
}


def score(stack, key=None, row=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{stack.url('SERVING')}/score", json={"data": [row or rows(stack)[0]]}, headers=headers)


def rows(stack):
    document = stack.ask("/openapi.json").json()
    return drawn_rows(document["components"]["schemas"]["Row"]["properties"], 10)


@pytest.fixture
def healthy(stack):
    stack.wait_healthy(*SERVICES)
    return stack


def test_serving_waits_for_its_first_model_without_a_crash(stack):
    """It is up long before the search ends, says what it waits for, and takes the model without a restart."""
    assert stack.first.status_code == 503
    assert "no model" in stack.first.json()["reason"].lower()
    stack.wait_healthy("serving")
    assert stack.ask("/health/ready").status_code == 200
    assert stack.inspect("serving")["RestartCount"] == 0
    until(lambda: stack.inspect("trainer")["State"]["Status"] == "exited", "the trainer ended")
    assert stack.inspect("trainer")["State"]["ExitCode"] == 0


def test_a_row_is_scored_with_the_key_and_not_without(healthy):
    assert score(healthy, healthy.key()).json()["result"][0] in ("yes", "no")
    assert score(healthy, healthy.key("secondary")).status_code == 200
    assert score(healthy).status_code == 401
    assert score(healthy, "wrong").status_code == 401


def test_the_keys_are_in_no_log_and_no_environment(healthy):
    logs = healthy.compose("logs", "--no-color")
    assert "listening on" in logs
    for name in ("primary", "secondary"):
        key = healthy.key(name)
        assert key not in logs
        assert key not in str(healthy.inspect("serving"))


def test_every_container_is_hardened(healthy):
    for service in (*SERVICES, "trainer"):
        found = healthy.inspect(service)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert not host["CapAdd"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, service
        for bindings in (host["PortBindings"] or {}).values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}, service
    for service in SERVICES:
        status = healthy.compose("exec", "-T", service, "cat", "/proc/1/status", "/proc/self/status")
        lines = [line.split() for line in status.splitlines()]
        assert {line[1] for line in lines if line[0] == "Uid:"} == {"10001"}, service
        assert {int(line[1], 16) for line in lines if line[0] in ("CapEff:", "CapPrm:", "CapBnd:")} == {0}, service
        assert {line[1] for line in lines if line[0] == "NoNewPrivs:"} == {"1"}, service


def test_a_new_model_is_trained_promoted_and_rolled_back_while_requests_go_on(healthy):
    key, row = healthy.key(), rows(healthy)[0]
    before = score(healthy, key, row).headers["x-model-version"]
    with Load(healthy.url("SERVING"), key, row) as load:
        healthy.homeport("train", "bank-marketing", "--budget", "5", "--learners", "lgbm")
        listed = healthy.homeport("models", "list")
        after = str(int(before) + 1)
        assert after in listed
        healthy.homeport("models", "promote", "bank-marketing", after)
        until(lambda: score(healthy, key, row).headers["x-model-version"] == after, "the new model is served")
        healthy.homeport("models", "rollback", "bank-marketing")
        until(lambda: score(healthy, key, row).headers["x-model-version"] == before, "the old model is served")
        load.wait_for_answers(10)
    assert set(load.answers) == {200, 401}
    assert load.unanswered == 0


def test_a_key_is_rotated_while_requests_go_on(healthy):
    key, row = healthy.key(), rows(healthy)[0]
    with Load(healthy.url("SERVING"), healthy.key("secondary"), row) as load:
        new = healthy.compose("exec", "-T", "serving", "python", "-m", "serving.keys", "regenerate", "primary").strip()
        assert score(healthy, new, row).status_code == 200
        until(lambda: score(healthy, key, row).status_code == 401, "the old key is refused")
        load.wait_for_answers(10)
    assert set(load.answers) == {200, 401}
    assert load.unanswered == 0
    assert healthy.key() == new


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_restarted_comes_back(healthy, service):
    healthy.compose("restart", service)
    healthy.wait_healthy(*SERVICES)
    assert score(healthy, healthy.key()).status_code == 200


def query(stack, sql):
    """The rows of insights' answer; none while it is away."""
    try:
        answer = httpx.post(f"{stack.url('INSIGHTS')}/api/query", json={"query": sql})
    except httpx.TransportError:
        return []
    return answer.json()["rows"]


def counted(stack):
    """How many requests of the loads insights knows of, by status."""
    dimensions = "customDimensions->>'$.\"{}\"'".format
    return dict(
        query(
            stack,
            f"select ({dimensions('http.response.status_code')})::int, sum(valueCount)::int from customMetrics "
            f"where name = 'http.server.request.duration' and {dimensions('http.route')} = '{PATH}' group by 1",
        )
    )


def test_every_signal_of_every_part_arrives(healthy):
    assert score(healthy).status_code == 401
    for part, tables in SIGNALS.items():
        for table in tables:
            sql = f"select count(*) from {table} where cloud_RoleName = 'homeport.{part}'"
            until(lambda sql=sql: query(healthy, sql) and query(healthy, sql)[0][0] > 0, f"{table} of {part}")


def test_the_page_of_insights_is_there(healthy):
    page = httpx.get(f"{healthy.url('INSIGHTS')}/")
    assert page.status_code == 200
    assert f"http://127.0.0.1:{healthy.ports['SERVING']}/docs" in page.text


def test_telemetry_is_switched_off_and_on_in_the_container(healthy):
    switch = ("exec", "-T", "serving", "python", "-m", "observability.telemetry.switch")
    assert healthy.compose(*switch, "off") == "off\n"
    try:
        until(lambda: "switched off" in healthy.compose("logs", "--no-color", "serving"), "the switch is followed")
        told = score(healthy, "wrong").headers["x-request-id"]
    finally:
        assert healthy.compose(*switch, "on") == "on\n"
    until(lambda: "switched on" in healthy.compose("logs", "--no-color", "serving"), "the switch is followed")
    after = score(healthy, "wrong").headers["x-request-id"]
    found = "select operation_Id from requests where operation_Id in ('{}', '{}')".format
    until(lambda: query(healthy, found(told, after)) == [[after]], "only the request after it")


def test_what_the_client_was_told_finds_its_request(healthy):
    told = score(healthy, "wrong").headers["x-request-id"]
    found = until(
        lambda: query(healthy, f"select name, resultCode, success from requests where operation_Id = '{told}'"),
        "the request of that id",
    )
    assert found == [["POST /score", "401", False]]


@pytest.mark.parametrize("service", SERVICES)  # serving last: only what it held itself may be lost
def test_a_service_that_is_killed_under_load_comes_back_and_what_was_answered_is_counted(healthy, service):
    key, row = healthy.key(), rows(healthy)[0]
    known = counted(healthy)
    with Load(healthy.url("SERVING"), key, row) as load:
        load.wait_for_answers(50)
        until(lambda: counted(healthy) != known, "insights hears of the load")
        known = counted(healthy)
        healthy.kill(service)
        until(lambda: healthy.healthy(*SERVICES), f"all healthy after {service} was killed", RECOVERY_SECONDS)
        since = load.answers.copy()
        load.wait_for_answers(50)
    assert set(load.answers) == {200, 401}
    if service == "serving":
        later = load.answers - since
        until(lambda: all(counted(healthy).get(status, 0) >= known[status] + later[status] for status in later), "rest")
        assert all(count <= Load.answered[status] for status, count in counted(healthy).items())
    else:
        assert not load.unanswered
        until(lambda: counted(healthy) == Load.answered, f"{Load.answered} counted")


def test_down_and_up_keep_models_and_keys(healthy):
    key, row = healthy.key(), rows(healthy)[0]
    version = score(healthy, key, row).headers["x-model-version"]
    healthy.compose("down")
    healthy.compose("up", "--detach")
    healthy.wait_healthy(*SERVICES)
    answer = score(healthy, key, row)
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == version
    until(lambda: healthy.inspect("trainer")["State"]["Status"] == "exited", "the trainer ended")
    assert "nothing to do" in healthy.compose("logs", "--no-color", "trainer")
