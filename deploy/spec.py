"""What is to run, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.keys import Keys


@dataclass(frozen=True)
class DeploymentSpec:
    """One endpoint: an image by its digest, what it is told, and what it may use. No target's word is in it."""

    image: str
    """`registry/repository@sha256:…`: what runs is what was pushed, and a tag that moves changes nothing."""
    model: str
    version: str
    keys: Keys
    cpu: float
    memory_gb: float
    insights: bool
    """Whether its telemetry is sent to the target's own monitor."""
    tls: bool
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further settings of serving; never a secret."""
