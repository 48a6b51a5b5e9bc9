"""What `/explain` answers, short of its HTTP."""

import json
import math
import time

import pandas as pd
import pytest

from bundle import Store
from serving.errors import DeadlineExceeded, InvalidRequest, NotExplainable, TooManyRows
from serving.exchange import Request
from serving.explain import MAX_ROWS, Explain
from serving.scorer import Scorer
from tests.bundle.test_background import without_background
from tests.conftest import MODEL, Silent, quick, shop_frame, write_csv
from trainer.job import train
from trainer.table import read_table


def explainer(folder):
    return Explain(Scorer(folder))


def request(body, deadline=math.inf):
    return Request("POST", "/explain", b"", {b"content-type": b"application/json"}, b"id", body, deadline)


def ask(explain, rows, **options):
    return json.loads(explain.answer(request(json.dumps({"data": rows, **options}).encode())).body)


def trained(folder, labels):
    frame = shop_frame(300)
    frame["buys"] = labels(frame)
    store = Store(folder / "models")
    train(
        quick(read_table(write_csv(frame, folder / "t.csv")), "buys", max_trials=2, learners=("lgbm",)), store, Silent()
    )
    return store.champion_path(MODEL)


@pytest.fixture(scope="module")
def shop(shop_bundle):
    return explainer(shop_bundle)


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory):
    def labels(frame):
        return pd.cut(frame["age"] + 9 * (frame["buys"] == "yes"), 3, labels=[10, 20, 30])

    return trained(tmp_path_factory.mktemp("three"), labels)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("value"), lambda frame: 2e6 + 10 * frame["age"] + frame["spend.total"])


def assert_sums(rows, scale=1.0):
    for row in rows:
        contributions = list(row["contributions"].values())
        assert row["base"] + sum(contributions) == pytest.approx(row["prediction"], abs=1e-9 * scale)
        assert [abs(value) for value in contributions] == sorted(map(abs, contributions), reverse=True)


def test_by_default_the_positive_class_is_explained(shop, shop_rows, shop_bundle):
    answer = ask(shop, shop_rows)
    assert (answer["model"], answer["version"]) == (MODEL, "1")
    scorer = Scorer(shop_bundle)
    scored = scorer.model.outputs(scorer.model.encode(scorer.model.tuples(shop_rows)))
    assert len(answer["rows"]) == len(shop_rows)
    for row, (_, probability) in zip(answer["rows"], scored.tolist(), strict=True):
        assert (row["output"], row["class"]) == ("probability of yes", "yes")
        assert row["prediction"] == pytest.approx(probability, abs=1e-6)
        assert set(row["contributions"]) == {column.name for column in scorer.manifest.columns}
    assert_sums(answer["rows"])
    assert len({row["base"] for row in answer["rows"]}) == 1


def test_the_other_class_of_two_is_the_mirror_image(shop, complete_row):
    (yes,), (no,) = (ask(shop, [complete_row], **{"class": label})["rows"] for label in ("yes", "no"))
    assert no["class"] == "no"
    assert no["prediction"] == pytest.approx(1 - yes["prediction"], abs=1e-6)
    for name, value in yes["contributions"].items():
        assert no["contributions"][name] == pytest.approx(-value, abs=1e-6)


def test_what_the_table_was_made_from_comes_out(shop, complete_row):
    """The target of the table rises with age: the young are pushed down by it, the old up."""
    young, old = ask(shop, [complete_row | {"age": 19}, complete_row | {"age": 79}])["rows"]
    assert young["contributions"]["age"] < -0.05
    assert old["contributions"]["age"] > 0.05


def test_a_row_is_explained_alike_alone_and_among_others(shop, shop_rows):
    together = ask(shop, shop_rows[:5])["rows"]
    assert [ask(shop, [row])["rows"][0] for row in shop_rows[:5]] == together
    assert ask(shop, []) == {"model": MODEL, "version": "1", "rows": []}


def test_of_many_classes_the_predicted_one_or_the_one_asked_for(three_classes):
    explain = explainer(three_classes)
    rows = json.loads((three_classes / "golden.json").read_bytes())["rows"]
    scorer = Scorer(three_classes)
    labels = scorer.model.labels(scorer.model.outputs(scorer.model.encode(scorer.model.tuples(rows))))
    answer = ask(explain, rows)["rows"]
    assert [row["class"] for row in answer] == labels
    assert set(labels) == {10, 20, 30}
    assert_sums(answer)
    chosen = ask(explain, rows[:3], **{"class": 20})["rows"]
    assert {row["output"] for row in chosen} == {"probability of 20"}
    assert ask(explain, rows[:3], **{"class": "20"})["rows"] == chosen  # as a command line gives it
    everything = [ask(explain, rows[:1], **{"class": label})["rows"][0] for label in (10, 20, 30)]
    assert sum(row["contributions"]["age"] for row in everything) == pytest.approx(0, abs=1e-6)


def test_a_regression_is_explained_in_its_own_unit(regression):
    explain = explainer(regression)
    rows = json.loads((regression / "examples.json").read_bytes())
    low, high = ask(explain, [rows[0] | {"age": 20}, rows[0] | {"age": 75}])["rows"]
    assert (low["output"], low["class"]) == ("value of buys", None)
    assert high["contributions"]["age"] - low["contributions"]["age"] == pytest.approx(550, rel=0.3)
    assert_sums([low, high], scale=2e6)
    with pytest.raises(InvalidRequest, match="is a regression: it has no classes"):
        ask(explain, rows, **{"class": "yes"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is no JSON: Expecting value"),
        (b"\xff", "The body is no JSON"),
        (b"[" * 100_000, "The body is no JSON"),
        (b"[]", "should be an object with 'data'"),
        (b'{"class": "yes"}', "should be an object with 'data'"),
        (b'{"data": [], "method": "predict"}', 'Unknown parameter "method". Known are: data, class.'),
        (b'{"data": {}}', "'data' should be a list of rows"),
        (b'{"data": [7]}', "Row 0 should be an object"),
        (b'{"data": [{"age": "old"}]}', "Row 0, column 'age': got \"old\", expected a number"),
        (b'{"data": [{"x": 1}]}', "Row 0: unknown column \"x\""),
        (b'{"data": [], "class": "maybe"}', """'class' should be one of "no", "yes", got "maybe"."""),
        (b'{"data": [], "class": 1}', "'class' should be one of"),
        (b'{"data": [], "class": [1]}', "'class' should be one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(shop, body, message):
    with pytest.raises(InvalidRequest) as refusal:
        shop.answer(request(body))
    assert message in str(refusal.value)


def test_limits(shop, complete_row):
    with pytest.raises(TooManyRows, match=f"{MAX_ROWS + 1} rows; at most {MAX_ROWS}"):
        ask(shop, [complete_row] * (MAX_ROWS + 1))
    with pytest.raises(DeadlineExceeded, match="after 0 of 2 rows"):
        shop.answer(request(json.dumps({"data": [complete_row] * 2}).encode(), time.monotonic() - 1))


def test_an_older_bundle_says_to_train_again(own_store, complete_row):
    folder = own_store.path(MODEL, without_background(own_store))
    with pytest.raises(NotExplainable, match="train the model again"):
        ask(explainer(folder), [complete_row])
