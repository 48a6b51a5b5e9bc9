"""Azure as `homeport deploy azure` sees it: Resource Manager, a login, a registry, and container groups that run.

Templates are evaluated, held to the strict schemas, and come true after some looks; secrets are told nobody but by
what-if, as there. After https://learn.microsoft.com/rest/api/resources.
"""

from __future__ import annotations

import copy
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tests.deploy.arm_template import Evaluated, TemplateError
from tests.deploy.fake_registry import Registry
from tests.deploy.fake_server import Answer, Request, Server, refusal
from tests.deploy.schemas import faults

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TOKEN = "e30.e30.YXJtLXRva2Vu"
REGISTRY_TOKEN = "e30.e30.cmVnaXN0cnk"
IDENTITY_HEADER = "the-header-of-the-machine"
STORAGE_KEY = "the-key-of-the-storage-account"
PRINCIPAL = "00000000-0000-0000-0000-00000000000f"
CONNECTION_KEY = "5ec2e700-1234-4abc-8def-0123456789ab"
_GROUPS = "microsoft.containerinstance/containergroups/"
_PAGE = 3


class Place(Protocol):
    """Where a container group runs."""

    host: str
    port: int

    def state(self) -> tuple[str, int]:
        """Running or Terminated, and how often it was started again."""

    def logs(self) -> str: ...

    def stop(self) -> None: ...


Run = Callable[[Registry, dict[str, Any]], Place]


@dataclass
class Deployment:
    """One deployment, which is over after some looks at it."""

    name: str
    evaluated: Evaluated
    at: datetime
    looks: int
    state: str = "Running"
    error: dict[str, Any] | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    resources: list[str] = field(default_factory=list)

    def view(self, group: str) -> dict[str, Any]:
        told = {
            name: {"type": "SecureString"} if name in self.evaluated.secure else {"type": "", "value": value}
            for name, value in self.evaluated.parameters.items()
        }
        return {
            "id": f"{group}/providers/Microsoft.Resources/deployments/{self.name}",
            "name": self.name,
            "properties": {
                "provisioningState": self.state,
                "timestamp": self.at.isoformat(),
                "parameters": told,
                "outputs": self.outputs,
                "outputResources": [{"id": one} for one in self.resources],
                "error": self.error,
            },
        }


