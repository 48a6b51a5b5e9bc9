"""Azure's errors in words for the person at the terminal: what it refused, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from deploy.errors import DeployError, NotLoggedIn, TargetRefused, TargetUnreachable

LOGIN = (
    "Log in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of a service principal "
    "(docs/azure.md)."
)
# The first that fits: a pattern for Azure's code, one for its message, and the remedy.
_REMEDIES = [
    (r"ContainerGroupTransitioning|DeploymentActive", "", "Something else changes the endpoint at the moment. Wait, and run the same command again."),
    (r"InvalidAuthenticationToken", "", "The login is for another tenant than the subscription's: `az login --tenant TENANT`."),
    (r"SubscriptionNotFound|InvalidSubscription", "", "Check `subscription` in the file of settings: `az account list --output table` shows those that this login sees."),
    (r"SubscriptionNotRegistered|MissingSubscriptionRegistration|NoRegisteredProvider", "", "Register the resource provider once: `az provider register --namespace NAMESPACE` with the namespace that Azure names."),
    (r"ReadOnlyDisabledSubscription|DisabledSubscription", "", "The subscription is disabled, mostly because its credit is used up: enable it in the portal."),
    (r"Authorization", r"roleAssignments/write", "To let the endpoint pull its image one must be owner of the resource group. Ask an owner to run `az role assignment create --role AcrPull` for the identity that ends in -pull on the registry, then set `assign_pull_role = false`."),
    (r"Authorization|Forbidden", "", "The login needs the role Contributor on the resource group (or on the subscription, to make one)."),
    (r"Policy", "", "A policy of the organisation forbids it: choose what it allows (region, tags), or ask who keeps it."),
    (r"LocationNotAvailable|InvalidLocation|LocationNotSupported", "", "Choose another `location` in the file of settings, one that Azure names in its message."),
    (r"InvalidResourceGroupLocation", "", "The resource group is in another region: choose another `group`, or its `location`."),
    (r"Quota", "", "Ask for more in the portal (Quotas, Container Instances), choose another `location`, or a smaller `cpu`."),
    (r"", r"quota", "Ask for more in the portal (Quotas, Container Instances), choose another `location`, or a smaller `cpu`."),
    (r"ServiceUnavailable|ResourceNotAvailable", "", "The region has no room for that much at the moment: try again later, or choose another `location`, or less `cpu` and `memory_gb`."),
    (r"DnsNameLabel", "", "Choose another `dns_label` in the file of settings: it must be unique in the region."),
    (r"", r"DNS name label .* not available", "Choose another `dns_label` in the file of settings: it must be unique in the region."),
    (r"AlreadyInUse|NameNotAvailable|NameTaken|StorageAccountAlreadyTaken", "", "Choose another `registry` in the file of settings: it must be unique in the world."),
    (r"InaccessibleImage|ImagePull", "", "The endpoint may not pull its image. A right that was just given takes Azure some minutes: run the same command again. Otherwise give the identity that ends in -pull the role AcrPull on the registry."),
    (r"RegistryErrorResponse", "", "A registry did not give an image, mostly Docker Hub because of its limits: try again later, or set `caddy_image` to a copy in your own registry."),
    (r"", r"updates on container group .* are invalid", "Azure cannot change that in place: run it again with `--replace`, which deletes the endpoint and creates it anew."),
    (r"TooManyRequests|Throttled", "", "Azure limits how often it may be asked: wait some minutes, and run the same command again."),
    (r"ResourceGroupBeingDeleted", "", "The resource group is being deleted: wait until it is gone, or choose another `group`."),
    (r"RequestConflict|Conflict", "", "Something else changes the same resources: wait, and run the same command again."),
    (r"InvalidTemplate|InvalidDeployment", "", "That is a fault of Homeport's template: please report it with this message."),
]  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """One error as Azure tells it."""

    code: str
    message: str

    def remedy(self) -> str | None:
        """What to do, if it is one of the usual ones."""
        for code, message, remedy in _REMEDIES:
            if re.search(code, self.code) and re.search(message, self.message, re.IGNORECASE | re.DOTALL):
                return remedy
        return None

    def refusal(self, what: str) -> TargetRefused:
        """The same as an error of ours."""
        said = re.sub(r"\s+", " ", self.message).strip()[:600]
        remedy = self.remedy()
        return TargetRefused(f"{what}: {said} ({self.code}).{f' {remedy}' if remedy else ''}", self.code)


def failures(error: Any) -> list[Failure]:
    """The innermost errors of one, which Azure wraps in several of no content."""
    if not isinstance(error, dict):
        return []
    error = error.get("error", error)
    message = str(error.get("message") or "")
    inner = [found for detail in error.get("details") or [] for found in failures(detail)]
    if message.lstrip().startswith("{"):  # some of Azure's services put one more document into the text
        try:
            inner += failures(json.loads(message))
        except ValueError:
            pass
    return inner or ([Failure(str(error.get("code") or "Unknown"), message)] if error.get("code") or message else [])


def most_telling(error: Any) -> Failure:
    """The innermost error that there is a remedy for, or the first."""
    found = failures(error) or [Failure("Unknown", "Azure gives no reason")]
    return next((one for one in found if one.remedy()), found[0])


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn whatever Azure's libraries raise into an error of ours. Raises DeployError."""
    try:
        yield
    except DeployError:
        raise
    except HttpResponseError as error:
        body = _body(error)
        if isinstance(error, ClientAuthenticationError) and not body:
            told = re.search(r"AADSTS\d+: [^.]*", error.message)
            raise NotLoggedIn(f"{what}: {told[0] if told else 'nobody is logged in to Azure here'}. {LOGIN}") from error
        if error.status_code is None and not body:
            raise TargetUnreachable(
                f"{what}: Azure's answer was cut short ({error.message[:200]}). Run it again."
            ) from error
        raise most_telling(body or {"code": f"Status{error.status_code}", "message": error.message}).refusal(
            what
        ) from error
    except AzureError as error:
        raise TargetUnreachable(
            f"{what}: Azure does not answer ({str(error)[:200]}). Check the connection, and run the same command again."
        ) from error


def _body(error: HttpResponseError) -> dict[str, Any]:
    if error.response is None:
        return {}
    try:
        body = json.loads(error.response.text())
    except (ValueError, AzureError, AttributeError):
        return {}
    return body if isinstance(body, dict) and "error" in body and isinstance(body["error"], dict) else {}
