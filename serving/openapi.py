"""`/openapi.json`, which `/docs` shows: all paths, with the model's own columns.

FastAPI describes the paths that it answers itself; the scoring paths never come to it and are described
here, but for `/score`, which is as in `serving.swagger`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from bundle import Manifest
from serving import oip, swagger
from serving.report import PATH, REPORT
from serving.swagger import Schema

_TEXT: Schema = {"type": "string"}
_PARAMETERS: Schema = {"type": ["object", "null"]}
_BASIC: Schema = {
    "Basic": {"type": "http", "scheme": "basic", "description": "For browsers: a key as the password, any user name."}
}
_REFUSALS = {
    "400": "The rows cannot be scored; the message says which part and what is expected.",
    "401": "The key is missing or wrong.",
    "413": "The body is too large.",
    "415": "The body is declared as something that is not read here.",
    "422": "The request has too many rows.",
    "429": "Too many requests are under way; Retry-After says when to come back.",
    "503": "There is no model to score with yet.",
    "504": "The time to answer was up.",
}


def document(routes: Sequence[BaseRoute], manifest: Manifest | None) -> Schema:
    """The whole document; `routes` are FastAPI's."""
    title, version = (manifest.name, manifest.version) if manifest else ("Homeport", "0")
    described = get_openapi(title=title, version=version, routes=routes)
    for operations in described["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # FastAPI's, of parameters: here they are texts, and all fit
    own = swagger.document(manifest, "3.1", "", "")
    described["info"]["description"] = own["info"]["description"]
    if manifest and REPORT in manifest.files:
        described["info"]["description"] += f" [Its report]({PATH}), which asks for a key."
    described["paths"] = {"/score": own["paths"]["/score"], **_paths(manifest), **described["paths"]}
    _name_the_model(described["paths"], manifest)
    described["components"] = {
        "schemas": own["components"]["schemas"] | _schemas(manifest),
        "securitySchemes": swagger.SECURITY_SCHEMES | _BASIC,
    }
    return described


def _paths(manifest: Manifest | None) -> Schema:
    """The operations of these dialects, with examples that work."""
    columns = manifest.columns if manifest else ()
    row = {column.name: column.example for column in columns}
    tensors = [
        {"name": column.name, "shape": [1], "datatype": oip.NATURAL[column.kind], "data": [column.example]}
        for column in columns
    ]
    infer = _operation("Scores rows, a tensor for each column.", "open inference protocol", "Inference")
    infer["requestBody"] = _body("InferenceRequest", {"tensors": {"inputs": tensors}})
    invocations = _operation("Scores rows in the formats of MLflow.", "mlflow", "Invocations")
    invocations["requestBody"] = _body(
        "InvocationsRequest",
        {
            "dataframe_split": {"dataframe_split": {"columns": [*row], "data": [[*row.values()]]}},
            "dataframe_records": {"dataframe_records": [row], "params": {"method": "predict"}},
            "instances": {"instances": [[*row.values()]]},
            "inputs": {"inputs": [row]},
        },
    )
    invocations["requestBody"]["content"]["text/csv"] = {"schema": _TEXT, "example": _csv(row)}
    explain = _operation("Says which column moved the answer to each row how far.", "scoring", "Explanation")
    explain["requestBody"] = _body("ExplanationRequest", {"rows": {"data": [row] if row else []}})
    explain["responses"]["501"] = _answer("The bundle has no background rows.", "ExplanationError")
    name, version = _in_path("name"), _in_path("version")
    return {
        "/explain": {"post": explain | {"operationId": "Explain"}},
        "/v2/models/{name}/infer": {"post": infer | {"operationId": "Infer", "parameters": [name]}},
        "/v2/models/{name}/versions/{version}/infer": {
            "post": infer | {"operationId": "InferVersion", "parameters": [name, version]}
        },
        "/invocations": {"post": invocations | {"operationId": "Invocations"}},
    }


def _schemas(manifest: Manifest | None) -> Schema:
    """The schemas of their requests, answers and errors."""
    columns = swagger.schemas(manifest, "3.1")["Row"]["properties"]
    label: Schema = {"enum": [*manifest.classes, None]} if manifest else {}
    number: Schema = {"type": "number"}
    moved = _object(dict.fromkeys(columns, number)) | {"description": "The largest first."}
    explained = {"output": _TEXT, "class": label, "prediction": number, "base": number, "contributions": moved}
    tensor = {
        "name": _TEXT | ({"enum": [*columns]} if columns else {}),
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"enum": [*oip.DATATYPES]},
    }
    data: Schema = {"type": "array", "description": "Flat, or nested as the shape says; null is missing."}
    wanted = _object({"name": _TEXT}, parameters=_PARAMETERS)
    answered = _object(tensor | {"name": _TEXT}, data={"type": "array"}, parameters=_PARAMETERS)
    return {
        "ExplanationRequest": _object({"data": _list(_ref("Row"))}, **{"class": label}),
        "ExplanationResponse": _object({"model": _TEXT, "version": _TEXT, "rows": _list(_object(explained))}),
        "ExplanationError": _object({"message": _TEXT}),
        "InferenceRequest": _object(
            {"inputs": _list(_object(tensor, data=data, parameters=_PARAMETERS))},
            id=_TEXT,
            outputs=_list(wanted),
            parameters=_PARAMETERS,
        ),
        "InferenceResponse": _object(
            {"model_name": _TEXT, "model_version": _TEXT, "outputs": _list(answered)}, id=_TEXT
        ),
        "InferenceError": _object({"error": _TEXT}),
        "InvocationsRequest": _invocations(columns),
        "InvocationsResponse": _object({"predictions": {"type": "array"}}),
        "InvocationsError": _object({"error_code": _TEXT, "message": _TEXT}),
    }