class FakeAzure:
    """One subscription. `run` starts a container group; `ingestion` is where its telemetry goes."""

    def __init__(self, folder: Path, run: Run, ingestion: str = "http://127.0.0.1:9", host: str = "127.0.0.1") -> None:
        self.server = Server(folder, self._answer, host)
        self.faults = self.server.faults
        self.registry = Registry(REGISTRY_TOKEN)
        self.groups: dict[str, dict[str, Any]] = {}
        self.resources: dict[str, dict[str, Any]] = {}  # by id in small letters, as they were deployed
        self.deployments: list[Deployment] = []
        self.failures: list[tuple[str, str, str]] = []  # kind of resource, code, message: of deployments to come
        self.logged_in = True
        self.looks = 2  # until something is over
        self.places: dict[str, Place] = {}
        self.started = 0  # container groups, and again
        self._run, self._ingestion = run, ingestion
        self._lock = threading.Lock()
        self._leaving: dict[str, int] = {}
        self._operations: dict[str, tuple[int, Any]] = {}

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)
        for place in self.places.values():
            place.stop()

    def environment(self) -> dict[str, str]:
        """What a machine in Azure with an identity of its own has in its environment, and trust in this server."""
        return {
            "IDENTITY_ENDPOINT": f"{self.server.url}/token", "IDENTITY_HEADER": IDENTITY_HEADER,
            "REQUESTS_CA_BUNDLE": str(self.server.ca), "SSL_CERT_FILE": str(self.server.ca), "NO_PROXY": "*",
        }  # fmt: skip

    def kinds(self) -> list[str]:
        """The kinds of what is there."""
        return sorted(resource["type"].rpartition("/")[2] for resource in self.resources.values())

    def _answer(self, request: Request) -> Answer:
        path = request.path
        if path == "/token":
            return self._token(request)
        if path.startswith(("/v2/", "/oauth2/")):  # also for an engine that pulls while a group is made
            return self.registry.answer(request)
        with self._lock:
            return self._manage(request, path)

    def _manage(self, request: Request, path: str) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}" or not self.logged_in:
            return refusal(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if path.startswith("/operations/"):
            looks, result = self._operations[path]
            self._operations[path] = looks - 1, result
            return Answer(202, b"", {"Location": self.server.url + path}) if looks > 0 else Answer(200, result)
        if not path.lower().startswith(f"/subscriptions/{SUBSCRIPTION}/"):
            return refusal(404, "SubscriptionNotFound", f"The subscription of {path} could not be found.")
        found = re.fullmatch(r"(/subscriptions/[^/]+/resourcegroups/([^/]+))(?:/(.*?))?/?", path, re.IGNORECASE)
        assert found, path
        whole, name, rest = found[1], found[2], found[3] or ""
        root = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
        if not rest:
            return self._group(request, name, root)
        if name not in self.groups:
            return refusal(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        if rest.lower() == "resources":
            return self._page(request, [self._view(one) for one in self._listed(root)])
        if deployment := re.fullmatch(
            r"providers/Microsoft.Resources/deployments(?:/([^/]+)(/\w+)?)?", rest, re.IGNORECASE
        ):
            return self._deployment(request, root, deployment[1] or "", (deployment[2] or "").lower())
        return self._resource(request, f"{whole}/{rest}".lower())

    def _token(self, request: Request) -> Answer:
        if not self.logged_in or request.headers.get("x-identity-header") != IDENTITY_HEADER:
            return Answer(400, {"error": "invalid_request", "error_description": "Identity not found"})
        token = TOKEN if request.query["resource"] == self.server.url else REGISTRY_TOKEN
        ends = str(int(time.time()) + 86_400)
        return Answer(200, {"access_token": token, "expires_on": ends, "token_type": "Bearer", "resource": ""})

    def _group(self, request: Request, name: str, root: str) -> Answer:
        if request.method == "PUT":
            self.groups[name] = request.json | {"id": root, "name": name}
            return Answer(201, self.groups[name])
        if request.method == "DELETE" and name in self.groups:
            self._leaving[root.lower()] = self.looks
            return Answer(202, b"", {"Location": f"{self.server.url}/operations/none"})
        if self._left(root.lower()) and name in self.groups:
            for resource in [one for one in self.resources if one.startswith(root.lower())]:
                self._remove(resource)
            del self.groups[name], self._leaving[root.lower()]
            self.deployments.clear()
        if name not in self.groups:
            return refusal(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        return Answer(200, self.groups[name])

    def _resource(self, request: Request, resource: str) -> Answer:
        if logs := re.fullmatch(rf"(.*/{_GROUPS}[^/]+)/containers/serving/logs", resource):
            if logs[1] not in self.places:
                return refusal(404, "ResourceNotFound", "It was not found.")
            lines = self.places[logs[1]].logs().splitlines()[-int(request.query["tail"]) :]
            return Answer(200, {"content": "\n".join(lines)})
        if request.method == "DELETE":
            if resource not in self.resources:
                return Answer(204)
            self._leaving[resource] = self.looks
            return Answer(202, b"", {"Location": f"{self.server.url}/operations/none"})
        if self._left(resource):
            self._remove(resource)
        if resource not in self.resources:
            return refusal(404, "ResourceNotFound", f"The Resource '{resource}' was not found.")
        return Answer(200, self._view(resource))

    def _left(self, resource: str) -> bool:
        """Whether it was being deleted, and now is."""
        if resource not in self._leaving:
            return False
        self._leaving[resource] -= 1
        return self._leaving[resource] < 0

    def _remove(self, resource: str) -> None:
        self._leaving.pop(resource, None)
        if "/registries/" in resource:
            self.registry = Registry(REGISTRY_TOKEN)
        for one in [one for one in self.resources if one == resource or one.startswith(f"{resource}/")]:
            del self.resources[one]
        if place := self.places.pop(resource, None):
            place.stop()

    def _page(self, request: Request, items: list[Any]) -> Answer:
        start = int(request.query.get("$skiptoken", 0))
        page: dict[str, Any] = {"value": items[start : start + _PAGE]}
        if start + _PAGE < len(items):
            page["nextLink"] = f"{self.server.url}{request.path}?api-version=1&$skiptoken={start + _PAGE}"
        return Answer(200, page)

    def _listed(self, root: str) -> list[str]:
        own = re.compile(rf"{re.escape(root.lower())}/providers/[^/]+/[^/]+/[^/]+")
        return [one for one in self.resources if own.fullmatch(one)]

    def _deployment(self, request: Request, root: str, name: str, verb: str) -> Answer:
        if not name:
            for one in self.deployments:
                self._advance(one)
            return self._page(request, [one.view(root) for one in reversed(self.deployments)])
        known = next((one for one in self.deployments if one.name == name), None)
        if request.method == "DELETE":
            self.deployments = [one for one in self.deployments if one.name != name]
            return Answer(204)
        if request.method == "GET":
            if known is None:
                return refusal(404, "DeploymentNotFound", f"Deployment '{name}' could not be found.")
            self._advance(known)
            return Answer(200, known.view(root))
        try:
            evaluated = self._evaluated(request.json["properties"], root)
            resources = evaluated.resources()
        except TemplateError as error:
            return refusal(400, error.code, str(error))
        if wrong := [fault for one in resources for fault in faults(one)]:
            return refusal(400, "InvalidTemplate", "; ".join(wrong))
        if verb == "/validate":
            return self._operation({"id": f"{root}/x", "name": name, "properties": {"provisioningState": "Succeeded"}})
        if verb == "/whatif":
            return self._operation(
                {"status": "Succeeded", "properties": {"changes": [self._change(one) for one in resources]}}
            )
        if known and known.state == "Running":
            return refusal(409, "DeploymentActive", f"The deployment '{name}' is active.")
        at = datetime.now(UTC) + timedelta(milliseconds=len(self.deployments))
        self.deployments.append(Deployment(name, evaluated, at, self.looks))
        return Answer(201, self.deployments[-1].view(root))

    def _evaluated(self, properties: dict[str, Any], root: str) -> Evaluated:
        assert properties["mode"] == "Incremental"

        def reference(resource: str) -> Any:
            if "/userassignedidentities/" in resource.lower():
                return {"principalId": PRINCIPAL}
            return self._view(resource.lower())["properties"]

        keys = {"keys": [{"value": STORAGE_KEY}]}
        return Evaluated(properties["template"], properties["parameters"], root, reference, lambda _: keys)

    def _operation(self, result: Any) -> Answer:
        path = f"/operations/{len(self._operations)}"
        self._operations[path] = self.looks, result
        return Answer(202, b"", {"Location": self.server.url + path})

    def _advance(self, deployment: Deployment) -> None:
        if deployment.state != "Running":
            return
        deployment.looks -= 1
        if deployment.looks >= 0:
            return
        for resource in deployment.evaluated.resources():
            if error := self._make(resource):
                code, message = error
                deployment.state = "Failed"
                deployment.error = {
                    "code": "DeploymentFailed",
                    "message": "At least one resource deployment operation failed.",
                    "details": [{"code": code, "message": message}],
                }
                return
            deployment.resources.append(resource["id"])
        deployment.state = "Succeeded"
        deployment.outputs = deployment.evaluated.outputs()

    def _make(self, resource: dict[str, Any]) -> tuple[str, str] | None:
        """Make one resource, or say why not: code and message."""
        for failure in self.failures:
            if resource["type"].endswith(failure[0]):
                self.failures.remove(failure)
                return failure[1:]
        key = resource["id"].lower()
        if resource["type"].endswith("/containerGroups"):
            old = self.resources.get(key)
            if old and _fixed(old) != _fixed(resource):
                return "InvalidParameter", (
                    f"The updates on container group '{resource['name']}' are invalid. If you are going to update the "
                    "os type, restart policy, network profile, CPU, memory or GPU resources for a container group, "
                    "you must delete it first and then create a new one."
                )
            image = resource["properties"]["containers"][0]["properties"]["image"]
            may_pull = any("/roleassignments/" in one for one in self.resources)
            if not may_pull or image.partition("@")[2] not in self.registry.manifests:
                return "InaccessibleImage", f"The image '{image}' in container group is not accessible."
            if place := self.places.pop(key, None):
                place.stop()
            self.places[key] = self._run(self.registry, resource["properties"])
            self.started += 1
        self.resources[key] = resource
        return None

    def _view(self, key: str) -> dict[str, Any]:
        """A resource as a GET shows it."""
        shown: dict[str, Any] = copy.deepcopy(self.resources[key])
        properties = shown.setdefault("properties", {})
        properties["provisioningState"] = "Succeeded"
        kind = shown["type"].rpartition("/")[2]
        if kind == "registries":
            properties["loginServer"] = self.server.host
        elif kind == "userAssignedIdentities":
            properties["principalId"] = PRINCIPAL
        elif kind == "components":
            properties["ConnectionString"] = (
                f"InstrumentationKey={CONNECTION_KEY};IngestionEndpoint={self._ingestion}/;LiveEndpoint={self._ingestion}/"
            )
        elif kind == "containerGroups":
            place = self.places[key]
            state, restarts = place.state()
            properties["instanceView"] = {"state": state, "events": []}
            properties["ipAddress"] |= {"fqdn": place.host, "ip": "127.0.0.1"}
            properties["ipAddress"]["ports"][0]["port"] = place.port
            for container in properties["containers"]:
                for variable in container["properties"].get("environmentVariables", []):
                    variable.pop("secureValue", None)
                container["properties"]["instanceView"] = {
                    "restartCount": restarts, "currentState": {"state": state}, "events": [],
                }  # fmt: skip
            for volume in properties.get("volumes", []):
                volume["azureFile"].pop("storageAccountKey", None)
        return shown

    def _change(self, after: dict[str, Any]) -> dict[str, Any]:
        key = after["id"].lower()
        if key not in self.resources:
            return {"resourceId": after["id"], "changeType": "Create", "after": after}
        before = self._view(key)
        delta = list(_differences(before["properties"], after.get("properties", {}), "properties"))
        kind = "Modify" if delta else "NoChange"
        return {"resourceId": after["id"], "changeType": kind, "before": before, "after": after, "delta": delta}


def _fixed(group: dict[str, Any]) -> Any:
    """What of a container group cannot be changed in place."""
    properties = group["properties"]
    resources = {one["name"]: one["properties"]["resources"] for one in properties["containers"]}
    return properties["osType"], properties["restartPolicy"], resources


def _differences(before: Any, after: Any, path: str) -> Any:
    """What-if's list of changes below a path."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in after.items():
            yield from _differences(before.get(name), value, f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(after, list):
        children = []
        for index, value in enumerate(after):
            if index >= len(before):
                children.append({"path": str(index), "propertyChangeType": "Create", "before": None, "after": value})
            elif found := list(_differences(before[index], value, "")):
                children.append({"path": str(index), "propertyChangeType": "Modify", "children": found})
        if children:
            yield {"path": path, "propertyChangeType": "Array", "children": children}
    elif before != after:
        yield {"path": path, "propertyChangeType": "Modify", "before": before, "after": after}
