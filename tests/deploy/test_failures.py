"""Every command with every failure: it ends in success or a clear error, and the same command then goes on."""

import shutil

import pytest

from tests.conftest import MODEL
from tests.deploy.conftest import Failed
from tests.deploy.fake_azure import SUBSCRIPTION
from tests.deploy.fake_server import Fault, refusal

pytestmark = pytest.mark.e2e

ANY = f"/subscriptions/{SUBSCRIPTION}"
RECORD = "/deployments/[^/]+$"
FOREVER = 10_000
COMMANDS = {
    "plan": ("plan",),
    "first apply": ("apply",),
    "apply": ("apply",),
    "status": ("status",),
    "logs": ("logs",),
    "rotate-keys": ("rotate-keys", "both"),
    "insights": ("insights", "disable"),
    "rollback": ("rollback",),
    "destroy": ("destroy", "--yes"),
}
ASKS_ONLY = {"plan", "status", "logs"}
PASSING = {  # after which the command succeeds by itself
    "throttled twice": [Fault("", ANY, refusal(429, "TooManyRequests", "Slow down.", Retry_After="0"), times=2)],
    "overloaded twice": [Fault("", ANY, refusal(503, "ServerBusy"), times=2)],
    "connection cut while it polls": [Fault("GET", RECORD, times=3, skip=1)],
    "connection cut at first": [Fault("GET", ANY, times=2)],
}
LASTING = {  # faults, and what the error says
    "throttled for long": ([Fault("", ANY, refusal(429, "TooManyRequests", Retry_After="0"), times=FOREVER)], "wait"),
    "no rights": ([Fault("", ANY, refusal(403, "AuthorizationFailed"), times=FOREVER)], "Contributor"),
    "login is over": ([Fault("", ANY, refusal(401, "ExpiredAuthenticationToken"), times=FOREVER, skip=3)], "az login"),
    "no connection": ([Fault("", ANY, times=FOREVER, skip=4)], "same command"),
    "conflict": ([Fault("PUT", RECORD, refusal(409, "AnotherOperationInProgress"), times=FOREVER)], "same command"),
    "answer lost": ([Fault("PUT", RECORD, done=True, times=FOREVER)], "same command"),
}


@pytest.fixture
def prepared(request, quick_deploy, two_versions, command):
    """The commands, with what the command needs: nothing, or an endpoint of an older version and a newer one."""
    if command not in ("first apply", "plan"):
        shutil.rmtree(quick_deploy.store.root)
        shutil.copytree(two_versions.root, quick_deploy.store.root)
        quick_deploy("apply")
        quick_deploy.store.promote(MODEL, "2")
        if command == "rollback":
            quick_deploy("apply")
    return quick_deploy


def again(faults):
    return [Fault(one.method, one.path, one.answer, one.done, one.times, one.skip) for one in faults]


def failure_of(deploy, command, **settings):
    """What the command fails with, or None."""
    try:
        deploy(*COMMANDS[command], **settings)
    except Failed as error:
        return str(error)
    return None


def check_end(deploy, command):
    """What is there after a command that has succeeded."""
    azure = deploy.azure
    if command == "destroy":
        assert (azure.resources, azure.groups, azure.places) == ({}, {}, {})
    elif command != "plan":
        assert deploy.serves("2" if command == "apply" else "1")
        assert all(one.state != "Running" for one in azure.deployments)
        assert len(azure.places) == 1
    if command == "insights":
        assert not deploy.place.insights


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("failure", PASSING)
def test_what_passes_is_waited_for(prepared, command, failure):
    prepared.azure.faults += again(PASSING[failure])
    prepared(*COMMANDS[command])
    check_end(prepared, command)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("failure", LASTING)
def test_what_lasts_is_told_and_the_same_command_goes_on(prepared, command, failure):
    faults, remedy = LASTING[failure]
    before = dict(prepared.azure.resources)
    prepared.azure.faults += again(faults)
    said = failure_of(prepared, command, wait_seconds=2.0)
    assert said is None or remedy in said
    if command in ASKS_ONLY:
        assert prepared.azure.resources == before
    assert said or command in ASKS_ONLY | {"destroy"} or failure == "answer lost", "it asks for what fails"
    prepared.azure.faults.clear()
    if said or command != "rollback":  # which would go back further
        prepared(*COMMANDS[command])
    check_end(prepared, command)