def _name_the_model(paths: Schema, manifest: Manifest | None) -> None:
    """Let every path that names a model name the one that is served."""
    known = {"name": manifest.name, "version": manifest.version} if manifest else {}
    for operations in paths.values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] in known:
                    parameter["schema"] = _TEXT | {"enum": [known[parameter["name"]]]}


def _invocations(columns: Schema) -> Schema:
    rows = _list(_ref("Row"))
    values: Schema = {"type": "array", "minItems": len(columns), "maxItems": len(columns)}
    if columns:
        values["prefixItems"] = [*columns.values()]
    either = {"anyOf": [rows, _list(values)], "description": "Or an object of columns, each a list of its values."}
    formats: Schema = {
        "dataframe_split": _object({"columns": {"const": [*columns]}, "data": _list(values)}),
        "dataframe_records": rows,
        "instances": either,
        "inputs": either,
    }
    method = {"type": "string", "enum": ["predict", "predict_proba"], "default": "predict"}
    params = {"type": "object", "properties": {"method": method}, "additionalProperties": False}
    return {"oneOf": [_object({name: schema}, params=params) for name, schema in formats.items()]}


def _operation(summary: str, tag: str, schema: str) -> Schema:
    answers = {"200": _answer("The outputs, row by row.", f"{schema}Response")}
    answers |= {status: _answer(text, f"{schema}Error") for status, text in _REFUSALS.items()}
    return {"summary": summary, "tags": [tag], "security": [{"Bearer": []}], "responses": answers}


def _answer(text: str, schema: str) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": _ref(schema)}}}


def _body(schema: str, examples: dict[str, Any]) -> Schema:
    content = {
        "schema": _ref(schema),
        "examples": {name: {"value": value} for name, value in examples.items()},
    }
    return {"required": True, "content": {"application/json": content}}


def _ref(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def _in_path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _object(required: Schema, **optional: Schema) -> Schema:
    return {
        "type": "object",
        "required": [*required],
        "properties": required | optional,
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _csv(row: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(row)
    writer.writerow(row.values())
    return text.getvalue()
