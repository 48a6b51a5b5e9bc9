"""What was deployed when: Azure's own history of deployments, which every machine sees and which holds no secrets."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from azure.mgmt.resource.deployments.models import DeploymentExtended

from deploy.target import Release

Part = Literal["foundation", "endpoint"]
PARTS: tuple[Part, ...] = ("foundation", "endpoint")
_STATES = {"Succeeded": "succeeded", "Failed": "failed", "Canceled": "canceled"}


def new_name(name: str, part: Part) -> str:
    """The name of a deployment, unlike all others."""
    return f"{name}-{part}-{datetime.now(UTC):%Y%m%dt%H%M%S}-{secrets.token_hex(2)}"


def of(deployments: Sequence[DeploymentExtended], name: str, part: Part) -> list[DeploymentExtended]:
    """Those of one endpoint and one part of it, the latest first."""
    ours = re.compile(rf"{re.escape(name)}-{part}-\d{{8}}t\d{{6}}-[0-9a-f]{{4}}")
    return [one for one in deployments if ours.fullmatch(str(one.name)) and one.properties]


def state(deployment: DeploymentExtended) -> str:
    """`running`, `succeeded`, `failed` or `canceled`."""
    found = deployment.properties and deployment.properties.provisioning_state
    return _STATES.get(found or "", "running")


def parameters(deployment: DeploymentExtended) -> dict[str, Any]:
    """What it was told, but for what is secret."""
    told = (deployment.properties and deployment.properties.parameters) or {}
    return {name: one["value"] for name, one in told.items() if isinstance(one, dict) and "value" in one}


def outputs(deployment: DeploymentExtended) -> dict[str, Any]:
    """What it gave back."""
    given = (deployment.properties and deployment.properties.outputs) or {}
    return {name: one["value"] for name, one in given.items()}


def as_release(deployment: DeploymentExtended) -> Release:
    """A deployment of an endpoint as a release."""
    told = parameters(deployment)
    at = deployment.properties.timestamp if deployment.properties else None
    return Release(
        id=str(deployment.name),
        at=at or datetime.fromtimestamp(0, UTC),
        image=str(told.get("image", "")),
        model=str(told.get("model", "")),
        version=str(told.get("version", "")),
        insights=bool(told.get("insights", False)),
        state=state(deployment),
    )
