"""Who deploys: whoever is logged in to Azure here, by Azure's own chain of credentials."""

from __future__ import annotations

import httpx
from azure.core.credentials import TokenCredential
from azure.identity import DefaultAzureCredential

from deploy.azure.failures import explained
from deploy.errors import RegistryRefused
from deploy.registry import Login

_REGISTRIES = "https://containerregistry.azure.net/.default"


def credential() -> DefaultAzureCredential:
    """A service principal in the environment, a managed identity, or the login of `az`; nobody is asked."""
    return DefaultAzureCredential()


def registry_login(who: TokenCredential, url: str) -> Login:
    """The way to a token of an Azure container registry: the login is exchanged, no password is kept anywhere."""
    service = url.partition("://")[2]

    def login(scope: str) -> str:
        with explained(f"Logging in to the registry {service}"):
            token = who.get_token(_REGISTRIES).token
        refresh = _exchange(
            f"{url}/oauth2/exchange", {"grant_type": "access_token", "service": service, "access_token": token}
        )
        asked = {"grant_type": "refresh_token", "service": service, "scope": scope}
        return _exchange(f"{url}/oauth2/token", asked | {"refresh_token": refresh["refresh_token"]})["access_token"]

    return login


def _exchange(url: str, form: dict[str, str]) -> dict[str, str]:
    try:
        answer = httpx.post(url, data=form, timeout=30)
    except httpx.TransportError as error:
        raise RegistryRefused(f"{url} cannot be reached ({error}). Run the same command again.") from error
    if answer.status_code != 200:
        raise RegistryRefused(
            f"The registry does not let this login in: {url} answered {answer.status_code}. Who deploys needs the role "
            "AcrPush, or Contributor, on the registry."
        )
    found: dict[str, str] = answer.json()
    return found
