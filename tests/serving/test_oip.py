"""`/v2` as clients of the Open Inference Protocol know it, against real servers."""

import json
import re

import numpy as np
import pytest

from tests.conftest import MODEL, serve
from tests.serving.conftest import NATURAL, binary, packed, tensors, unpacked

INFER = f"/v2/models/{MODEL}/infer"


@pytest.fixture(scope="module")
def manifest(shop_store):
    return shop_store.manifest(MODEL, "1")


@pytest.fixture(scope="module")
def shares(endpoint, complete_row):
    (shares,) = endpoint.client.post("/score", json={"data": [complete_row], "method": "predict_proba"}).json()[
        "result"
    ]
    return shares


def infer(endpoint, inputs, **fields):
    return endpoint.client.post(INFER, json={"inputs": inputs, **fields})


def changed(inputs, name, /, **fields):
    """The inputs with some fields of one of them changed; a field of ... is left out."""
    return [
        {field: value for field, value in (tensor | fields).items() if value is not ...}
        if tensor["name"] == name
        else tensor
        for tensor in inputs
    ]


def test_metadata_of_the_server(endpoint):
    answer = endpoint.client.get("/v2")
    assert answer.json() == {"name": "homeport", "version": "0.1.0", "extensions": ["binary_tensor_data"]}