@pytest.mark.parametrize("command", ["first apply", "apply", "rotate-keys", "insights", "rollback"])
@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        ("ServiceUnavailable", "The requested resource is not available.", "try again later"),
        ("ContainerGroupQuotaReached", "Resource type 'cores' quota exceeded.", "Ask for more"),
        ("DnsNameLabelNotAvailable", "The name is taken.", "dns_label"),
        ("InaccessibleImage", "The image is not accessible.", None),
        ("ContainerGroupTransitioning", "It is transitioning.", None),
    ],
)
def test_a_deployment_that_fails(prepared, command, code, message, remedy):
    prepared.azure.failures.append(("containerGroups", code, message))
    if remedy is None:  # Azure will be ready for it soon
        assert "once more" in prepared(*COMMANDS[command])
    else:
        with pytest.raises(Failed, match=remedy) as failed:
            prepared(*COMMANDS[command])
        left = "what it stands on is there" if command == "first apply" else "`homeport deploy azure rollback` returns"
        assert left in str(failed.value)
        if command != "first apply":
            assert prepared.serves("2" if command == "rollback" else "1"), "what ran goes on to run"
        said = prepared(*COMMANDS[command])
        if command == "rollback":  # to the release before the one that failed, which runs
            assert "Exactly this runs already" in said
            return
    check_end(prepared, command)


@pytest.mark.parametrize("command", ["first apply"])
@pytest.mark.parametrize(
    ("kind", "code", "message", "remedy"),
    [
        ("registries", "AlreadyInUse", "The registry DNS name is already in use.", "another `registry`"),
        ("roleAssignments", "AuthorizationFailed", "no right to 'roleAssignments/write'", "assign_pull_role"),
        ("components", "LocationNotAvailableForResourceType", "not available there", "another `location`"),
        (
            "workspaces",
            "MissingSubscriptionRegistration",
            "not registered to use it",
            "az provider register",
        ),
        ("registries", "RequestDisallowedByPolicy", "disallowed by policy", "what it allows"),
    ],
)
def test_a_foundation_that_fails(prepared, command, kind, code, message, remedy):
    prepared.azure.failures.append((kind, code, message))
    with pytest.raises(Failed, match=remedy):
        prepared("apply")
    prepared("apply")
    check_end(prepared, command)


@pytest.mark.parametrize("command", ["first apply"])
@pytest.mark.parametrize("moment", range(2, 52, 4))
def test_the_first_apply_is_cut_at_any_moment(prepared, command, moment):
    """All connections are cut from the nth request on: what was begun is found again."""
    prepared.azure.faults.append(Fault("", "", times=FOREVER, skip=moment))
    with pytest.raises(Failed, match=r"same command|again"):
        prepared("apply", wait_seconds=2.0)
    prepared.azure.faults.clear()
    prepared("apply")
    check_end(prepared, command)
    assert prepared.azure.started == 1, "what was deployed is not deployed twice"


@pytest.mark.parametrize("command", ["first apply"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", "/uploads/", times=2),
        Fault("PATCH", "/uploads/", refusal(503, "busy"), times=2),
        Fault("PUT", "/uploads/", done=True),
        Fault("HEAD", "/blobs/", times=2),
        Fault("POST", "/uploads/", refusal(429, "TOOMANYREQUESTS"), times=2),
        Fault("PUT", "/v2/.*/manifests/", refusal(500, "x"), times=2),
        Fault("", "/v2/", refusal(401, "expired")),
    ],
    ids=lambda fault: f"{fault.method} {fault.path}",
)
def test_a_push_that_is_disturbed(prepared, command, fault):
    prepared.azure.faults += again([fault])
    prepared("apply")
    check_end(prepared, command)


@pytest.mark.parametrize("command", ["first apply"])
def test_who_may_not_push_is_told_the_role(prepared, command):
    prepared.azure.faults.append(Fault("", "/oauth2/", refusal(403, "DENIED"), times=FOREVER))
    with pytest.raises(Failed, match="AcrPush"):
        prepared("apply")


@pytest.mark.parametrize("command", COMMANDS)
def test_who_is_not_logged_in_is_told_how(prepared, command, monkeypatch):
    prepared.azure.logged_in = False
    with pytest.raises(Failed, match="az login"):
        prepared(*COMMANDS[command])


@pytest.mark.parametrize("command", ["apply"])
def test_an_endpoint_that_ends_again_and_again_is_told(prepared, command, monkeypatch):
    monkeypatch.setattr("tests.deploy.runners.StandIn.state", lambda _: ("Waiting", 5))
    monkeypatch.setattr("deploy.probe.Probe._try", lambda *_: ("it does not answer", None))
    with pytest.raises(Failed, match=r"ends again and again.*rollback"):
        prepared("apply")
