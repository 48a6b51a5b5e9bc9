"""Azure's what-if in a few lines a resource, without the secrets that it echoes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from azure.mgmt.resource.deployments.models import WhatIfChange

from deploy.redact import Redactor
from deploy.target import Change

_KINDS = {
    "Create": "create", "Delete": "delete", "Modify": "modify", "NoChange": "no change", "Deploy": "modify",
    "Unsupported": "unknown",
}  # fmt: skip
_LONGEST = 160


def as_changes(found: Sequence[WhatIfChange], redactor: Redactor) -> list[Change]:
    """The changes, but for resources that are not the deployment's."""
    changes = []
    for one in found:
        kind = _KINDS.get(one.change_type)
        if kind:
            raw = one.as_dict()
            details = list(_lines(raw.get("delta") or [], "", redactor)) if kind == "modify" else []
            if kind == "unknown":
                details = [redactor.text(str(one.unsupported_reason or "Azure cannot tell before it is done"))]
            changes.append(Change(kind, short(str(one.resource_id or "")), details))
    return changes


def short(resource: str) -> str:
    """A resource as people name it: type and name."""
    kind, _, name = resource.rpartition("/providers/")[2].partition("/")
    parts = name.split("/")
    if len(parts) < 2:
        return resource.rpartition("/")[2] or resource
    return f"{kind}/{'/'.join(parts[::2])} {'/'.join(parts[1::2])}"


def _lines(delta: list[dict[str, Any]], above: str, redactor: Redactor) -> Iterator[str]:
    for one in delta:
        path = f"{above}.{one['path']}".lstrip(".")
        if one.get("children"):
            yield from _lines(one["children"], path, redactor)
        elif one.get("propertyChangeType") != "NoEffect":
            before, after = (_shown(one.get(side), path, redactor) for side in ("before", "after"))
            yield f"{path}: {before} → {after}"


def _shown(value: Any, path: str, redactor: Redactor) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(redactor.value(value, path), ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
