"""Azure Resource Manager: deployments by its SDK, and plain requests over the same pipeline for the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, TypeVar

import msgspec
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ResourceExistsError
from azure.core.rest import HttpRequest
from azure.mgmt.resource.deployments import DeploymentsMgmtClient
from azure.mgmt.resource.deployments.models import DeploymentExtended, WhatIfChange

from deploy.azure.failures import explained, most_telling
from deploy.azure.settings import Settings
from deploy.errors import TargetRefused, TargetUnreachable

GROUPS = "2024-03-01"  # version of the API for resource groups and lists of resources
_ENDED = frozenset({"Succeeded", "Failed", "Canceled"})

_Found = TypeVar("_Found")
Template = dict[str, Any]
Parameters = Mapping[str, object]


def template(name: str) -> Template:
    """One of the templates beside this module."""
    found: Template = msgspec.json.decode(resources.files("deploy.azure").joinpath(f"{name}.json").read_bytes())
    return found


class Arm:
    """One resource group, as the login may see it. Every method raises DeployError."""

    def __init__(self, settings: Settings, who: TokenCredential) -> None:
        self._settings = settings
        self.group = f"/subscriptions/{settings.subscription}/resourceGroups/{settings.group}"
        self._client = DeploymentsMgmtClient(
            who,
            settings.subscription,
            base_url=settings.management,
            credential_scopes=[f"{settings.management}/.default"],
            polling_interval=settings.poll_seconds,
            retry_total=5,
            retry_backoff_factor=settings.poll_seconds / 5,
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def id(self, kind: str, name: str) -> str:
        """The path of a resource of this group."""
        return f"{self.group}/providers/{kind}/{name}"

    def get(self, path: str, api: str, what: str) -> Any:
        """A resource, or None if there is none; `what` says in an error what was tried."""
        return self._ask("GET", path, api, what, missing=True)

    def put(self, path: str, api: str, body: object, what: str) -> None:
        """Make a resource, or change it."""
        self._ask("PUT", path, api, what, body)

    def listed(self, path: str, api: str, what: str) -> Sequence[dict[str, Any]]:
        """All items of a list."""
        found: list[dict[str, Any]] = []
        page = self._ask("GET", path, api, what, missing=True)
        while page:
            found += page["value"]
            page = self._ask("GET", page["nextLink"], None, what) if page.get("nextLink") else None
        return found

    def delete(self, path: str, api: str, what: str) -> None:
        """Delete a resource and wait until it is gone; one that is gone is no error."""
        self._ask("DELETE", path, api, what, missing=True)
        self.until(lambda: self.get(path, api, what) is None or None, f"{what} has not ended")

    def validate(self, name: str, content: Template, parameters: Parameters) -> None:
        """Let Azure look at what would be deployed. Raises TargetRefused."""
        with explained("Azure does not accept the deployment"):
            answer = self._client.deployments.begin_validate(
                self._settings.group, name, self._body(content, parameters)
            ).result()
        if answer.error:
            raise most_telling(answer.error.as_dict()).refusal("Azure does not accept the deployment")

    def what_if(self, name: str, content: Template, parameters: Parameters) -> Sequence[WhatIfChange]:
        """What Azure would change. It echoes secrets."""
        body: Any = self._body(content, parameters)
        body["properties"]["whatIfSettings"] = {"resultFormat": "FullResourcePayloads"}
        with explained("Azure does not say what would change"):
            answer = self._client.deployments.begin_what_if(self._settings.group, name, body).result()
        if answer.error:
            raise most_telling(answer.error.as_dict()).refusal("Azure does not say what would change")
        return answer.changes or []

    def start(self, name: str, content: Template, parameters: Parameters) -> None:
        """Begin a deployment; one of that name that has begun already goes on."""
        with explained("Azure does not begin the deployment"):
            try:
                self._client.deployments.begin_create_or_update(
                    self._settings.group, name, self._body(content, parameters), polling=False
                )
            except ResourceExistsError as error:  # the answer was lost, and it was asked once more
                if "DeploymentActive" not in str(error):
                    raise

    def finish(self, name: str, what: str) -> dict[str, Any]:
        """Wait for the end of a deployment, and return its outputs. Raises TargetRefused if it has failed."""

        def ended() -> DeploymentExtended | None:
            with explained(what):
                found = self._client.deployments.get(self._settings.group, name)
            return found if found.properties and found.properties.provisioning_state in _ENDED else None

        found = self.until(
            ended, f"the deployment {name} has not ended; it goes on in Azure, and the same command waits for it"
        )
        properties: Any = found.properties
        if properties.provisioning_state != "Succeeded":
            error = properties.error.as_dict() if properties.error else {}
            raise most_telling(
                error or {"code": properties.provisioning_state, "message": "no reason is given"}
            ).refusal(what)
        return {key: output["value"] for key, output in (properties.outputs or {}).items()}

    def deployments(self) -> Sequence[DeploymentExtended]:
        """All deployments of the group, the latest first."""
        try:
            with explained("The deployments cannot be listed"):
                found = list(self._client.deployments.list_by_resource_group(self._settings.group))
        except TargetRefused as error:
            if error.code != "ResourceGroupNotFound":
                raise
            return []
        return sorted(found, key=lambda one: str(one.properties.timestamp if one.properties else ""), reverse=True)

    def until(self, found: Callable[[], _Found | None], what: str) -> _Found:
        """Ask again and again; an answer that does not come is not the end of it. Raises TargetUnreachable."""
        deadline = time.monotonic() + self._settings.wait_seconds
        while True:
            try:
                answer = found()
                trouble = ""
            except TargetUnreachable as error:
                answer, trouble = None, f" ({error})"
            if answer is not None:
                return answer
            if time.monotonic() > deadline:
                raise TargetUnreachable(f"After {self._settings.wait_seconds:.0f} s: {what}{trouble}.")
            time.sleep(self._settings.poll_seconds)

    def _body(self, content: Template, parameters: Parameters) -> Any:
        return {
            "properties": {
                "mode": "Incremental",
                "template": content,
                "parameters": {name: {"value": value} for name, value in parameters.items()},
            },
            "tags": {"homeport": self._settings.name},
        }

    def _ask(
        self, method: str, path: str, api: str | None, what: str, body: object = None, missing: bool = False
    ) -> Any:
        url = path if path.startswith("https://") else f"{self._settings.management}{path}"
        request = HttpRequest(method, url, params={"api-version": api} if api else None, json=body)
        with explained(what):
            answer = self._client.send_request(request)
            if answer.status_code == 404 and missing:
                return None
            answer.raise_for_status()
            return answer.json() if answer.content else None
