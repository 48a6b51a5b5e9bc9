"""What the two templates are told: the settings, and what is in Azure already."""

from __future__ import annotations

import hashlib
from typing import Any

from deploy.azure import records
from deploy.azure.arm import Arm, template
from deploy.azure.holdings import Holdings
from deploy.azure.settings import Settings
from deploy.errors import NotDeployed
from deploy.registry import encode
from deploy.spec import DeploymentSpec


class Parameters:
    """The parameters of both templates. Every method raises DeployError."""

    def __init__(self, settings: Settings, arm: Arm, holdings: Holdings) -> None:
        self._settings, self._arm, self._holdings = settings, arm, holdings

    def tags(self) -> dict[str, str]:
        """Of all resources."""
        return dict(self._settings.tags) | {"homeport": self._settings.name}

    def foundation(self) -> dict[str, Any]:
        """Of what an endpoint stands on."""
        registry = self._holdings.registry()
        return {
            "name": self._settings.name,
            "location": self._settings.location,
            "tags": self.tags(),
            "registry": self._settings.registry,
            "createRegistry": registry is None or self._holdings.is_ours(registry),
            "assignPullRole": self._settings.assign_pull_role,
            "tls": self._settings.tls,
        }

    def endpoint(self, spec: DeploymentSpec, made: bool = True) -> dict[str, Any]:
        """Of the endpoint, with a fingerprint of them all; without `made`, what it stands on may be missing."""
        registry = self._holdings.registry()
        server = registry["properties"]["loginServer"] if registry else f"{self._settings.registry}.azurecr.io"
        connection = self.connection_string() if spec.insights else ""
        if connection is None:
            if made:
                raise NotDeployed("Application Insights is not there yet: run `homeport deploy azure apply`.")
            connection = "made by the deployment"
        foundation = self._last_foundation()
        parameters = {
            "name": self._settings.name,
            "location": self._settings.location,
            "tags": self.tags(),
            "dnsLabel": self._settings.label,
            "registryServer": server,
            "image": spec.image,
            "model": spec.model,
            "version": spec.version,
            "cpu": f"{spec.cpu:g}",
            "memoryInGB": f"{spec.memory_gb:g}",
            "insights": spec.insights,
            "tls": spec.tls,
            "caddyImage": self._settings.caddy_image,
            "storage": (foundation or {}).get("storage", "") if spec.tls else "",
            "environment": [{"name": name, "value": value} for name, value in sorted(spec.environment.items())],
            "keys": spec.keys.as_json(),
            "connectionString": connection,
        }
        told = encode([template("endpoint"), parameters])
        return parameters | {"fingerprint": hashlib.sha256(told).hexdigest()[:32]}

    def connection_string(self) -> str | None:
        """Of Application Insights, which is a secret; None if it is not there."""
        component = self._holdings.component()
        return component["properties"]["ConnectionString"] if component else None

    def _last_foundation(self) -> dict[str, Any] | None:
        for one in records.of(self._arm.deployments(), self._settings.name, "foundation"):
            if records.state(one) == "succeeded":
                return records.outputs(one)
        return None
