"""The description for every kind of model, without a server."""

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from serving import swagger
from tests.conftest import MODEL

VALIDATORS = {"2": OpenAPIV2SpecValidator, "3": OpenAPIV30SpecValidator, "3.1": OpenAPIV31SpecValidator}


def row_schema(document):
    return document["components"]["schemas"]["Row"]


@pytest.mark.parametrize("version", VALIDATORS)
@pytest.mark.parametrize(
    "change",
    [
        {"task": "regression", "classes": (), "positive_class": None},
        {"task": "multiclass", "classes": (1, 2, 30), "positive_class": None},
        {"classes": (False, True), "positive_class": True},
    ],
    ids=["regression", "multiclass", "boolean"],
)
def test_it_is_valid_for_every_task(shop_store, version, change):
    manifest = msgspec.structs.replace(shop_store.manifest(MODEL, "1"), **change)
    document = swagger.document(manifest, version, "127.0.0.1:8000", "http")
    VALIDATORS[version](document).validate()


@pytest.mark.parametrize("version", VALIDATORS)
def test_it_is_valid_without_a_model(version):
    VALIDATORS[version](swagger.document(None, version, "127.0.0.1:8000", "http")).validate()


def test_many_categories_are_described_instead_of_listed(shop_store):
    manifest = shop_store.manifest(MODEL, "1")
    many = tuple(f"town {number}" for number in range(200))
    columns = tuple(
        msgspec.structs.replace(column, categories=many) if column.name == "colour" else column
        for column in manifest.columns
    )
    document = swagger.document(msgspec.structs.replace(manifest, columns=columns), "3.1", "", "")
    colour = row_schema(document)["properties"]["colour"]
    assert "enum" not in colour
    assert "200 categories" in colour["description"]