def test_metadata_of_each_model(served):
    name, version = served.manifest.name, served.manifest.version
    answer = served.client.get(f"/v2/models/{name}").json()
    assert answer == served.client.get(f"/v2/models/{name}/versions/{version}").json()
    assert (answer["name"], answer["versions"], answer["platform"]) == (name, [version], "onnx_onnxv1")
    assert answer["inputs"] == [
        {"name": column.name, "datatype": NATURAL[column.kind], "shape": [-1, 1]} for column in served.manifest.columns
    ]
    classes = len(served.manifest.classes)
    labels = {"shop": "BYTES", "multiclass": "INT64", "binary": "BOOL"}
    assert answer["outputs"] == (
        [{"name": "value", "datatype": "FP64", "shape": [-1, 1]}]
        if served.manifest.regression
        else [
            {"name": "label", "datatype": labels[name], "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
        ]
    )


def test_outputs_are_those_of_the_metadata(served):
    row = {column.name: column.example for column in served.manifest.columns}
    outputs = served.client.get(f"/v2/models/{served.manifest.name}").json()["outputs"]
    answer = served.client.post(served.infer, json={"inputs": tensors(served.manifest, [row] * 3)}).json()
    found = [{"name": output["name"], "datatype": output["datatype"]} for output in answer["outputs"]]
    assert found == [{"name": output["name"], "datatype": output["datatype"]} for output in outputs]
    assert [output["shape"] for output in answer["outputs"]] == [[3, *output["shape"][1:]] for output in outputs]


def test_health_needs_no_key_and_metadata_does(endpoint):
    get = endpoint.anonymous.get
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"live": True, "ready": True}
    for path in (f"/v2/models/{MODEL}/ready", f"/v2/models/{MODEL}/versions/1/ready"):
        assert get(path).json() == {"name": MODEL, "ready": True}
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert endpoint.anonymous.head(path).status_code == 200
    wanted = endpoint.anonymous.post("/score").json()["message"]
    for path in ("/v2", f"/v2/models/{MODEL}", f"/v2/models/{MODEL}/versions/1", "/v2/models/other"):
        answer = get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json() == {"error": wanted}
    for path in (INFER, "/v2/models/other/infer"):
        answer = endpoint.anonymous.post(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json() == {"error": wanted}


@pytest.mark.parametrize("model", ["other", "other/versions/1", f"{MODEL}/versions/2", f"{MODEL}/versions/x"])
def test_another_model_is_not_found_and_what_is_served_is_named(endpoint, model):
    asked = model.replace("/versions/", " version ")
    expected = {"error": f"There is no model {asked} here. Served is {MODEL} version 1."}
    for answer in (
        endpoint.client.get(f"/v2/models/{model}"),
        endpoint.anonymous.get(f"/v2/models/{model}/ready"),
        endpoint.client.post(f"/v2/models/{model}/infer", content=b"anything"),
    ):
        assert (answer.status_code, answer.json()) == (404, expected)


def test_without_a_model(tmp_path):
    with serve(tmp_path, tmp_path / "nothing") as empty:
        assert empty.anonymous.get("/v2/health/live").status_code == 200
        reason = empty.anonymous.get("/health/ready").json()["reason"]
        ready = empty.anonymous.get("/v2/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"live": True, "ready": False, "error": reason})
        for answer in (
            empty.client.get("/v2/models/any"),
            empty.anonymous.get("/v2/models/any/ready"),
            empty.client.post("/v2/models/any/infer"),
            empty.client.post("/v2/models/any/versions/1/infer"),
        ):
            assert (answer.status_code, answer.json()) == (503, {"error": reason})
        assert empty.anonymous.post("/v2/models/any/infer").status_code == 401
        for path in ("/ping", "/health"):
            answer = empty.anonymous.get(path)
            assert answer.status_code == 503
            assert answer.json() == {"error_code": "TEMPORARILY_UNAVAILABLE", "message": reason}
        answer = empty.client.post("/invocations", json={"instances": []})
        assert (answer.status_code, answer.json()["message"]) == (503, reason)


@pytest.mark.parametrize("path", ["/v2", "/v2/health/ready", f"/v2/models/{MODEL}"])
def test_errors_of_the_other_paths_are_the_protocols_too(endpoint, path):
    refused = {"error": "The method is not allowed for the requested URL."}
    answer = endpoint.client.delete(path)
    assert (answer.status_code, answer.json()) == (405, refused)
    answer = endpoint.client.get(INFER)
    assert (answer.status_code, answer.json(), answer.headers["allow"]) == (405, refused, "POST, OPTIONS")
    assert endpoint.client.get("/v2/nowhere").json() == {"error": "Not Found"}


def test_the_answer_names_model_and_version_and_echoes_the_id(endpoint, manifest, complete_row, shares):
    inputs = tensors(manifest, [complete_row])
    answer = infer(endpoint, inputs, id="one of many", parameters={"priority": 1, "my own": "x"}).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (MODEL, "1", "one of many")
    assert answer["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [1], "data": [["no", "yes"][shares.index(max(shares))]]},
        {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": shares},
    ]
    assert "id" not in infer(endpoint, inputs).json()
    versioned = endpoint.client.post(f"/v2/models/{MODEL}/versions/1/infer", json={"inputs": inputs, "id": None})
    assert versioned.json()["outputs"] == answer["outputs"]


def test_the_names_of_the_portable_graph_any_order_and_the_body_of_kserves_client(endpoint, manifest, complete_row):
    expected = infer(endpoint, tensors(manifest, [complete_row])).json()["outputs"]
    names = {column.name: column.onnx_name for column in manifest.columns}
    assert "spend_total" in names.values()
    inputs = [tensor | {"name": names[tensor["name"]]} for tensor in tensors(manifest, [complete_row])]
    answer = infer(endpoint, inputs[::-1], model_name=MODEL, model_version="1", outputs=None, parameters=None)
    assert answer.json()["outputs"] == expected


def test_outputs_are_chosen(endpoint, manifest, complete_row):
    inputs = tensors(manifest, [complete_row])
    (label, probabilities) = infer(endpoint, inputs).json()["outputs"]
    wanted = [{"name": "probabilities", "parameters": {"other": 1}}, {"name": "label"}]
    assert infer(endpoint, inputs, outputs=wanted).json()["outputs"] == [probabilities, label]
    assert infer(endpoint, inputs, outputs=[{"name": "label"}]).json()["outputs"] == [label]
    assert infer(endpoint, inputs, outputs=[]).json()["outputs"] == [label, probabilities]


def test_missing_values_in_each_way(endpoint, manifest, complete_row):
    nothing = dict.fromkeys(complete_row)
    expected = endpoint.client.post("/score", json={"data": [nothing], "method": "predict_proba"}).json()["result"]
    assert unpacked(infer(endpoint, tensors(manifest, [nothing])))["probabilities"] == expected
    content, headers = binary(manifest, [nothing])
    assert unpacked(endpoint.client.post(INFER, content=content, headers=headers))["probabilities"] == expected
    empty = changed(tensors(manifest, [nothing]), "colour", data=[""])
    written = json.dumps({"inputs": empty}).replace("null", "NaN").encode()
    assert unpacked(endpoint.client.post(INFER, content=written))["probabilities"] == expected
    optional = [tensor for tensor in empty if tensor["name"] != "spend.total"]
    assert unpacked(infer(endpoint, optional))["probabilities"] == expected


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64", "UINT8", "INT16"])
def test_numbers_in_any_datatype(endpoint, manifest, complete_row, shares, datatype):
    assert complete_row["age"] < 127
    inputs = changed(tensors(manifest, [complete_row]), "age", datatype=datatype, data=[int(complete_row["age"])])
    assert unpacked(infer(endpoint, inputs))["probabilities"] == [shares]


def test_booleans_may_be_numbers(endpoint, manifest, complete_row, shares):
    value = complete_row["is member"]
    for datatype, sent in (("FP32", float(value)), ("UINT8", int(value)), ("BOOL", value)):
        inputs = changed(tensors(manifest, [complete_row]), "is member", datatype=datatype, data=[sent])
        assert unpacked(infer(endpoint, inputs))["probabilities"] == [shares]


def mixed(manifest, row, **parts):
    """A body where the named columns are binary, given as (datatype, bytes), and the others JSON."""
    inputs = tensors(manifest, [row])
    for name, (datatype, data) in parts.items():
        size = {"binary_data_size": len(data)}
        inputs = changed(inputs, name, datatype=datatype, data=..., parameters=size)
    head = json.dumps({"inputs": inputs}).encode()
    rest = b"".join(parts[tensor["name"]][1] for tensor in inputs if tensor["name"] in parts)
    return head + rest, {"Inference-Header-Content-Length": str(len(head))}


def test_some_inputs_and_some_outputs_in_binary(endpoint, manifest, complete_row, shares):
    row = complete_row | {"age": 40}
    content, headers = mixed(manifest, row, age=("FP16", packed("FP16", [40])), colour=("BYTES", b"\3\0\0\0red"))
    answer = endpoint.client.post(INFER, content=content, headers=headers)
    whole = {"data": [row | {"colour": "red"}], "method": "predict_proba"}
    assert unpacked(answer)["probabilities"] == endpoint.client.post("/score", json=whole).json()["result"]
    assert answer.headers["content-type"] == "application/json"

    inputs = tensors(manifest, [complete_row])
    outputs = [{"name": "label"}, {"name": "probabilities", "parameters": {"binary_data": True}}]
    answer = infer(endpoint, inputs, outputs=outputs)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    assert np.frombuffer(answer.content[length:], "<f4").tolist() == shares
    (label, probabilities) = json.loads(answer.content[:length])["outputs"]
    assert label["data"] in (["yes"], ["no"])
    assert probabilities == {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": [1, 2],
        "parameters": {"binary_data_size": 8},
    }
    outputs[1]["parameters"] = {"binary_data": False}
    answer = infer(endpoint, inputs, outputs=outputs, parameters={"binary_data_output": True})
    length = int(answer.headers["inference-header-content-length"])
    assert unpacked(answer)["probabilities"] == [shares]
    assert answer.content[length:] == packed("BYTES", label["data"])


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("age", {"name": "agee"}, 'Input "agee" is unknown. The model takes: age, spend.total, is member, colour'),
        ("colour", {"name": "age"}, 'Input "age": .+'),
        ("spend.total", {"name": "age"}, 'Input "age": the column is there twice.'),
        (
            "spend.total",
            {"name": "spend_total", "shape": [2]},
            'Input "spend_total": got 2 rows, expected 1 as in "age"',
        ),
        ("age", {"datatype": "BYTES"}, 'Input "age": got datatype "BYTES", expected FP64, FP32, .+ for a number'),
        ("colour", {"datatype": "FP32"}, 'Input "colour": got datatype "FP32", expected BYTES for a category'),
        ("is member", {"datatype": "BYTES"}, 'Input "is member": got datatype "BYTES", expected BOOL, FP64'),
        ("age", {"shape": [1, 2]}, r'Input "age": got shape \[1, 2\], expected \[rows\] or \[rows, 1\]'),
        ("age", {"shape": []}, r'Input "age": got shape \[\]'),
        ("age", {"shape": [-1]}, r'Input "age": got shape \[-1\]'),
        ("age", {"data": [1, 2]}, r'Input "age": data has 2 values, expected 1 for shape \[1\]'),
        ("age", {"data": ["old"]}, 'Input "age": value 0 is "old", expected one of FP64, or null'),
        ("age", {"data": [True]}, 'Input "age": value 0 is true'),
        ("age", {"datatype": "INT8", "data": [128]}, 'Input "age": value 0 is 128, expected one of INT8'),
        ("age", {"datatype": "UINT64", "data": [-1]}, 'Input "age": value 0 is -1, expected one of UINT64'),
        ("age", {"datatype": "INT64", "data": [1.5]}, 'Input "age": value 0 is 1.5, expected one of INT64'),
        ("age", {"datatype": "FP16"}, 'Input "age": FP16 has no form in JSON'),
        ("age", {"data": [1e39]}, r"Row 0, column 'age': got 1e\+39, expected a number within"),
        ("age", {"data": ...}, 'Input "age": there is neither data nor binary_data_size'),
        ("age", {"data": [[1]]}, r'Input "age": value 0 is \[1\]'),
        ("is member", {"datatype": "INT8", "data": [2]}, r"Row 0, column 'is member': got 2, expected true, false"),
        ("age", {"parameters": {"binary_data_size": 8}}, 'Input "age": binary_data_size is 8, and 0 bytes are left'),
        ("age", {"parameters": {"binary_data_size": -1}}, 'Input "age": binary_data_size is -1'),
        ("age", {"parameters": {"binary_data_size": True}}, 'Input "age": binary_data_size is true'),
        ("age", {"parameters": {"binary_data_size": 0}}, 'Input "age": there are both data and binary_data_size'),
        (
            "age",
            {"shape": "1"},
            r"The body is no inference request in JSON: Expected `array`, got `str` - at `\$.inputs",
        ),
        ("age", {"value": 1}, "The body is no inference request in JSON: Object contains unknown field `value`"),
    ],
)
def test_wrong_inputs_are_named_with_what_is_expected(endpoint, manifest, complete_row, name, fields, message):
    answer = infer(endpoint, changed(tensors(manifest, [complete_row]), name, **fields))
    assert answer.status_code == 400
    assert re.match(message, answer.json()["error"]), answer.text


def test_a_missing_input(endpoint, manifest, complete_row):
    for inputs in ([], [tensor for tensor in tensors(manifest, [complete_row]) if tensor["name"] != "age"]):
        answer = infer(endpoint, inputs)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(
            'Input "age" is missing. Expected a tensor of FP64 and shape [rows, 1]'
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"outputs": [{"name": "value"}]}, 'Output "value" is unknown. The model answers: label, probabilities.'),
        ({"outputs": [{"name": "label"}] * 2}, 'Output "label" is there twice.'),
        ({"parameters": {"binary_data_output": 1}}, "Parameter 'binary_data_output' is 1, expected true or false."),
        (
            {"outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
            "Parameter 'binary_data' is \"yes\", expected true or false.",
        ),
        ({"ouputs": []}, "The body is no inference request in JSON: Object contains unknown field `ouputs`."),
    ],
)
def test_wrong_outputs_and_parameters(endpoint, manifest, complete_row, fields, message):
    answer = infer(endpoint, tensors(manifest, [complete_row]), **fields)
    assert (answer.status_code, answer.json()) == (400, {"error": message})


