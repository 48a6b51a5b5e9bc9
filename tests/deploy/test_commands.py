"""From nothing to an endpoint that answers, and back to nothing: the real commands, SDK, login, image and server."""

import json
import shutil

import httpx
import pytest

from tests.conftest import MODEL
from tests.deploy.conftest import Failed
from tests.deploy.fake_azure import SUBSCRIPTION
from tests.deploy.fake_server import Answer, Server
from tests.deploy.runners import StandIn

pytestmark = pytest.mark.e2e


IMMUTABLE = {"cpu": 2.0, "memory_gb": 2.5, "tls": True}


@pytest.fixture
def releases(quick_deploy, two_versions):
    """The commands, after the first version was deployed, and the second over it."""
    shutil.rmtree(quick_deploy.store.root)
    shutil.copytree(two_versions.root, quick_deploy.store.root)
    quick_deploy("apply")
    quick_deploy.store.promote(MODEL, "2")
    quick_deploy("apply")
    assert quick_deploy.serves("2")
    return quick_deploy


def test_from_nothing_to_a_row_and_back_to_nothing(deploy):
    planned = deploy("plan")
    assert planned.count("create") >= 6
    assert deploy.azure.resources == {}
    assert deploy.azure.groups == {}

    said = deploy("apply")
    assert "with the key, 401 without" in said
    assert f"{deploy.place.port}/score" in said
    assert "portal.azure.com" in said
    assert "bills" in said
    assert deploy.azure.kinds() == sorted(
        ["registries", "userAssignedIdentities", "roleAssignments", "workspaces", "components", "containerGroups"]
    )
    image = deploy.group["properties"]["containers"][0]["properties"]["image"]
    assert image.partition("@")[2] in deploy.azure.registry.manifests
    environment = deploy.place.environment()
    assert "HOMEPORT_KEYS" not in environment, "keys are in a file, and in the environment of nothing that runs"
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING" in environment
    assert deploy.place.keys.stat().st_mode & 0o077 == 0
    assert deploy.serves("1")
    for blob in deploy.azure.registry.blobs.values():
        assert not deploy.reveals(blob.decode("latin-1")), "no secret in a layer or the history of the image"

    assert "nothing is deployed" in deploy("apply")
    assert "no change" not in deploy("plan")
    assert deploy.azure.started == 1
    assert "Running: http://127.0.0.1" in deploy("status")
    assert "serving" in deploy("logs", "--lines", "5")

    before = deploy("keys", "primary").strip(), deploy("keys", "secondary").strip()
    deploy("rotate-keys", "primary")
    after = deploy("keys", "primary").strip(), deploy("keys", "secondary").strip()
    assert before[0] != after[0]
    assert before[1] == after[1]
    row = {"data": [{}]}
    url = f"http://127.0.0.1:{deploy.place.port}/score"
    statuses = [
        httpx.post(url, json=row, headers={"Authorization": f"Bearer {key}"}, trust_env=False).status_code
        for key in (before[0], *after)
    ]
    assert statuses[0] == 401
    assert 401 not in statuses[1:]

    deploy("insights", "disable")
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING" not in deploy.place.environment()
    assert "insights  off" in deploy("apply"), "it stays as it was switched"
    deploy("insights", "enable")
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING" in deploy.place.environment()

    said = deploy("destroy", "--yes")
    assert "Nothing is left" in said
    assert deploy.azure.resources == {}
    assert deploy.azure.groups == {}
    assert deploy.azure.places == {}
    with pytest.raises(Failed, match="not on this machine"):
        deploy("keys", "primary")
    assert "There was nothing" in deploy("destroy", "--yes")
    assert "with the key, 401 without" in deploy("apply"), "and anew"
    deploy("destroy", "--yes")
    assert "There is no endpoint" in deploy("status")


def image_of(deploy):
    return deploy.group["properties"]["containers"][0]["properties"]["image"]


def test_rollback_goes_back_and_not_forth_again(releases):
    second = image_of(releases)
    said = releases("rollback")
    assert "Returning to shop 1" in said
    assert releases.serves("1")
    assert image_of(releases) != second
    with pytest.raises(Failed, match="no release before"):
        releases("rollback")
    listed = [line for line in releases("status").splitlines() if "succeeded" in line]
    assert [line.split("shop ")[1][0] for line in listed] == ["1", "2", "1"]


def test_rollback_after_a_failure_returns_to_what_ran(releases):
    releases.azure.failures.append(("containerGroups", "ServiceUnavailable", "There is no room."))
    releases.store.promote(MODEL, "1")
    with pytest.raises(Failed, match=r"try again later.*rollback"):
        releases("apply")
    assert "Returning to shop 2" in releases("rollback")
    assert releases.serves("2")


def test_rollback_to_an_image_that_was_deleted(releases):
    ran = releases.azure.registry.manifests
    for name in [one for one in ran if one != image_of(releases).partition("@")[2]]:
        del ran[name]
    with pytest.raises(Failed, match="not in the registry any more"):
        releases("rollback")


