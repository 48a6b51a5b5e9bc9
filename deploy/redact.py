"""Secrets taken out of what is shown: by the names of their fields, and wherever they stand in a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

HIDDEN = "***"
_FIELDS = frozenset(
    {"securevalue", "storageaccountkey", "connectionstring", "instrumentationkey", "password", "secret"}
)


class Redactor:
    """Hides what it was told of, and every field that by its name holds a secret.

    >>> Redactor(["s3cret"]).text("the key is s3cret")
    'the key is ***'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """A text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def value(self, value: Any, field: str = "") -> Any:
        """A JSON value without secrets; `field` is the name it has."""
        if value is not None and field.rpartition(".")[2].lower() in _FIELDS:
            return HIDDEN
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(part, str(name)) for name, part in value.items()}
        if isinstance(value, list):
            return [self.value(part, field) for part in value]
        return self.text(value) if isinstance(value, str) else value
