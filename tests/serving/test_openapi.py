"""The OpenAPI document of every kind of model: valid, and its examples work as they are."""

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

SCORING = [
    "/score",
    "/explain",
    "/invocations",
    "/v2/models/{name}/infer",
    "/v2/models/{name}/versions/{version}/infer",
]


@pytest.fixture
def document(served):
    return served.client.get("/openapi.json").json()


def valid(document, schema, value):
    OAS31Validator(schema | {"components": document["components"]}).validate(value)


def test_it_is_valid(document):
    OpenAPIV31SpecValidator(document).validate()
    assert not [name for name in document["components"]["schemas"] if name.endswith("ValidationError")]
    names = [operation.get("operationId") for path in document["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", SCORING)
def test_each_example_is_valid_and_its_answer_is_too(served, document, path):
    operation = document["paths"][path]["post"]
    real = path
    for parameter in operation.get("parameters", ()):
        (value,) = parameter["schema"]["enum"]
        real = real.replace(f"{{{parameter['name']}}}", value)
    answers = operation["responses"]
    for media, content in operation["requestBody"]["content"].items():
        for example in (
            [item["value"] for item in content["examples"].values()] if "examples" in content else [content["example"]]
        ):
            valid(document, content["schema"], example)
            sent = {"json": example} if media == "application/json" else {"content": example}
            answer = served.client.post(real, **sent, headers={"Content-Type": media})
            assert answer.status_code == 200, answer.text
            valid(document, answers["200"]["content"]["application/json"]["schema"], answer.json())
    refused = served.client.post(real, json={"wrong": 1})
    valid(document, answers[str(refused.status_code)]["content"]["application/json"]["schema"], refused.json())


def test_paths_name_the_served_model(served, document):
    for path, operations in document["paths"].items():
        if "{name}" in path and "get" in operations:
            real = path.format(name=served.manifest.name, version=served.manifest.version)
            assert served.client.get(real).status_code == 200
            for parameter in operations["get"]["parameters"]:
                assert parameter["schema"]["enum"] in ([served.manifest.name], [served.manifest.version])