@pytest.mark.parametrize("change", IMMUTABLE)
def test_what_cannot_be_changed_in_place_is_asked_for(quick_deploy, change):
    quick_deploy("apply")
    with pytest.raises(Failed, match=rf"{change}: .*nobody to ask here.*--replace"):
        quick_deploy("apply", **{change: IMMUTABLE[change]})
    assert quick_deploy.serves("1"), "nothing was touched"
    planned = quick_deploy("plan", **{change: IMMUTABLE[change]})
    assert f"apply needs --replace: {change}" in planned
    if change != "tls":  # which has a test of its own
        quick_deploy("apply", "--replace", **{change: IMMUTABLE[change]})
        assert quick_deploy.serves("1")


def test_an_endpoint_that_has_ended_is_created_anew(quick_deploy):
    quick_deploy("apply")
    quick_deploy.place.ended = True
    with pytest.raises(Failed, match="it has ended"):
        quick_deploy("apply")
    assert "Terminated" in quick_deploy("status")
    quick_deploy("apply", "--replace")
    assert quick_deploy.serves("1")


def test_a_plan_shows_what_would_change_without_secrets(releases):
    shown = releases("plan", environment={"HOMEPORT_SERVING_WORKERS": "2"})
    assert "modify" in shown
    assert "HOMEPORT_SERVING_WORKERS" in shown
    assert "***" in shown, "Azure echoes secrets, which are hidden"
    assert releases.azure.started == 2


def test_a_plan_for_an_image_that_is_not_pushed_yet(quick_deploy, two_versions):
    quick_deploy("apply")
    shutil.rmtree(quick_deploy.store.root)
    shutil.copytree(two_versions.root, quick_deploy.store.root)
    quick_deploy.store.promote(MODEL, "2")
    blobs = set(quick_deploy.azure.registry.blobs)
    shown = quick_deploy("plan")
    assert "(not pushed yet)" in shown
    assert "modify" in shown
    assert set(quick_deploy.azure.registry.blobs) == blobs


def test_what_others_have_in_the_resource_group_stays(quick_deploy):
    azure = quick_deploy.azure
    azure.groups["homeport"] = {"id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/homeport", "tags": {}}
    root = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/homeport/providers"
    for kind, name in (("Microsoft.ContainerRegistry/registries", "homeportshop"), ("Microsoft.Web/sites", "other")):
        resource = {"id": f"{root}/{kind}/{name}", "type": kind, "name": name, "location": "westeurope", "tags": {}}
        azure.resources[resource["id"].lower()] = resource | {"apiVersion": "2023-07-01", "properties": {}}
    quick_deploy("apply")
    assert quick_deploy.serves("1")
    said = quick_deploy("destroy", "--yes")
    assert "other" not in said
    assert azure.kinds() == ["registries", "sites"]
    assert "homeport" in azure.groups
    assert azure.deployments == [], "no record of it is left"


def test_keys_that_are_not_on_this_machine(quick_deploy):
    quick_deploy("apply")
    shutil.rmtree(quick_deploy.folder / "state")
    for words in (("apply",), ("keys", "primary"), ("rotate-keys", "primary")):
        with pytest.raises(Failed, match="rotate-keys both"):
            quick_deploy(*words)
    quick_deploy("rotate-keys", "both")
    assert quick_deploy.serves("1")


def test_a_rotation_that_was_interrupted_goes_on_with_the_same_keys(quick_deploy):
    quick_deploy("apply")
    old = quick_deploy("keys", "primary")
    quick_deploy.azure.failures.append(("containerGroups", "ServiceUnavailable", "There is no room."))
    with pytest.raises(Failed):
        quick_deploy("rotate-keys", "primary")
    assert quick_deploy("keys", "primary") == old, "which the endpoint knows"
    staged = json.loads((quick_deploy.folder / "state/azure/homeport-shop.keys.json.next").read_bytes())["primary"]
    assert "going on with its keys" in quick_deploy("rotate-keys", "primary")
    assert quick_deploy("keys", "primary").strip() == staged != old.strip()
    assert quick_deploy.serves("1")


def test_ctrl_c_leaves_azure_alone_and_the_same_command_goes_on(quick_deploy, monkeypatch):
    quick_deploy.azure.looks = 5

    def pressed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("deploy.azure.arm.Arm.until", pressed)  # while it waits
        assert "the same command waits for it" in quick_deploy("apply", code=130)
    quick_deploy("apply")
    assert quick_deploy.serves("1")
    assert quick_deploy.azure.started == 1


def test_https_in_front(quick_deploy, tmp_path, monkeypatch):
    """As Caddy stands in front: the address is https, and the group's open ports are its own."""
    (tmp_path / "front").mkdir()

    def forward(request):
        url = f"http://127.0.0.1:{quick_deploy.place.port}{request.path}"
        headers = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        answer = httpx.request(request.method, url, content=request.body, headers=headers, trust_env=False)
        return Answer(answer.status_code, answer.content, {"Content-Type": "application/json"})

    with Server(tmp_path / "front", forward) as front:
        both = tmp_path / "both.pem"
        both.write_bytes(front.ca.read_bytes() + quick_deploy.azure.server.ca.read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(both))
        monkeypatch.setattr(StandIn, "host", front.host)
        said = quick_deploy("apply", tls=True)
    assert f"https://{front.host}/score" in said
    assert "travel in the clear" not in said
    properties = quick_deploy.group["properties"]
    assert {one["name"] for one in properties["containers"]} == {"serving", "caddy"}
    assert "storageAccounts" in quick_deploy.azure.kinds()
