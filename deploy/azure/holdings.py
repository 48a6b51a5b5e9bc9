"""What an endpoint has in Azure: found by its names and its tag, and deleted by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploy.azure import records
from deploy.azure.arm import GROUPS, Arm
from deploy.azure.settings import Settings
from deploy.azure.whatif import short
from deploy.target import Say

REGISTRY = "Microsoft.ContainerRegistry/registries"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
COMPONENT = "Microsoft.Insights/components"
_APIS = {  # in the order in which they are deleted: what costs most first, what others stand on last
    "Microsoft.ContainerInstance/containerGroups": "2025-09-01",
    COMPONENT: "2020-02-02",
    "Microsoft.OperationalInsights/workspaces": "2023-09-01",
    "Microsoft.Storage/storageAccounts": "2023-05-01",
    IDENTITY: "2023-01-31",
    REGISTRY: "2023-07-01",
}
_ROLES = "2022-04-01"
_DEPLOYMENTS = "2024-03-01"


class Holdings:
    """The resources of one endpoint. Every method raises DeployError."""

    def __init__(self, settings: Settings, arm: Arm) -> None:
        self._settings, self._arm = settings, arm

    def registry(self) -> dict[str, Any] | None:
        """The registry, whoever made it."""
        return self._one(REGISTRY, self._settings.registry)

    def identity(self) -> dict[str, Any] | None:
        """The identity that may pull the image."""
        return self._one(IDENTITY, f"{self._settings.name}-pull")

    def component(self) -> dict[str, Any] | None:
        """Application Insights."""
        return self._one(COMPONENT, f"{self._settings.name}-insights")

    def is_ours(self, resource: dict[str, Any]) -> bool:
        """Whether the endpoint's deployment has made it."""
        return (resource.get("tags") or {}).get("homeport") == self._settings.name

    def named(self) -> Sequence[str]:
        """All of them, as people name them."""
        names = [short(str(one["id"])) for one in self._resources() if self.is_ours(one)]
        return [*names, f"resource group {self._settings.group}"] if self._group_goes() else names

    def destroy(self, say: Say) -> None:
        """Delete all of them; one that fails ends it with its name, and the next call goes on."""
        group_goes = self._group_goes()
        roles = self._roles()
        ours = [one for one in self._resources() if self.is_ours(one)]
        order = [kind.lower() for kind in _APIS]
        for one in sorted(
            ours, key=lambda one: order.index(one["type"].lower()) if one["type"].lower() in order else 99
        ):
            api = {kind.lower(): api for kind, api in _APIS.items()}.get(one["type"].lower())
            if api is None:
                say(f"Left: {short(one['id'])}, which is of a kind that Homeport does not make.")
                continue
            say(f"Deleting {short(one['id'])}.")
            forced = "?force=true" if "workspaces" in one["type"] else ""
            self._arm.delete(f"{one['id']}{forced}", api, f"{short(one['id'])} cannot be deleted")
        for role in roles:
            self._arm.delete(role, _ROLES, "The right to pull cannot be taken back")
        if group_goes:
            say(f"Deleting the resource group {self._settings.group}, which is empty.")
            self._arm.delete(self._arm.group, GROUPS, "The resource group cannot be deleted")
            return
        deployments = self._arm.deployments()
        for part in records.PARTS:
            for record in records.of(deployments, self._settings.name, part):
                path = self._arm.id("Microsoft.Resources/deployments", str(record.name))
                self._arm.delete(path, _DEPLOYMENTS, f"The record {record.name} cannot be deleted")

    def _one(self, kind: str, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._arm.get(
            self._arm.id(kind, name), _APIS[kind], f"{kind} {name} cannot be read"
        )
        return found

    def _resources(self) -> Sequence[dict[str, Any]]:
        return self._arm.listed(f"{self._arm.group}/resources", GROUPS, "The resources cannot be listed")

    def _group_goes(self) -> bool:
        """Whether the resource group was made for this endpoint, and has nothing else in it."""
        group = self._arm.get(self._arm.group, GROUPS, "The resource group cannot be read")
        return bool(group and self.is_ours(group) and all(self.is_ours(one) for one in self._resources()))

    def _roles(self) -> Sequence[str]:
        """Rights on a registry that stays; those on one that goes go with it."""
        registry = self.registry()
        if registry is None or self.is_ours(registry):
            return ()
        deployments = records.of(self._arm.deployments(), self._settings.name, "foundation")
        made = [
            one.id for record in deployments for one in (record.properties and record.properties.output_resources) or []
        ]
        return sorted({path for path in made if path and "/roleAssignments/" in path})
