"""The stack as a whole: what is started by `docker compose up`, and how it takes what happens to it.

The tests use one stack, one after another, and each leaves it as healthy as it was.
"""

import httpx
import pytest

from homeport.traffic import drawn_rows
from tests.compose.load import Load
from tests.compose.stack import until

pytestmark = pytest.mark.e2e

SERVICES = ("serving",)
RECOVERY_SECONDS = 30


def ask(stack, path):
    """The answer, or None: the engine accepts connections for a service that does not listen yet."""
    try:
        return httpx.get(f"{stack.url('SERVING')}{path}")
    except httpx.TransportError:
        return None


def score(stack, key=None, row=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{stack.url('SERVING')}/score", json={"data": [row or rows(stack)[0]]}, headers=headers)


def rows(stack):
    document = ask(stack, "/openapi.json").json()
    return drawn_rows(document["components"]["schemas"]["Row"]["properties"], 10)


@pytest.fixture
def healthy(stack):
    stack.wait_healthy(*SERVICES)
    return stack


def test_serving_waits_for_its_first_model_without_a_crash(stack):
    """It is up long before the search ends, says what it waits for, and takes the model without a restart."""
    first = until(lambda: ask(stack, "/health/ready"), "an answer")
    assert first.status_code == 503
    assert "no model" in first.json()["reason"].lower()
    assert ask(stack, "/health/live").status_code == 200
    stack.wait_healthy("serving")
    assert ask(stack, "/health/ready").status_code == 200
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
    assert set(load.answers) == {200}
    assert load.unanswered == 0


def test_a_key_is_rotated_while_requests_go_on(healthy):
    key, row = healthy.key(), rows(healthy)[0]
    with Load(healthy.url("SERVING"), healthy.key("secondary"), row) as load:
        new = healthy.compose("exec", "-T", "serving", "python", "-m", "serving.keys", "regenerate", "primary").strip()
        assert score(healthy, new, row).status_code == 200
        until(lambda: score(healthy, key, row).status_code == 401, "the old key is refused")
        load.wait_for_answers(10)
    assert set(load.answers) == {200}
    assert load.unanswered == 0
    assert healthy.key() == new


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_restarted_comes_back(healthy, service):
    healthy.compose("restart", service)
    healthy.wait_healthy(*SERVICES)
    assert score(healthy, healthy.key()).status_code == 200


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_killed_under_load_comes_back(healthy, service):
    key, row = healthy.key(), rows(healthy)[0]
    with Load(healthy.url("SERVING"), key, row) as load:
        load.wait_for_answers(50)
        healthy.kill(service)
        until(lambda: healthy.healthy(*SERVICES), f"all healthy after {service} was killed", RECOVERY_SECONDS)
        load.wait_for_answers(50)
    assert set(load.answers) == {200}
    assert not load.unanswered or service == "serving"


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
