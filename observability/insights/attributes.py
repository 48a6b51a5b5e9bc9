"""Attributes of OpenTelemetry as plain values, without those that carry secrets, and who sent them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from observability.insights.tables import as_json

Attributes = dict[str, Any]
_SECRET = {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key"}
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Sender:
    """A process that sends: Application Insights' role and instance, and all that tells it from others."""

    role: str | None
    instance: str | None
    identity: str


def read_sender(resource: Resource) -> Sender:
    """The role is namespace and name with a dot between, as Azure's exporters write it."""
    attributes = read(resource.attributes)
    names = [str(attributes[name]) for name in ("service.namespace", "service.name") if attributes.get(name)]
    instance = attributes.get("service.instance.id") or attributes.get("host.name")
    return Sender(
        role=".".join(names) or None,
        instance=None if instance is None else str(instance),
        identity=as_json(sorted(attributes.items())),
    )


def read(pairs: Iterable[KeyValue]) -> Attributes:
    """Attributes by name; what carries keys or cookies is left out, so that it is never stored."""
    found: Attributes = {}
    for pair in pairs:
        name = pair.key
        if not _is_secret(name):
            found[name] = value_of(pair.value)
    return found


def value_of(value: AnyValue) -> Any:
    """A value that JSON can hold; bytes become base64."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    plain = getattr(value, kind)
    if kind == "array_value":
        return [value_of(item) for item in plain.values]
    if kind == "kvlist_value":
        return read(plain.values)
    return base64.b64encode(plain).decode() if kind == "bytes_value" else plain


def text(value: Any) -> str | None:
    """A value for a column of text."""
    return value if value is None or isinstance(value, str) else as_json(value)


def first(attributes: Attributes, *names: str) -> Any:
    """The first attribute that is there: the stable name, then what older senders call it."""
    for name in names:
        if (value := attributes.get(name)) is not None:
            return value
    return None


def item_count(attributes: Attributes) -> int:
    """How many items a sampled one stands for: the inverse of the share that the sender kept."""
    percent = attributes.get("_MS.sampleRate")  # Azure's name
    if not isinstance(percent, int | float) or not 0 < percent <= 100:
        return 1
    return min(round(100 / percent), _MOST)


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return name.lower().rpartition(".")[2].replace("_", "-") in _SECRET
