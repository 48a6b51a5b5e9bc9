"""`/invocations` as clients of MLflow know it, against real servers."""

import re

import pytest

from tests.conftest import serve
from tests.serving.conftest import as_csv

INVOCATIONS = "/invocations"


def post(endpoint, content):
    return endpoint.client.post(INVOCATIONS, json=content)


def post_csv(endpoint, content, media="text/csv"):
    return endpoint.client.post(INVOCATIONS, content=content, headers={"Content-Type": media})


@pytest.fixture(scope="module")
def label(endpoint, complete_row):
    (label,) = endpoint.client.post("/score", json={"data": [complete_row]}).json()["result"]
    return label


def test_health_and_version_need_no_key(endpoint):
    for path in ("/ping", "/health"):
        assert (endpoint.anonymous.get(path).status_code, endpoint.anonymous.get(path).text) == (200, "\n")
    assert endpoint.anonymous.head("/ping").status_code == 200
    assert endpoint.anonymous.get("/version").text == "0.1.0"


def test_scoring_needs_a_key(endpoint):
    answer = endpoint.anonymous.post(INVOCATIONS)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert "key" in answer.json()["message"]


def test_another_method(endpoint):
    answer = endpoint.client.get(INVOCATIONS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert answer.json() == {
        "error_code": "BAD_REQUEST",
        "message": "The method is not allowed for the requested URL.",
    }


def test_each_format(endpoint, complete_row, label):
    names, values = list(complete_row), list(complete_row.values())
    for content in (
        {"dataframe_split": {"columns": names[::-1], "data": [values[::-1]]}},
        {"dataframe_records": [complete_row]},
        {"instances": [complete_row]},
        {"instances": [values]},
        {"inputs": [values], "params": None},
        {"inputs": {name: [value] for name, value in complete_row.items()}, "params": {}},
    ):
        assert post(endpoint, content).json() == {"predictions": [label]}
    assert post_csv(endpoint, as_csv([complete_row] * 2)).json() == {"predictions": [label] * 2}


def test_probabilities(endpoint, complete_row):
    expected = endpoint.client.post("/score", json={"data": [complete_row], "method": "predict_proba"}).json()["result"]
    answer = post(endpoint, {"inputs": [complete_row], "params": {"method": "predict_proba"}})
    assert answer.json() == {"predictions": expected}


def test_a_regression_has_none(served):
    row = {column.name: column.example for column in served.manifest.columns}
    answer = post(served, {"inputs": [row], "params": {"method": "predict_proba"}})
    assert answer.status_code == (400 if served.manifest.regression else 200)
    if served.manifest.regression:
        assert "regression" in answer.json()["message"]


def test_columns_that_were_missing_in_training_may_be_left_out(endpoint, complete_row):
    rest = {name: value for name, value in complete_row.items() if name not in ("spend.total", "colour")}
    expected = endpoint.client.post("/score", json={"data": [rest]}).json()["result"]
    for answer in (
        post(endpoint, {"dataframe_records": [rest]}),
        post(endpoint, {"dataframe_split": {"columns": list(rest), "data": [list(rest.values())]}}),
        post_csv(endpoint, as_csv([rest])),
    ):
        assert answer.json() == {"predictions": expected}


def test_nan_is_null_as_mlflows_own_client_writes_it(endpoint, complete_row):
    row = complete_row | {"spend.total": None, "colour": 'a "NaN", \\'}
    expected = post(endpoint, {"inputs": [row], "params": {"method": "predict_proba"}}).json()
    body = (
        b'{"inputs": [{"age": %d, "spend.total": NaN, "is member": %s, "colour": "a \\"NaN\\", \\\\", "seen at": %d}],'
        b'"params": {"method": "predict_proba"}}'
    ) % (row["age"], b"true" if row["is member"] else b"false", row["seen at"])
    headers = {"Content-Type": "application/json"}
    assert endpoint.client.post(INVOCATIONS, content=body, headers=headers).json() == expected
    for wrong in (b'{"inputs": [Infinity]}', b'{"inputs": [-NaN]}', b'{"inputs": "' + b'\\"NaN' * 100_000):
        assert endpoint.client.post(INVOCATIONS, content=wrong, headers=headers).status_code == 400


@pytest.mark.parametrize("media", ["text/csv", "Text/CSV; charset=UTF-8", 'text/csv; header=present; charset="utf-8"'])
def test_a_csv_as_pandas_or_a_spreadsheet_writes_it(endpoint, complete_row, label, media):
    row = complete_row | {"is member": True}
    expected = endpoint.client.post("/score", json={"data": [row] * 3}).json()["result"]
    text = as_csv([row] * 3).replace(b"True", b"1", 1).replace(b"True", b"TRUE", 1)
    assert post_csv(endpoint, b"\xef\xbb\xbf" + text + b"\r\n\r\n", media).json() == {"predictions": expected}


@pytest.mark.parametrize("media", ["text/plain", "application/vnd.apache.parquet", "", "application/json; format=x"])
def test_other_media(endpoint, media):
    answer = post_csv(endpoint, b"{}", media)
    assert (answer.status_code, answer.json()["error_code"]) == (415, "BAD_REQUEST")
    assert post_csv(endpoint, b"{}", "application/json; charset=latin-1").status_code == 415


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "The body should be a JSON object with one of dataframe_split, dataframe_records, instances, inputs."),
        ({}, "Give exactly one of dataframe_split, .+; got none."),
        ({"inputs": [], "instances": []}, "Give exactly one of .+; got instances, inputs."),
        ({"inputs": [], "signature_name": "x"}, 'Unknown field "signature_name"'),
        ({"inputs": 3}, "'inputs' should be a list of rows, got 3"),
        ({"instances": [3]}, "Row 0 should be an object of column names and values, got 3"),
        ({"dataframe_records": {}}, "'dataframe_records' should be a list of rows, got {}"),
        ({"dataframe_records": [[]]}, r"Row 0 should be an object .+ got \[\]"),
        ({"dataframe_split": []}, "'dataframe_split' should be an object with lists 'columns' and 'data'"),
        ({"dataframe_split": {"columns": ["age"]}}, "'dataframe_split' should be an object with lists"),
        ({"dataframe_split": {"columns": [], "data": [], "dtype": 1}}, "'dataframe_split' should be an object"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "'columns' should hold the names of columns, got 1"),
        ({"dataframe_split": {"columns": ["age"] * 2, "data": []}}, 'Column "age" is there twice'),
        (
            {"dataframe_split": {"columns": ["age", "colour"], "data": [[1, "red"], [1]]}},
            r"Row 1 should be a list of 2 values \(age, colour\), got \[1\]",
        ),
        ({"instances": [[1]]}, r"Row 0 should be a list of 5 values \(age, spend.total, .+\), got \[1\]"),
        ({"inputs": {"age": 1}}, 'Column "age" should be a list of values, got 1'),
        ({"inputs": {"age": [1], "colour": []}}, 'Column "colour" has 0 values, "age" has 1'),
        (
            {"inputs": [], "params": {"method": "guess"}},
            "'params' should be an object with 'method' alone, 'predict' or",
        ),
        ({"inputs": [], "params": {"threshold": 1}}, "'params' should be an object"),
        ({"inputs": [], "params": [1]}, "'params' should be an object"),
    ],
)
def test_bodies_that_are_no_request(endpoint, content, message):
    answer = post(endpoint, content)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert re.match(message, answer.json()["message"]), answer.text


