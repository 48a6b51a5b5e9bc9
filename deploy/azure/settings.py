"""Settings of a deployment to Azure: one file, `azure.toml`; `deploy/azure/example.toml` is one to begin with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from deploy.errors import SettingsInvalid

_OWN = ("KEYS", "HOST", "PORT", "MODEL", "MODELS", "SHADOW")  # what the image or the template sets


def _further(environment: dict[str, str]) -> dict[str, str]:
    for name in environment:
        if not re.fullmatch(r"HOMEPORT_(SERVING|TELEMETRY)_[A-Z_]+", name):
            raise ValueError(
                f"{name} is no setting of serving: those start with HOMEPORT_SERVING_ or HOMEPORT_TELEMETRY_"
            )
        if name.removeprefix("HOMEPORT_SERVING_") in _OWN:
            raise ValueError(f"{name} is set by the deployment itself")
    return environment


def _ours(tags: dict[str, str]) -> dict[str, str]:
    for name in tags:
        if name.startswith("homeport") or not re.fullmatch(r"[^<>%&\\?/]{1,512}", name):
            raise ValueError(f"'{name}' is no name of a tag, or one that Homeport sets")
    return tags


class Settings(BaseModel):
    """One field a setting; the field's docstring is its documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    subscription: str
    """Id of the subscription that pays."""

    group: str = Field(pattern=r"^[A-Za-z0-9][-\w().]{0,88}[-\w()]$")
    """Resource group; made if there is none."""

    location: str = Field(pattern=r"^[a-z]+[a-z0-9]*$")
    """Region, such as `westeurope`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$")
    """Name of the endpoint, and the beginning of the names of what it stands on."""

    registry: str = Field(pattern=r"^[a-z0-9]{5,50}$")
    """Name of the Azure container registry, unique in the world; made in the resource group if there is none."""

    dns_label: str = Field(default="", pattern=r"^([a-z][a-z0-9-]{3,61}[a-z0-9])?$")
    """First word of the address, unique in the region; by default the endpoint's name."""

    model: str = ""
    """Name of the model to serve; by default the one promoted last."""

    cpu: Annotated[float, Field(ge=0.25, le=4, multiple_of=0.25, strict=False)] = 1.0
    """Cores."""

    memory_gb: Annotated[float, Field(ge=0.5, le=16, strict=False)] = 1.5
    """Memory in GB, with one decimal."""

    tls: bool = False
    """HTTPS by Caddy beside the endpoint, with a certificate of Let's Encrypt; without it keys travel in the clear."""

    caddy_image: str = "docker.io/library/caddy:2.10.2-alpine"
    """Caddy's image; one in a registry of your own is not held to Docker Hub's limits."""

    assign_pull_role: bool = True
    """Give the endpoint the right to pull its image, for which one must be owner; false: someone else has done it."""

    environment: Annotated[dict[str, str], AfterValidator(_further)] = {}
    """Further settings of serving and its telemetry; no secrets."""

    tags: Annotated[dict[str, str], AfterValidator(_ours)] = {}
    """Tags of all resources, beside Homeport's own."""

    management: str = Field(default="https://management.azure.com", pattern=r"^https://[^/]+$")
    """Address of Azure Resource Manager; another one in sovereign clouds."""

    poll_seconds: Annotated[float, Field(ge=0, le=60, strict=False)] = 3.0
    """Time between two looks at something that is under way."""

    wait_seconds: Annotated[float, Field(gt=0, strict=False)] = 900.0
    """Longest time to wait for one step."""

    @property
    def label(self) -> str:
        """The first word of the address."""
        return self.dns_label or self.name


def read_settings(path: Path) -> Settings:
    """Read the file. Raises SettingsInvalid, which names each setting that is wrong."""
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsInvalid(
            f"There is no file of settings {path}. Begin with a copy: `cp deploy/azure/example.toml {path}`."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid(f"{path} cannot be read: {error}.") from error
    try:
        settings = Settings.model_validate(content)
        _uuid(settings.subscription)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
        raise SettingsInvalid("\n".join([f"{path} is not right:", *lines])) from None
    if len(settings.label) < 5:
        raise SettingsInvalid(f"{path} is not right:\n  dns_label: '{settings.label}' is shorter than 5 characters")
    if round(settings.memory_gb, 1) != settings.memory_gb:
        raise SettingsInvalid(f"{path} is not right:\n  memory_gb: {settings.memory_gb} has more than one decimal")
    return settings


def _uuid(subscription: str) -> None:
    try:
        UUID(subscription)
    except ValueError:
        raise SettingsInvalid(
            f"subscription: '{subscription}' is no id of a subscription. `az account list --output table` shows yours."
        ) from None
