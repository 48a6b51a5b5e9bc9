"""A container group as Azure tells of it: how it is, and what of it cannot be changed in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deploy.spec import DeploymentSpec
from deploy.target import Container, Status

KIND = "Microsoft.ContainerInstance/containerGroups"
API = "2025-09-01"
SERVING = "serving"
CADDY = "caddy"
PORTAL = "https://portal.azure.com/#@/resource{}/overview"
_ENDED = ("Succeeded", "Failed", "Terminated")

Group = dict[str, Any]


def status(group: Group) -> Status:
    """The endpoint as it is now."""
    properties = group["properties"]
    view = properties.get("instanceView") or {}
    events = [*view.get("events", [])]
    containers = []
    for one in properties["containers"]:
        seen = one["properties"].get("instanceView") or {}
        now = seen.get("currentState") or {}
        ended = f"exit code {now['exitCode']}" if now.get("exitCode") is not None else ""
        detail = ", ".join(part for part in (now.get("detailStatus", ""), ended) if part)
        containers.append(Container(one["name"], now.get("state", "unknown"), seen.get("restartCount", 0), detail))
        events += seen.get("events", [])
    events.sort(key=lambda event: str(event.get("lastTimestamp", "")))
    return Status(
        address=address(group),
        state=view.get("state") or properties.get("provisioningState", "unknown"),
        image=container(group, SERVING)["image"],
        containers=containers,
        events=[f"{event.get('name')}: {event.get('message')}" for event in events[-8:]],
        portal=PORTAL.format(group["id"]),
    )


def address(group: Group) -> str:
    """Where it answers; empty before Azure has given it a place."""
    place = group["properties"].get("ipAddress") or {}
    if not place.get("fqdn"):
        return ""
    if container(group, CADDY):
        return f"https://{place['fqdn']}"
    return f"http://{place['fqdn']}:{place['ports'][0]['port']}"


def container(group: Group, name: str) -> dict[str, Any]:
    """The properties of one of its containers; empty if it has none of that name."""
    found = (one["properties"] for one in group["properties"]["containers"] if one["name"] == name)
    return next(found, {})


def obstacles(group: Group, spec: DeploymentSpec, location: str) -> Sequence[str]:
    """What keeps Azure from changing it in place."""
    return list(_obstacles(group, spec, location))


def _obstacles(group: Group, spec: DeploymentSpec, location: str) -> Iterator[str]:
    properties = group["properties"]
    state = (properties.get("instanceView") or {}).get("state")
    if state in _ENDED or properties.get("provisioningState") == "Failed":
        yield f"it has ended ({state or 'Failed'})"
    resources = container(group, SERVING).get("resources", {}).get("requests", {})
    fixed = {
        "location": (group["location"].replace(" ", "").lower(), location),
        "osType": (properties.get("osType"), "Linux"),
        "restartPolicy": (properties.get("restartPolicy"), "Always"),
        "cpu": (resources.get("cpu"), spec.cpu),
        "memory_gb": (resources.get("memoryInGB"), spec.memory_gb),
        "tls": (bool(container(group, CADDY)), spec.tls),
    }
    for name, (now, wanted) in fixed.items():
        if now != wanted:
            yield f"{name}: {now} → {wanted}"
