"""The property behind all dialects: however a row is sent, its answer has the same bits."""

import hypothesis
import pytest
from hypothesis import strategies as st

from bundle import FLOAT32_MAX, MISSING_WORDS
from tests.serving.conftest import Served, as_csv, binary, tensors, unpacked

EXTREMES = [0.0, -0.0, 1e-45, -1e-300, 5e-324, 0.1, 1 / 3, 2**24 + 1, 2**53 + 1, 1e16, FLOAT32_MAX, -FLOAT32_MAX]
WORDS = ["", "octarine", " red", "RED", 'a "quoted", one', "two\nlines\r\n", "ßü 漢字 🙂", "0", "true", *MISSING_WORDS]


def values(column):
    known = st.none() | st.just(column.example)
    if column.kind == "boolean":
        return known | st.booleans()
    if column.kind == "category":
        return known | st.sampled_from([*column.categories, *WORDS]) | st.text(max_size=8)
    near = st.floats(column.minimum, column.maximum) | st.integers(int(column.minimum), int(column.maximum))
    return known | near | st.sampled_from(EXTREMES) | st.floats(-FLOAT32_MAX, FLOAT32_MAX)


def answers(served: Served, rows: list[dict]):
    """(encoding, labels, probabilities or None) of every way to send rows."""
    manifest, post = served.manifest, served.client.post
    names = [column.name for column in manifest.columns]
    lists = [[row[name] for name in names] for row in rows]
    columns = {name: [row[name] for row in rows] for name in reversed(names)}
    for method in ("predict",) if manifest.regression else ("predict", "predict_proba"):
        first = post("/score", json={"data": rows, "method": method})
        newer = post("/score", json={"Inputs": {"data": rows}, "GlobalParameters": {"method": method}})
        yield "data", method, first.json()["result"]
        yield "Inputs", method, newer.json()["Results"]
        for name, content in {
            "split": {"dataframe_split": {"index": [0], "columns": names, "data": lists}},
            "records": {"dataframe_records": rows},
            "instances of records": {"instances": rows},
            "instances of lists": {"instances": lists},
            "instances of columns": {"instances": columns},
            "inputs of records": {"inputs": rows},
            "inputs of columns": {"inputs": columns},
        }.items():
            answer = post("/invocations", json=content | {"params": {"method": method}})
            yield name, method, answer.json()["predictions"]
    answer = post("/invocations", content=as_csv(rows), headers={"Content-Type": "text/csv"})
    yield "csv", "predict", answer.json()["predictions"]
    requests = {
        "tensors": {"json": {"inputs": tensors(manifest, rows)}},
        "nested tensors": {"json": {"inputs": tensors(manifest, rows, nested=True)[::-1]}},
    }
    for small in (False, True):
        for output in (False, True):
            content, headers = binary(manifest, rows, small, parameters={"binary_data_output": output})
            requests[f"binary, float32 {small}, answer {output}"] = {"content": content, "headers": headers}
    for name, request in requests.items():
        outputs = unpacked(post(served.infer, **request))
        if manifest.regression:
            yield name, "predict", [value for (value,) in outputs["value"]]
        else:
            yield name, "predict", outputs["label"]
            yield name, "predict_proba", outputs["probabilities"]


def test_every_dialect_and_every_encoding_gives_the_same_bits(served):
    columns = served.manifest.columns
    row = st.fixed_dictionaries({column.name: values(column) for column in columns})

    @hypothesis.given(st.lists(row, min_size=1, max_size=4))
    @hypothesis.settings(max_examples=40, deadline=None, database=None)
    def run(rows):
        expected = {}
        for name, method, found in answers(served, rows):
            assert len(found) == len(rows), name
            assert found == expected.setdefault(method, found), name

    run()


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_no_rows_and_many(served, shop_rows, count):
    names = [column.name for column in served.manifest.columns]
    example = {column.name: column.example for column in served.manifest.columns}
    rows = [example | {name: row[name] for name in names if name in row} for row in shop_rows]
    rows = [rows[place % len(rows)] for place in range(count)]
    content, headers = binary(served.manifest, rows, parameters={"binary_data_output": True})
    outputs = unpacked(served.client.post(served.infer, content=content, headers=headers))
    labels = outputs["value" if served.manifest.regression else "label"]
    if served.manifest.regression:
        labels = [value for (value,) in labels]
    assert labels == served.client.post("/score", json={"data": rows}).json()["result"]
    invoked = served.client.post("/invocations", json={"dataframe_records": rows})
    assert labels == invoked.json()["predictions"]
