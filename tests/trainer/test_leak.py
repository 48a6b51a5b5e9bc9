import numpy as np
import pandas as pd
import pytest

from tests.conftest import shop_frame
from trainer.dataset import DATASETS
from trainer.guardrails import inspect
from trainer.leak import leak
from trainer.split import split
from trainer.table import read_table


def found(frame, target="y", task=None):
    inspected = inspect(frame, target, task, None, ())
    return leak(inspected.frame, inspected.target, split(inspected, 0)[0])


def calls(rows=3_000, seed=0):
    """Three weak honest columns, and the length of the call, which only the answer explains."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(rows, 3))
    yes = honest.sum(axis=1) + rng.normal(0, 2.5, rows) > 3
    frame = pd.DataFrame(honest, columns=["age", "balance", "rate"])
    frame["duration"] = np.round(rng.gamma(2, 60, rows) * np.where(yes, 8, 1))
    return frame.assign(y=np.where(yes, "yes", "no"))


def test_a_column_that_carries_the_result_is_told_with_the_score_without_it():
    finding = found(calls())
    assert finding.outcome == "alert"
    assert finding.detail.startswith("'duration' carries ")
    assert finding.detail.endswith("train with --drop duration")
    without, whole = (
        float(word) for word in finding.detail.split("ROC-AUC is ")[1].split(" (")[0].split(" instead of ")
    )
    assert whole > 0.93
    assert without < 0.85


def test_the_length_of_the_call_is_told_of_on_bank_marketing():
    frame = read_table(DATASETS / "bank-marketing-sample.csv.gz").frame
    assert found(frame).detail.startswith("'duration' carries 4")
    assert found(frame.drop(columns="duration")).outcome == "passed"


def test_its_copy_in_other_units_does_not_hide_it():
    frame = calls()
    finding = found(frame.assign(**{"call minutes": frame["duration"] / 60}))
    assert "'duration', 'call minutes' carry" in finding.detail
    assert finding.detail.endswith("--drop duration --drop 'call minutes'")


@pytest.mark.parametrize("target", ["y", "amount"])
def test_neither_noise_nor_many_honest_columns_are_a_leak(target):
    frame = calls().drop(columns="duration")
    rng = np.random.default_rng(1)
    frame["amount"] = frame["age"] + frame["balance"] + frame["rate"] + rng.normal(size=len(frame))
    assert found(frame.drop(columns="amount" if target == "y" else "y"), target).outcome == "passed"
    noise = pd.DataFrame(rng.normal(size=(500, 4)), columns=list("abcd")).assign(y=rng.choice(["a", "b", "c"], 500))
    assert found(noise).outcome == "passed"


def test_the_test_rows_decide_nothing():
    frame = calls()
    inspected = inspect(frame, "y", None, None, ())
    train, test = split(inspected, 0)
    before = leak(inspected.frame, inspected.target, train)
    changed = inspected.frame.copy()
    changed.iloc[test] = -1.0
    inspected.target.values[test] = 0
    assert leak(changed, inspected.target, train) == before


def test_a_column_that_predicts_the_target_alone():
    frame = shop_frame(400)
    frame["result"] = (frame["buys"] == "yes") * 2.0
    finding = found(frame, "buys")
    assert finding.outcome == "alert"
    assert "'result' predicts the target alone: without it ROC-AUC is 0." in finding.detail
    assert finding.detail.endswith("--drop result")


def test_two_that_do_are_both_named():
    frame = shop_frame(400).drop(columns="buys")
    frame["price"] = np.random.default_rng(0).gamma(2, 100, 400)
    frame["price_eur"], frame["code"] = frame["price"] * 0.9, -np.round(frame["price"], 1)
    finding = found(frame, "price")
    assert "'price_eur', 'code' each predict the target alone" in finding.detail


@pytest.mark.parametrize("classes", [3, 40])
def test_many_and_tiny_classes_are_measured(classes):
    frame = shop_frame(900).drop(columns="buys")
    label = np.arange(900) % classes
    frame["y"] = [f"class {number}" for number in label]
    assert found(frame).outcome == "passed"
    finding = found(frame.assign(code=label * 7.0))
    assert "'code' predicts the target alone" in finding.detail
    tiny = shop_frame(60).assign(buys=["a"] * 50 + ["b"] * 10)
    assert found(tiny, "buys").check == "Leak"


def test_one_column_alone_is_measured_against_the_baseline():
    frame = calls()[["duration", "y"]]
    assert "without it ROC-AUC is 0.500" in found(frame).detail
