"""What Azure Resource Manager makes of a template: its expressions evaluated, as far as ours use them.

After https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(-?\d+)|([A-Za-z_]\w*)|([().,\[\]]))")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "securestring": str, "int": int, "bool": bool, "object": dict, "array": list,
}  # fmt: skip


class TemplateError(Exception):
    """What Azure would not accept; `code` is its own word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Evaluated:
    """One template with parameters, in one resource group.

    `reference` and `list_keys` give the state of a resource by its id, as the functions of these names.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Any],
        group: str,
        reference: Callable[[str], Any],
        list_keys: Callable[[str], Any],
    ) -> None:
        self._template, self._group, self._reference, self._list_keys = template, group, reference, list_keys
        self.parameters = self._checked(parameters)

    @property
    def secure(self) -> set[str]:
        """Names of the parameters that Azure tells nobody."""
        return {name for name, one in self._template["parameters"].items() if one["type"].startswith("secure")}

    def resources(self) -> list[dict[str, Any]]:
        """Those that are wanted, without conditions, each with its `id`, in the order in which they can be made."""
        found = []
        for resource in self._template["resources"]:
            if self.value(resource.get("condition", True)):
                body = {name: value for name, value in resource.items() if name not in ("condition", "dependsOn")}
                found.append((resource, body))
        return [self._made(resource, body) for resource, body in found]

    def outputs(self) -> dict[str, Any]:
        """As a finished deployment shows them."""
        given = self._template.get("outputs", {})
        return {name: {"type": one["type"], "value": self.value(one["value"])} for name, one in given.items()}

    def value(self, value: Any) -> Any:
        """A JSON value with its expressions evaluated."""
        if isinstance(value, dict):
            return {self.value(name): self.value(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.value(part) for part in value]
        if isinstance(value, str) and value.startswith("[") and not value.startswith("[["):
            return self.expression(value[1:-1])
        return value

    def expression(self, text: str) -> Any:
        """An expression without its brackets."""
        tokens, rest = [], text.strip()
        while rest:
            found = _TOKEN.match(rest)
            if found is None:
                raise TemplateError("InvalidTemplate", f"'{text}' is no expression at '{rest}'.")
            tokens.append(found.groups())
            rest = rest[found.end() :].strip()
        node, end = _parsed(tokens, 0)
        if end != len(tokens):
            raise TemplateError("InvalidTemplate", f"'{text}' goes on after its end.")
        return self._evaluated(node)

    def _made(self, resource: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self.value(body)
        parts, names = made["type"].split("/"), made["name"].split("/")
        if len(parts) != len(names) + 1:
            raise TemplateError("InvalidTemplate", f"The name '{made['name']}' does not fit its type {made['type']}.")
        path = "/".join(f"{kind}/{name}" for kind, name in zip(parts[1:], names, strict=True))
        within = made.pop("scope", self._group)
        return made | {"id": f"{within}/providers/{parts[0]}/{path}"}

    def _checked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        declared = self._template["parameters"]
        if unknown := sorted(set(parameters) - set(declared)):
            raise TemplateError("InvalidTemplate", f"The parameters {unknown} are not in the template.")
        given = {}
        for name, one in declared.items():
            if name not in parameters and "defaultValue" not in one:
                raise TemplateError("InvalidTemplate", f"The value for the parameter '{name}' is not provided.")
            value = parameters[name]["value"] if name in parameters else one["defaultValue"]
            kind = _TYPES[one["type"]]
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise TemplateError("InvalidTemplate", f"The parameter '{name}' is no {one['type']}.")
            if isinstance(value, str) and not one.get("minLength", 0) <= len(value) <= one.get("maxLength", 1 << 20):
                raise TemplateError("InvalidTemplate", f"The length of the parameter '{name}' is wrong.")
            given[name] = value
        return given

    def _evaluated(self, node: Any) -> Any:
        kind = node[0]
        if kind == "value":
            return node[1]
        if kind == "member":
            return self._evaluated(node[1])[node[2]]
        if kind == "index":
            return self._evaluated(node[1])[self._evaluated(node[2])]
        _, name, arguments = node
        if name == "if":
            return self._evaluated(arguments[1 if self._evaluated(arguments[0]) else 2])
        function = getattr(self, f"_f_{name.lower()}", None)
        if function is None:
            raise TemplateError("InvalidTemplate", f"There is no function {name}.")
        return function(*map(self._evaluated, arguments))

    def _f_parameters(self, name: str) -> Any:
        return self.parameters[name]

    def _f_variables(self, name: str) -> Any:
        return self.value(self._template["variables"][name])

    def _f_concat(self, *parts: Any) -> Any:
        if all(isinstance(part, list) for part in parts):
            return [one for part in parts for one in part]
        return "".join(parts)

    def _f_string(self, value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    def _f_json(self, text: str) -> Any:
        return json.loads(text)

    def _f_createarray(self, *parts: Any) -> list[Any]:
        return list(parts)

    def _f_createobject(self, *parts: Any) -> dict[str, Any]:
        return dict(zip(parts[::2], parts[1::2], strict=True))

    def _f_union(self, *parts: dict[str, Any]) -> dict[str, Any]:
        return {name: value for part in parts for name, value in part.items()}

    def _f_resourcegroup(self) -> dict[str, str]:
        return {"id": self._group}

    def _f_resourceid(self, kind: str, *names: str) -> str:
        space, *kinds = kind.split("/")
        path = "/".join(f"{one}/{name}" for one, name in zip(kinds, names, strict=True))
        return f"{self._group}/providers/{space}/{path}"

    def _f_subscriptionresourceid(self, kind: str, name: str) -> str:
        return f"{self._group.partition('/resourceGroups')[0]}/providers/{kind}/{name}"

    def _f_guid(self, *parts: str) -> str:
        return str(UUID(hashlib.md5("-".join(parts).encode(), usedforsecurity=False).hexdigest()))

    def _f_uniquestring(self, *parts: str) -> str:
        return hashlib.sha256("-".join(parts).encode()).hexdigest()[:13]

    def _f_reference(self, resource: str, _api: str = "") -> Any:
        return self._reference(resource)

    def _f_listkeys(self, resource: str, _api: str) -> Any:
        return self._list_keys(resource)


def _parsed(tokens: list[tuple[str, ...]], at: int) -> tuple[Any, int]:
    """The node that begins at a token, and the token after it."""
    text, number, name, _ = tokens[at]
    at += 1
    node: Any
    if text is not None:
        node = ("value", text.replace("''", "'"))
    elif number is not None:
        node = ("value", int(number))
    elif name is not None:
        if name in ("true", "false"):
            node = ("value", name == "true")
        else:
            arguments = []
            if tokens[at][3] != "(":
                raise TemplateError("InvalidTemplate", f"{name} is called without parentheses.")
            at += 1
            while tokens[at][3] != ")":
                argument, at = _parsed(tokens, at)
                arguments.append(argument)
                if tokens[at][3] == ",":
                    at += 1
            node, at = ("call", name, arguments), at + 1
    else:
        raise TemplateError("InvalidTemplate", f"There is a sign too much: {tokens[at - 1]}.")
    while at < len(tokens) and tokens[at][3] in (".", "["):
        if tokens[at][3] == ".":
            node, at = ("member", node, tokens[at + 1][2]), at + 2
        else:
            index, end = _parsed(tokens, at + 1)
            node, at = ("index", node, index), end + 1
    return node, at
