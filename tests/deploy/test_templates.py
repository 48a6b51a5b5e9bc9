"""The templates, evaluated as Azure does and held to strict schemas."""

import copy
import json

import pytest

from deploy.azure.arm import template
from tests.deploy.arm_template import Evaluated, TemplateError
from tests.deploy.schemas import faults

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/homeport"
DIGEST = "127.0.0.1/homeport@sha256:" + "a" * 64
COMMON = {"name": "homeport-bank", "location": "westeurope", "tags": {"homeport": "homeport-bank"}}
FOUNDATION = COMMON | {"registry": "bank12345", "createRegistry": True, "assignPullRole": True, "tls": False}
ENDPOINT = COMMON | {
    "fingerprint": "0" * 32, "dnsLabel": "homeport-bank", "registryServer": "bank12345.azurecr.io", "image": DIGEST,
    "model": "bank", "version": "3", "cpu": "1", "memoryInGB": "1.5", "insights": True, "tls": False,
    "caddyImage": "docker.io/library/caddy:2", "storage": "hpstore", "keys": "THE-KEYS", "environment": [],
    "connectionString": "InstrumentationKey=SECRET-CONNECTION",
}  # fmt: skip
SECRETS = ("THE-KEYS", "SECRET-CONNECTION", "SECRET-STORAGE")


def evaluated(name, parameters, content=None):
    states = {
        "identity": {"principalId": "0" * 8 + "-0000-0000-0000-" + "0" * 12},
        "group": {"ipAddress": {"fqdn": "homeport-bank.westeurope.azurecontainer.io"}},
    }
    return Evaluated(
        content or template(name),
        {name: {"value": value} for name, value in parameters.items()},
        GROUP,
        lambda resource: states["identity" if "Identities" in resource else "group"],
        lambda _: {"keys": [{"value": "SECRET-STORAGE"}]},
    )


def found(name, **parameters):
    made = evaluated(name, (FOUNDATION if name == "foundation" else ENDPOINT) | parameters).resources()
    assert [fault for one in made for fault in faults(one)] == []
    return made


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("insights", [False, True])
@pytest.mark.parametrize(("cpu", "memory"), [("1", "1.5"), ("0.25", "0.5"), ("4", "16")])
def test_the_endpoint_holds_to_the_schema(tls, insights, cpu, memory):
    (group,) = found("endpoint", tls=tls, insights=insights, cpu=cpu, memoryInGB=memory)
    containers = {one["name"]: one["properties"] for one in group["properties"]["containers"]}
    serving = containers["serving"]
    assert serving["resources"]["requests"] == {"cpu": float(cpu), "memoryInGB": float(memory)}
    assert serving["image"] == DIGEST
    assert set(containers) == ({"serving", "caddy"} if tls else {"serving"})
    open_ports = {one["port"] for one in group["properties"]["ipAddress"]["ports"]}
    assert open_ports == ({80, 443} if tls else {8000})
    assert {variable["name"] for variable in serving["environmentVariables"]} == (
        {"HOMEPORT_KEYS", "HOMEPORT_SERVING_PORT"} | ({"APPLICATIONINSIGHTS_CONNECTION_STRING"} if insights else set())
    )
    assert serving["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert serving["readinessProbe"]["httpGet"]["path"] == "/health/ready"


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("role", [False, True])
@pytest.mark.parametrize("registry", [False, True])
def test_the_foundation_holds_to_the_schema(tls, role, registry):
    kinds = [one["type"] for one in found("foundation", tls=tls, assignPullRole=role, createRegistry=registry)]
    assert len(kinds) == 3 + registry + role + 2 * tls


def test_secrets_stand_only_where_azure_hides_them():
    (group,) = found("endpoint", tls=True)

    def places(value, path=()):
        if isinstance(value, dict):
            return [place for name, part in value.items() for place in places(part, (*path, name))]
        if isinstance(value, list):
            return [place for part in value for place in places(part, path)]
        return [path[-1]] if any(secret in str(value) for secret in SECRETS) else []

    assert sorted(set(places(group))) == ["secureValue", "storageAccountKey"]
    text = json.dumps(template("endpoint"))
    assert text.count("parameters('keys')") == text.count("parameters('connectionString')") == 1
    assert evaluated("endpoint", ENDPOINT).secure == {"keys", "connectionString"}


def test_what_is_misspelt_in_a_template_is_found():
    content = copy.deepcopy(template("endpoint"))
    content["variables"]["keys"][0] = {"name": "HOMEPORT_KEYS", "secureVal": "[parameters('keys')]"}
    wrong = evaluated("endpoint", ENDPOINT, content).resources()
    assert "environmentVariables" in faults(wrong[0])[0]
    content = copy.deepcopy(template("endpoint"))
    content["variables"]["serving"]["properties"]["resources"]["requests"]["cpu"] = "[parameters('cpu')]"
    assert "cpu" in faults(evaluated("endpoint", ENDPOINT, content).resources()[0])[0]


@pytest.mark.parametrize(
    "change", [{"keys": None}, {"cpu": 1}, {"extra": "x"}, {"tls": "yes"}, {"dnsLabel": "abc"}, {"environment": {}}]
)
def test_parameters_are_checked_as_azure_does(change):
    given = {name: value for name, value in (ENDPOINT | change).items() if value is not None}
    with pytest.raises(TemplateError):
        evaluated("endpoint", given)


def test_the_address_is_that_of_the_place():
    assert evaluated("endpoint", ENDPOINT).outputs()["address"]["value"] == (
        "http://homeport-bank.westeurope.azurecontainer.io:8000"
    )
    assert evaluated("endpoint", ENDPOINT | {"tls": True}).outputs()["address"]["value"] == (
        "https://homeport-bank.westeurope.azurecontainer.io"
    )
