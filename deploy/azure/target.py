"""Azure Container Instances as a target: a group of containers, and what it stands on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from azure.core.credentials import TokenCredential

from deploy.azure import group, records
from deploy.azure.arm import GROUPS, Arm, template
from deploy.azure.credentials import registry_login
from deploy.azure.holdings import Holdings
from deploy.azure.parameters import Parameters
from deploy.azure.settings import Settings
from deploy.azure.whatif import as_changes
from deploy.errors import DeployError, NotDeployed, NotLoggedIn, ReplaceNeeded, TargetRefused, TargetUnreachable
from deploy.redact import Redactor
from deploy.registry import Registry
from deploy.spec import DeploymentSpec
from deploy.target import Change, Release, Say, Status

REPOSITORY = "homeport"
# A right that is not known everywhere yet; a change that is not over.
_AGAIN = ("InaccessibleImage", "ContainerGroupTransitioning")
_TRIES = 10


class ContainerInstances:
    """The target that `azure.toml` names."""

    name = "azure"

    def __init__(self, settings: Settings, who: TokenCredential) -> None:
        self._settings, self._who = settings, who
        self._arm = Arm(settings, who)
        self._holdings = Holdings(settings, self._arm)
        self._parameters = Parameters(settings, self._arm, self._holdings)
        self._registry: Registry | None = None

    def registry(self) -> Registry | None:
        """The registry, if it is there."""
        found = self._holdings.registry()
        if found and self._registry is None:
            url = f"https://{found['properties']['loginServer']}"
            login = registry_login(self._who, url)
            self._registry = Registry(url, REPOSITORY, login, pause=self._settings.poll_seconds / 3)
        return self._registry if found else None

    def prepare(self, say: Say) -> Registry:
        """Make resource group, registry, identity and Application Insights where they are not there."""
        if self._arm.get(self._arm.group, GROUPS, "The resource group cannot be read") is None:
            say(f"Making the resource group {self._settings.group} in {self._settings.location}.")
            body = {"location": self._settings.location, "tags": self._parameters.tags()}
            self._arm.put(self._arm.group, GROUPS, body, "The resource group cannot be made")
        self._settle(say)
        parameters = self._parameters.foundation()
        if not self._stands(parameters):
            say("Making what the endpoint stands on: registry, identity, Application Insights.")
            name = records.new_name(self._settings.name, "foundation")
            self._start(name, "foundation", parameters)
            self._arm.finish(name, "What the endpoint stands on cannot be made")
        registry = self.registry()
        if registry is None:
            raise NotDeployed(
                f"The registry {self._settings.registry} is not in the resource group {self._settings.group} after "
                "all: somebody deleted it. Run the same command again."
            )
        return registry

    def plan(self, spec: DeploymentSpec) -> Sequence[Change]:
        """Azure's own validation and what-if, where there is a resource group that it can be asked for."""
        redactor = Redactor([spec.keys.primary, spec.keys.secondary, self._parameters.connection_string() or ""])
        wanted = {"foundation": self._parameters.foundation(), "endpoint": self._parameters.endpoint(spec, made=False)}
        if self._arm.get(self._arm.group, GROUPS, "The resource group cannot be read") is None:
            made = Change("create", f"resource group {self._settings.group}")
            return [made, *(one for name, told in wanted.items() for one in _all_new(name, told, self._settings))]
        changes: list[Change] = []
        for name, parameters in wanted.items():
            if name == "endpoint" and self._holdings.identity() is None:  # Azure would say only that it is missing
                changes += _all_new(name, parameters, self._settings)
                continue
            label = f"{self._settings.name}-plan-{name}"
            self._arm.validate(label, template(name), parameters)
            changes += as_changes(self._arm.what_if(label, template(name), parameters), redactor)
        return changes

    def obstacles(self, spec: DeploymentSpec) -> Sequence[str]:
        """What Azure cannot change in place: cores, memory, the side-car, and what has ended."""
        found = self._group()
        return group.obstacles(found, spec, self._settings.location) if found else ()

    def is_current(self, spec: DeploymentSpec) -> bool:
        """By the fingerprint: Azure restarts the containers of a group that is deployed anew, whatever has changed."""
        found = self._group()
        if not found or found["properties"].get("provisioningState") != "Succeeded":
            return False
        running = (found["properties"].get("instanceView") or {}).get("state") == "Running"
        return (
            running
            and (found.get("tags") or {}).get("homeport-fingerprint") == self._parameters.endpoint(spec)["fingerprint"]
        )

    def apply(self, spec: DeploymentSpec, say: Say, replace: bool = False) -> None:
        """Deploy the container group. Raises ReplaceNeeded if it would have to be deleted first."""
        self._settle(say)
        obstacles = self.obstacles(spec)
        if obstacles:
            if not replace:
                raise ReplaceNeeded(f"Azure cannot change that in place: {'; '.join(obstacles)}.")
            say("Deleting the endpoint, to create it anew.")
            self._arm.delete(self._id(), group.API, "The endpoint cannot be deleted")
        parameters = self._parameters.endpoint(spec)
        for attempt in range(1, _TRIES + 1):
            name = records.new_name(self._settings.name, "endpoint")
            say(f"Deploying {spec.model} {spec.version} ({name}).")
            self._start(name, "endpoint", parameters)
            try:
                self._arm.finish(name, "The endpoint cannot be deployed")
            except TargetRefused as error:
                if error.code not in _AGAIN or attempt == _TRIES:
                    raise TargetRefused(f"{error} {self._left()}", error.code) from error
                say(f"Azure is not ready for it yet ({error.code}); once more.")
                time.sleep(self._settings.poll_seconds * 5)
            except NotLoggedIn as error:
                raise NotLoggedIn(
                    f"{error} The deployment {name} goes on in Azure; the same command waits for it."
                ) from error
            else:
                return

    def status(self) -> Status | None:
        """The endpoint as it is now."""
        found = self._group()
        return group.status(found) if found else None

    def releases(self) -> Sequence[Release]:
        """From Azure's history of deployments."""
        return [records.as_release(one) for one in records.of(self._arm.deployments(), self._settings.name, "endpoint")]

    def logs(self, lines: int) -> str:
        """What serving wrote last."""
        path = f"{self._id()}/containers/{group.SERVING}/logs?tail={lines}"
        found = self._arm.get(path, group.API, "The logs cannot be read")
        if found is None:
            raise NotDeployed(f"There is no endpoint {self._settings.name} in {self._settings.group}.")
        return str(found.get("content") or "")

    def holdings(self) -> Sequence[str]:
        """Everything that carries the endpoint's tag."""
        return self._holdings.named()

    def destroy(self, say: Say) -> None:
        """Delete it all, the endpoint first, which is what costs most."""
        self._settle(say)
        self._holdings.destroy(say)

    def close(self) -> None:
        """Close all connections."""
        self._arm.close()
        if self._registry:
            self._registry.close()

    def _id(self) -> str:
        return self._arm.id(group.KIND, self._settings.name)

    def _group(self) -> group.Group | None:
        found: group.Group | None = self._arm.get(self._id(), group.API, "The endpoint cannot be read")
        return found

    def _stands(self, parameters: dict[str, Any]) -> bool:
        """Whether the last deployment of the foundation was told the same, and all it made is there."""
        done = records.of(self._arm.deployments(), self._settings.name, "foundation")
        if not done or records.state(done[0]) != "succeeded" or records.parameters(done[0]) != parameters:
            return False
        return bool(self._holdings.registry() and self._holdings.identity() and self._holdings.component())

    def _start(self, name: str, part: records.Part, parameters: dict[str, Any]) -> None:
        self._arm.validate(name, template(part), parameters)
        try:
            self._arm.start(name, template(part), parameters)
        except TargetUnreachable as error:
            raise TargetUnreachable(
                f"{error} Whether the deployment {name} has begun is not known: the same command finds out, and waits "
                "for it."
            ) from error

    def _settle(self, say: Say) -> None:
        """Wait for deployments of an earlier call, such as one that was interrupted."""
        deployments = self._arm.deployments()
        for part in records.PARTS:
            for one in records.of(deployments, self._settings.name, part):
                if records.state(one) == "running":
                    say(f"The deployment {one.name} of an earlier call is under way: waiting for it.")
                    try:
                        self._arm.finish(str(one.name), f"The earlier deployment {one.name} has failed")
                    except TargetRefused as error:
                        say(str(error))

    def _left(self) -> str:
        """What a deployment that failed has left behind."""
        try:
            found = self.status()
        except DeployError:
            return "How the endpoint is now cannot be seen: `homeport deploy azure status`."
        if found is None:
            return (
                "There is no endpoint now; what it stands on is there, and costs little until "
                "`homeport deploy azure destroy`."
            )
        return (
            f"The endpoint is there in state {found.state}. `homeport deploy azure rollback` returns to the release "
            "before, `status` and `logs` tell more."
        )


def _all_new(name: str, parameters: dict[str, Any], settings: Settings) -> list[Change]:
    """All resources of a template, of those that its parameters ask for."""
    kinds = [
        one["type"]
        for one in template(name)["resources"]
        if parameters.get(str(one.get("condition", "")).removeprefix("[parameters('").removesuffix("')]"), True)
    ]
    return [Change("create", f"{kind} of {settings.name}") for kind in kinds]
