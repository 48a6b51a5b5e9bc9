"""What each resource of ours may hold, strictly: a name that is not there is a typing error, a wrong type too.

After https://learn.microsoft.com/azure/templates, for the versions that the templates name. Azure's own schemas take
misspelt names, and no memory with a fraction.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]


def _object(required: str = "", **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _text(pattern: str = ".") -> Schema:
    return {"type": "string", "pattern": pattern}


def _list(of: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": of, "minItems": least}


_TAGS: Schema = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 256}, "maxProperties": 50}
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_PROTOCOL: Schema = {"enum": ["TCP", "UDP"]}
_VARIABLE: Schema = {
    "oneOf": [
        _object("name value", name=_text("^[A-Za-z_][A-Za-z0-9_]*$"), value={"type": "string"}),
        _object("name secureValue", name=_text("^[A-Za-z_][A-Za-z0-9_]*$"), secureValue=_text()),
    ]
}
_PROBE = _object(
    "httpGet",
    httpGet=_object("path port", path=_text("^/"), port=_PORT, scheme={"enum": ["http", "https"]}),
    initialDelaySeconds={"type": "integer", "minimum": 0},
    periodSeconds={"type": "integer", "minimum": 1},
    timeoutSeconds={"type": "integer", "minimum": 1},
    failureThreshold={"type": "integer", "minimum": 1},
    successThreshold={"type": "integer", "minimum": 1},
)
_CONTAINER = _object(
    "name properties",
    name=_text("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"),
    properties=_object(
        "image resources",
        image=_text(r"^[^\s@]+(@sha256:[0-9a-f]{64}|:[\w.-]+)$"),
        command=_list(_text(), 1),
        ports=_list(_object("port", port=_PORT, protocol=_PROTOCOL)),
        environmentVariables=_list(_VARIABLE),
        resources=_object(
            "requests",
            requests=_object(
                "cpu memoryInGB",
                cpu={"type": "number", "exclusiveMinimum": 0, "maximum": 4},
                memoryInGB={"type": "number", "exclusiveMinimum": 0, "maximum": 16},
            ),
        ),
        volumeMounts=_list(
            _object("name mountPath", name=_text(), mountPath=_text("^/[^:]*$"), readOnly={"type": "boolean"})
        ),
        livenessProbe=_PROBE,
        readinessProbe=_PROBE,
    ),
)
_PROPERTIES = {
    "Microsoft.ContainerInstance/containerGroups": (
        "2025-09-01",
        _object(
            "osType containers restartPolicy ipAddress",
            sku={"enum": ["Standard", "Confidential"]},
            osType={"enum": ["Linux"]},
            restartPolicy={"enum": ["Always", "OnFailure", "Never"]},
            imageRegistryCredentials=_list(
                _object("server identity", server=_text("^[^/]+$"), identity=_text("^/subscriptions/")), 1
            ),
            ipAddress=_object(
                "type ports",
                type={"enum": ["Public", "Private"]},
                dnsNameLabel=_text("^[a-z][a-z0-9-]{3,61}[a-z0-9]$"),
                ports=_list(_object("port", port=_PORT, protocol=_PROTOCOL), 1),
            ),
            containers=_list(_CONTAINER, 1),
            volumes=_list(
                _object(
                    "name azureFile",
                    name=_text(),
                    azureFile=_object(
                        "shareName storageAccountName storageAccountKey",
                        shareName=_text(), storageAccountName=_text(), storageAccountKey=_text(),
                    ),
                )
            ),
        ),
    ),
    "Microsoft.ContainerRegistry/registries": ("2023-07-01", _object(adminUserEnabled={"const": False})),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("2023-01-31", None),
    "Microsoft.Authorization/roleAssignments": (
        "2022-04-01",
        _object(
            "roleDefinitionId principalId principalType",
            roleDefinitionId=_text("/roleDefinitions/[0-9a-f-]{36}$"),
            principalId=_text("^[0-9a-f-]{36}$"),
            principalType={"const": "ServicePrincipal"},
        ),
    ),
    "Microsoft.OperationalInsights/workspaces": (
        "2023-09-01",
        _object(
            "sku", sku=_object("name", name={"const": "PerGB2018"}), retentionInDays={"type": "integer", "minimum": 30}
        ),
    ),
    "Microsoft.Insights/components": (
        "2020-02-02",
        _object(
            "Application_Type IngestionMode WorkspaceResourceId",
            Application_Type={"const": "web"},
            IngestionMode={"const": "LogAnalytics"},
            WorkspaceResourceId=_text("^/subscriptions/.*/workspaces/"),
        ),
    ),
    "Microsoft.Storage/storageAccounts": (
        "2023-05-01",
        _object(
            minimumTlsVersion={"enum": ["TLS1_2"]},
            allowBlobPublicAccess={"const": False},
            supportsHttpsTrafficOnly={"const": True},
        ),
    ),
    "Microsoft.Storage/storageAccounts/fileServices/shares": (
        "2023-05-01", _object(shareQuota={"type": "integer", "minimum": 1})
    ),
}  # fmt: skip
_FURTHER: dict[str, dict[str, Schema]] = {
    "Microsoft.ContainerInstance/containerGroups": {
        "identity": _object(
            "type userAssignedIdentities",
            type={"const": "UserAssigned"},
            userAssignedIdentities={
                "type": "object",
                "propertyNames": _text("^/subscriptions/.*/userAssignedIdentities/[^/]+$"),
                "additionalProperties": _object(),
                "minProperties": 1,
            },
        )
    },
    "Microsoft.ContainerRegistry/registries": {"sku": _object("name", name={"const": "Basic"})},
    "Microsoft.Insights/components": {"kind": {"const": "web"}},
    "Microsoft.Storage/storageAccounts": {
        "kind": {"const": "StorageV2"}, "sku": _object("name", name={"const": "Standard_LRS"})
    },
}  # fmt: skip
_WITHOUT_PLACE = ("Microsoft.Authorization/roleAssignments", "Microsoft.Storage/storageAccounts/fileServices/shares")


def faults(resource: dict[str, Any]) -> list[str]:
    """What is wrong with a resource as a template gives it, in words; empty if nothing is."""
    kind = resource["type"]
    if kind not in _PROPERTIES:
        return [f"{kind} is of an unknown type"]
    api, properties = _PROPERTIES[kind]
    fields: dict[str, Schema] = {
        "type": {"const": kind}, "apiVersion": {"const": api}, "name": _text(), "id": _text("^/subscriptions/"),
        **_FURTHER.get(kind, {}),
    }  # fmt: skip
    required = "type apiVersion name id"
    if properties is not None:
        fields["properties"] = properties
        required += " properties"
    if kind not in _WITHOUT_PLACE:
        fields |= {"location": _text("^[a-z0-9]+$"), "tags": _TAGS}
        required += " location tags"
    checked = Draft202012Validator(_object(required + " " + " ".join(_FURTHER.get(kind, {})), **fields))
    return [f"{kind} {'.'.join(map(str, one.path))}: {one.message}" for one in checked.iter_errors(resource)]