WRONG = [
    ("age", "old", r"Row 1, column 'age': got \"old\", expected a number within ±3.4e38, or null, such as \d+"),
    ("is member", "yes", r"Row 1, column 'is member': got \"yes\", expected true, false or null"),
]


@pytest.mark.parametrize(("column", "value", "message"), WRONG)
def test_a_wrong_value_is_named_with_row_and_column_in_each_format(endpoint, complete_row, column, value, message):
    rows = [complete_row, complete_row | {column: value}]
    lists = [list(row.values()) for row in rows]
    for answer in (
        post(endpoint, {"dataframe_split": {"columns": list(complete_row), "data": lists}}),
        post(endpoint, {"dataframe_records": rows}),
        post(endpoint, {"instances": lists}),
        post(endpoint, {"inputs": {name: [row[name] for row in rows] for name in complete_row}}),
        post_csv(endpoint, as_csv(rows)),
    ):
        assert answer.status_code == 400
        assert re.match(message, answer.json()["message"]), answer.text


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("nan", '"nan"'),
        ("inf", '"inf"'),
        ("1_000", '"1_000"'),
        ("0x10", '"0x10"'),
        (" 41", '" 41"'),
        ("1e39", "1e+39"),
        ("٤١", ".+"),
        ("1e400", "Infinity"),
    ],
)
def test_numbers_in_a_csv_are_strict(endpoint, complete_row, cell, shown):
    answer = post_csv(endpoint, as_csv([complete_row | {"age": cell}]))
    assert answer.status_code == 400
    assert re.match(
        f"Row 0, column 'age': got {re.escape(shown) if shown != '.+' else shown}", answer.json()["message"]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "The CSV is empty. Expected a header: age,spend.total,is member,colour,seen at"),
        (b"\n\n", "The CSV is empty"),
        (b"age,colour\n1,red\n\n2\n", "Line 4 of the CSV has 1 cells, its header 2"),
        (b"age,age\n1,1\n", 'Column "age" is there twice'),
        (b"age,years\n1,1\n", 'Row 0: unknown column "years". Expected: age'),
        (b"age\n1\n", "Row 0: column 'is member' is missing"),
        (b'age\n"1\n', "Line 2 is no CSV: unexpected end of data"),
        (b"age\n" + b"9" * 200_000, "Line 2 is no CSV: field larger than field limit"),
        (b"age\n\xff\n", "The CSV is not in UTF-8"),
    ],
)
def test_text_that_is_no_csv_of_rows(endpoint, text, message):
    answer = post_csv(endpoint, text)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message), answer.text


def test_no_rows(endpoint):
    for content in ({"instances": []}, {"inputs": {}}, {"dataframe_split": {"columns": ["age"], "data": []}}):
        assert post(endpoint, content).json() == {"predictions": []}
    assert post_csv(endpoint, b"age\n").json() == {"predictions": []}


def test_the_limit_of_rows_holds_in_each_format(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root, MAX_ROWS="2") as small:
        rows = [complete_row] * 3
        lists = [list(row.values()) for row in rows]
        for answer in (
            post(small, {"dataframe_split": {"columns": list(complete_row), "data": lists}}),
            post(small, {"dataframe_records": rows}),
            post(small, {"inputs": {name: [row[name] for row in rows] for name in complete_row}}),
            post_csv(small, as_csv(rows)),
        ):
            assert answer.status_code == 422
            assert answer.json()["error_code"] == "BAD_REQUEST"
            assert answer.json()["message"].startswith("The request has 3 rows; the endpoint takes 2.")
        assert post_csv(small, as_csv(rows[:2])).status_code == 200
