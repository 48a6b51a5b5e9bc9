"""`/swagger.json` for Azure's clients: Swagger 2.0, OpenAPI 3.0.3 and 3.1, with the model's own columns.

Enums and ranges are what training saw. The endpoint scores values outside of them too, so they tell
a client what the model knows, not what is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from bundle import Column, Manifest

Version = Literal["2", "3", "3.1"]
VERSIONS: tuple[Version, ...] = ("2", "3", "3.1")
MAX_ENUM = 100

Schema = dict[str, Any]


def document(manifest: Manifest | None, version: Version, host: str, scheme: str) -> Schema:
    """The whole document, with Azure's operation names. Without a manifest rows are plain objects."""
    info = {
        "title": manifest.name if manifest else "homeport",
        "version": manifest.version if manifest else "0",
        "description": _description(manifest),
    }
    definitions = schemas(manifest, version)
    if version == "2":
        return {
            "swagger": "2.0",
            "info": info,
            "host": host,
            "schemes": [scheme],
            "basePath": "/",
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "securityDefinitions": {
                "Bearer": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "The word Bearer, a space, and one of the endpoint's keys.",
                }
            },
            "paths": paths(manifest, version),
            "definitions": definitions,
        }
    return {
        "openapi": "3.0.3" if version == "3" else "3.1.0",
        "info": info,
        "servers": [{"url": f"{scheme}://{host}"}],
        "paths": paths(manifest, version),
        "components": {"schemas": definitions, "securitySchemes": SECURITY_SCHEMES},
    }


SECURITY_SCHEMES: Schema = {
    "Bearer": {"type": "http", "scheme": "bearer", "description": "One of the endpoint's keys."}
}


def paths(manifest: Manifest | None, version: Version) -> Schema:
    """The two operations of an Azure service."""
    health = _operation("ServiceHealthCheck", "Says that the service is up.", "service")
    health["responses"] = {"200": _answer("The service is up.", {"type": "string"}, version, "text/plain", "Healthy")}
    health.pop("security")
    if version == "2":
        health["produces"] = ["text/plain"]
    score = _operation("RunMLService", "Scores rows.", "scoring")
    example = _example(manifest)
    if version == "2":
        body = {"name": "body", "in": "body", "required": True, "schema": _ref("Request", version)}
        score["parameters"] = [body]
    else:
        content = {"schema": _ref("Request", version)}
        content |= {"example": example} if version == "3" else {"examples": {"rows": {"value": example}}}
        score["requestBody"] = {"required": True, "content": {"application/json": content}}
    answers = {
        "200": _answer("The labels, or what the method asks for, row by row.", _ref("Response", version), version)
    }
    for status, text in (
        ("400", "A row is wrong; the message names row, column, value and what is expected."),
        ("401", "The key is missing or wrong."),
        ("413", "The body is too large."),
        ("415", "The body is not declared as application/json."),
        ("422", "The request has too many rows."),
        ("429", "Too many requests are under way; Retry-After says when to come back."),
        ("503", "There is no model to score with yet."),
        ("504", "The time to answer was up."),
    ):
        answers[status] = _answer(text, _ref("Error", version), version)
    score["responses"] = answers
    return {"/": {"get": health}, "/score": {"post": score}}


def schemas(manifest: Manifest | None, version: Version) -> Schema:
    """The schemas of a row, a request, an answer and an error."""
    columns = manifest.columns if manifest else ()
    row: Schema = {
        "type": "object",
        "properties": {column.name: _property(column, version) for column in columns},
        "additionalProperties": manifest is None,
    }
    required = [column.name for column in columns if column.required]
    if required:
        row["required"] = required
    row["example"] = {column.name: column.example for column in columns}
    request: Schema = {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {"type": "array", "items": _ref("Row", version), "description": "The rows to score."},
            "method": {"type": "string", "enum": ["predict", "predict_proba"], "default": "predict"},
        },
        "additionalProperties": False,
        "example": _example(manifest),
    }
    result: Schema = {"type": "array", "items": _label(manifest, version)}
    response = {"type": "object", "required": ["result"], "properties": {"result": result}}
    error = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}
    found = {"Row": row, "Request": request, "Response": response, "Error": error}
    if version == "3.1":  # there `example` gave way to JSON Schema's own word
        for schema in (row, request):
            schema["examples"] = [schema.pop("example")]
    return found


def _description(manifest: Manifest | None) -> str:
    if manifest is None:
        return "No model is served yet."
    quality = ", ".join(f"{name} {manifest.metrics[name]:,.4f}" for name in manifest.headline[:3])
    classes = f" Classes: {', '.join(map(str, manifest.classes))}." if manifest.classes else ""
    return f"Predicts {manifest.target} ({manifest.task}).{classes} On test rows: {quality}."


def _example(manifest: Manifest | None) -> Schema:
    return {"data": [{column.name: column.example for column in manifest.columns}] if manifest else []}


def _operation(name: str, summary: str, tag: str) -> Schema:
    return {"operationId": name, "summary": summary, "tags": [tag], "security": [{"Bearer": []}]}


def _ref(name: str, version: Version) -> Schema:
    return {"$ref": f"#/definitions/{name}" if version == "2" else f"#/components/schemas/{name}"}


def _answer(
    text: str, schema: Schema, version: Version, media: str = "application/json", example: object = None
) -> Schema:
    if version == "2":
        return {"description": text, "schema": schema, **({"examples": {media: example}} if example else {})}
    return {"description": text, "content": {media: {"schema": schema}}}


def _property(column: Column, version: Version) -> Schema:
    schema: Schema = {
        "type": {"number": "integer" if column.integer else "number", "boolean": "boolean"}.get(column.kind, "string")
    }
    notes = []
    if column.kind == "number":
        schema |= {"minimum": _plain(column.minimum, column), "maximum": _plain(column.maximum, column)}
        notes.append("The range is that of training; other values are scored too.")
    if column.kind == "category":
        if len(column.categories) <= MAX_ENUM:
            schema["enum"] = sorted(column.categories)
            notes.append("The values are those of training; others are scored as unseen.")
        else:
            notes.append(f"{len(column.categories)} categories, such as {', '.join(column.categories[:5])}.")
    if not column.required:
        notes.append(f"Missing in {column.missing_share:.1%} of the training rows; may be left out.")
    schema["description"] = " ".join(notes) or "True or false."
    return _nullable(schema, version) | (
        {"examples": [column.example]} if version == "3.1" else {"example": column.example}
    )


def _plain(value: float | None, column: Column) -> float | int | None:
    return int(value) if value is not None and column.integer else value


def _nullable(schema: Schema, version: Version) -> Schema:
    """Null is a missing value in any column; each version says so in its own way."""
    if version == "2":
        return schema | {"x-nullable": True}
    null: Schema = {"nullable": True} if version == "3" else {"type": [schema["type"], "null"]}
    schema = schema | null
    return schema | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def _label(manifest: Manifest | None, version: Version) -> Schema:
    if manifest is None:
        return {}
    if manifest.regression:
        label: Schema = {"type": "number"}
    else:
        label = {"type": _json_type(manifest.classes), "enum": list(manifest.classes)}
    if version == "2" or manifest.regression:  # Swagger 2.0 has no oneOf: it describes the default method
        return label
    return {"oneOf": [label, {"type": "array", "items": {"type": "number"}, "description": "With predict_proba."}]}


def _json_type(classes: Sequence[object]) -> str:
    kind = type(classes[0])
    return {bool: "boolean", int: "integer"}.get(kind, "string")
