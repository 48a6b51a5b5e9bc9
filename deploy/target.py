"""The seam for targets: what `homeport deploy` needs of a place that runs images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from deploy.registry import Registry
from deploy.spec import DeploymentSpec

Say = Callable[[str], None]


@dataclass(frozen=True)
class Change:
    """What would become of one resource; no detail holds a secret."""

    kind: str
    """`create`, `modify`, `delete`, `no change`, `ignore` or `unknown`."""
    resource: str
    details: Sequence[str] = ()


@dataclass(frozen=True)
class Release:
    """One version of the endpoint that was deployed."""

    id: str
    at: datetime
    image: str
    model: str
    version: str
    insights: bool
    state: str
    """`running` (it is being deployed), `succeeded`, `failed` or `canceled`."""


@dataclass(frozen=True)
class Container:
    """One container of the endpoint as it is now."""

    name: str
    state: str
    restarts: int
    detail: str = ""


@dataclass(frozen=True)
class Status:
    """The endpoint as it is now."""

    address: str
    state: str
    image: str
    containers: Sequence[Container]
    events: Sequence[str]
    portal: str


class Target(Protocol):
    """A place that runs images. Every method raises DeployError, and asks nobody anything."""

    name: str

    def registry(self) -> Registry | None:
        """Where images go, or None before the first `prepare`."""

    def prepare(self, say: Say) -> Registry:
        """Create what an endpoint stands on, where it is not there, and return where its image goes."""

    def plan(self, spec: DeploymentSpec) -> Sequence[Change]:
        """What `prepare` and `apply` would change."""

    def obstacles(self, spec: DeploymentSpec) -> Sequence[str]:
        """What keeps the endpoint from being changed in place, in words; empty if nothing does."""

    def is_current(self, spec: DeploymentSpec) -> bool:
        """Whether exactly this runs already."""

    def apply(self, spec: DeploymentSpec, say: Say, replace: bool = False) -> None:
        """Run it; with `replace` the endpoint is deleted first. Goes on with one of an earlier call that runs."""

    def status(self) -> Status | None:
        """The endpoint as it is now, or None."""

    def releases(self) -> Sequence[Release]:
        """What was deployed, the latest first."""

    def logs(self, lines: int) -> str:
        """The last lines that the endpoint wrote."""

    def holdings(self) -> Sequence[str]:
        """Everything that `destroy` would delete."""

    def close(self) -> None:
        """Close its connections."""

    def destroy(self, say: Say) -> None:
        """Delete everything; what was deleted already is no error."""
