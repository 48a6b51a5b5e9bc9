"""Azure's errors in words for the person at the terminal: what it refused, and what to do."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from deploy.errors import DeployError, NotLoggedIn, TargetRefused, TargetUnreachable

LOGIN = (
    "Log in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of a service principal "
    "(docs/azure.md)."
)
_REMEDIES: list[dict[str, str]] = tomllib.loads(
    resources.files("deploy.azure").joinpath("remedies.toml").read_text(encoding="utf-8")
)["remedy"]


@dataclass(frozen=True)
class Failure:
    """One error as Azure tells it."""

    code: str
    message: str

    @property
    def said(self) -> str:
        """The message on one line, with the code."""
        line = re.sub(r"\s+", " ", self.message).strip()[:600]
        return f"{line} ({self.code})."

    def remedy(self) -> str | None:
        """What to do, if it is one of the usual ones."""
        for one in _REMEDIES:
            if re.search(one.get("code", ""), self.code) and re.search(
                one.get("message", ""), self.message, re.IGNORECASE | re.DOTALL
            ):
                return one["say"]
        return None

    def refusal(self, what: str) -> TargetRefused:
        """The same as an error of ours."""
        remedy = self.remedy()
        return TargetRefused(f"{what}: {self.said}{f' {remedy}' if remedy else ''}", self.code)


def failures(error: Any) -> list[Failure]:
    """The innermost errors of one, which Azure wraps in several of no content."""
    if not isinstance(error, dict):
        return []
    error = error.get("error", error)
    message = str(error.get("message") or "")
    inner = [found for detail in error.get("details") or [] for found in failures(detail)]
    if message.lstrip().startswith("{"):  # some of Azure's services put one more document into the text
        with suppress(ValueError):
            inner += failures(json.loads(message))
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
        if error.status_code == 401:  # the login was good before, or is for somewhere else
            found = most_telling(body)
            raise NotLoggedIn(f"{what}: {found.said} {found.remedy() or LOGIN}") from error
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