@pytest.mark.parametrize(
    ("colour", "message"),
    [
        (b"\3\0\0\0re", 'Input "colour": value 0 ends past the 6 bytes of the tensor'),
        (b"\3\0\0", 'Input "colour": value 0 ends past the 3 bytes'),
        (b"", 'Input "colour": value 0 ends past the 0 bytes'),
        (b"\xff\xff\xff\xff", 'Input "colour": value 0 ends past the 4 bytes'),
        (b"\3\0\0\0red\0\0\0\0", 'Input "colour": 4 bytes are left after the last text'),
        (b"\2\0\0\0\xff\xff", 'Input "colour": value 0 is not in UTF-8'),
    ],
)
def test_wrong_texts_in_binary(endpoint, manifest, complete_row, colour, message):
    content, headers = mixed(manifest, complete_row, colour=("BYTES", colour))
    answer = endpoint.client.post(INFER, content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)


def test_wrong_numbers_in_binary(endpoint, manifest, complete_row):
    def error(name, datatype, data, more=b"", length=None):
        content, headers = mixed(manifest, complete_row, **{name: (datatype, data)})
        headers |= {} if length is None else {"Inference-Header-Content-Length": length}
        answer = endpoint.client.post(INFER, content=content + more, headers=headers)
        assert answer.status_code == 400
        return answer.json()["error"]

    assert error("age", "FP32", b"\0" * 8) == 'Input "age": got 8 bytes, expected 4 for FP32 of shape [1].'
    assert error("age", "FP32", packed("FP32", [np.inf])).startswith("Row 0, column 'age': got Infinity, expected")
    assert error("is member", "BOOL", b"\2").startswith("Row 0, column 'is member': got 2, expected true, false")
    assert error("age", "UINT8", b"\1", more=b"\0\0") == "2 bytes after the JSON belong to no input."
    for length in ("-1", "x", "1e3", "99999999", "9" * 400):
        assert error("age", "UINT8", b"\1", length=length).startswith(
            f"Inference-Header-Content-Length is {length[:80]}"
        )
    assert "no inference request in JSON" in error("age", "UINT8", b"\1", length="3")


def test_too_many_rows_are_refused_before_they_are_made(endpoint):
    inputs = [{"name": "is member", "shape": [10**12], "datatype": "BOOL", "data": []}]
    answer = infer(endpoint, inputs)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("The request has 1,000,000,000,000 rows; the endpoint takes 50,000.")


@pytest.mark.parametrize("path", ["/score", "/invocations", INFER])
def test_compressed_bodies_are_refused(endpoint, path):
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = endpoint.client.post(path, content=b"\x1f\x8b", headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.text
