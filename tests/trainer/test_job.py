"""The whole job on small tables: what it writes, that it repeats itself, and how it ends early."""

import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from rich.console import Console

from bundle import BundleError, Store
from bundle.manifest import Holdout
from bundle.model import Model
from bundle.read import verify
from tests.conftest import MODEL, ROOT, Silent, quick, shop_frame, wait_until, write_csv
from trainer import parity
from trainer.candidates import DEFAULT_LIGHTGBM
from trainer.console import print_result
from trainer.errors import ParityError, TableError, TrainerError
from trainer.fit import train_once
from trainer.job import train
from trainer.judge import answers, measured, untouched
from trainer.look import examine, read_test
from trainer.split import split
from trainer.table import read_table


def tables(task):
    frame = shop_frame(400)
    if task == "multiclass":
        frame["buys"] = pd.cut(frame["age"] + 9 * (frame["buys"] == "yes"), 3, labels=["a", "b", "c"]).astype(str)
    if task == "regression":
        frame["buys"] = 2e9 + frame["age"] * 10 + frame["spend.total"].fillna(0)
    return frame


@pytest.fixture(
    params=["binary", *(pytest.param(task, marks=pytest.mark.e2e) for task in ("multiclass", "regression"))]
)
def task_csv(request, tmp_path):
    return request.param, write_csv(tables(request.param), tmp_path / "t.csv")


def test_seed_and_trials_repeat_to_the_bit(task_csv, tmp_path):
    task, path = task_csv
    written = []
    for place in ("a", "b"):
        store = Store(tmp_path / place)
        manifest = train(
            quick(read_table(path), "buys", max_trials=6 if task == "binary" else 12, seed=3), store, Silent()
        )
        assert manifest.task == task
        written.append(store.path(MODEL, manifest.version))
    for file in ("model.onnx", "scorer.onnx", "golden.json"):
        assert (written[0] / file).read_bytes() == (written[1] / file).read_bytes(), file
    metrics = [json.loads((folder / "manifest.json").read_bytes())["metrics"] for folder in written]
    assert metrics[0] == metrics[1]


def test_what_a_bundle_says_of_itself(shop_store):
    manifest = shop_store.manifest(MODEL, "1")
    board = {standing.candidate: standing for standing in manifest.training.leaderboard}
    assert {DEFAULT_LIGHTGBM, "majority class"} <= set(board)
    assert sum(standing.chosen for standing in manifest.training.leaderboard) == 1
    assert set(manifest.baselines) == {DEFAULT_LIGHTGBM, "majority class"}
    assert manifest.baselines["majority class"]["AUC_weighted"] == 0.5
    assert manifest.metrics["AUC_weighted"] > 0.7
    assert manifest.parity.flips == 0
    assert manifest.parity.max_difference <= manifest.parity.tolerance == 1e-5
    assert manifest.positive_class == "yes"
    assert manifest.training.train_rows + manifest.training.test_rows == manifest.fingerprint.rows == 600
    assert sum(member.weight for member in manifest.training.members) == pytest.approx(1)
    columns = {column.name: column for column in manifest.columns}
    assert columns["spend.total"].onnx_name == "spend_total"
    assert not columns["colour"].required
    assert columns["seen at"].offset > 0


def test_what_else_is_in_a_bundle(shop_bundle):
    report = (shop_bundle / "report.html").read_text()
    assert "<svg" in report
    assert "http://" not in report.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert (shop_bundle / "MODEL_CARD.md").read_text().startswith(f"# {MODEL}, version 1")
    baseline = json.loads((shop_bundle / "baseline.json").read_bytes())
    for column in baseline["columns"].values():
        shares = column["shares"] if "shares" in column else column["categories"].values()
        assert sum(shares) + column["missing"] == pytest.approx(1)
    importance = json.loads((shop_bundle / "explanation.json").read_bytes())["importance"]
    assert set(importance) == set(baseline["columns"])
    assert max(importance, key=importance.get) in ("age", "is member", "spend.total")


@pytest.mark.e2e
def test_a_regression_with_a_large_offset_keeps_its_digits(tmp_path):
    path = write_csv(tables("regression"), tmp_path / "t.csv")
    store = Store(tmp_path / "models")
    manifest = train(quick(read_table(path), "buys", max_trials=2, learners=("lgbm",)), store, Silent())
    assert manifest.metrics["r2_score"] > 0.9
    model = Model(store.champion_path(MODEL))
    rows = json.loads((store.champion_path(MODEL) / "examples.json").read_bytes())
    values = model.labels(model.outputs(model.encode(model.tuples(rows))))
    assert all(isinstance(value, float) for value in values)
    expected = [2e9 + row["age"] * 10 + (row["spend.total"] or 0) for row in rows]
    np.testing.assert_allclose(values, expected, atol=5 * manifest.metrics["root_mean_squared_error"])


@pytest.mark.parametrize(
    "labels", [(10, 20, 30), *(pytest.param(two, marks=pytest.mark.e2e) for two in ((False, True), (0, 1)))]
)
def test_labels_keep_their_type_in_both_graphs(tmp_path, labels):
    frame = shop_frame(300)
    frame["buys"] = [labels[place % len(labels)] for place in range(300)]
    store = Store(tmp_path / "models")
    table = read_table(write_csv(frame, tmp_path / "t.csv"))
    train(quick(table, "buys", max_trials=2, learners=("lgbm",)), store, Silent())
    folder = store.champion_path(MODEL)
    model = Model(folder)
    rows = json.loads((folder / "golden.json").read_bytes())["rows"]
    given = model.labels(model.outputs(model.encode(model.tuples(rows))))
    portable, _ = onnxruntime.InferenceSession(folder / "model.onnx").run(
        None, parity.feeds(rows, model.manifest.columns)
    )
    assert given == portable.tolist()
    assert set(given) <= set(labels)
    assert all(type(label) is type(labels[0]) for label in given)


def test_repeats_search_anew_on_other_splits(shop_csv, tmp_path):
    watcher = Silent()
    request = quick(read_table(shop_csv), "buys", max_trials=3, repeats=2, learners=("lgbm",))
    manifest = train(request, Store(tmp_path), watcher)
    assert watcher.stages.count("Search") == 3
    spread = manifest.repeats["AUC_weighted"]
    assert len(spread.values) == 2
    assert spread.mean == pytest.approx(np.mean(spread.values))
    assert manifest.metrics["AUC_weighted"] not in spread.values
    baselines = manifest.repeated_baselines
    assert set(baselines) == set(manifest.baselines)
    assert baselines["majority class"]["AUC_weighted"].values == (0.5, 0.5)
    assert set(baselines[DEFAULT_LIGHTGBM]) == set(manifest.repeats)
    assert manifest.training.holdout == Holdout(way="digest")
    shown = printed(manifest)
    assert "On 2 further splits, each searched anew" in shown
    row = next(line for line in shown.split("searched anew")[1].splitlines() if "AUC_weighted" in line)
    assert row.split()[1:] == [
        f"{v:.4f}" for v in (spread.mean, spread.sd, *(b["AUC_weighted"].mean for b in baselines.values()))
    ]


def printed(manifest):
    console = Console(width=200, record=True, file=io.StringIO())
    print_result(console, manifest, "models/shop/1")
    return console.export_text()


def timed_frame(rows=400):
    """The shop's table over 100 days, four rows a day, in no order."""
    frame = shop_frame(rows)
    frame["day"] = pd.Series(pd.date_range("2024-01-01", periods=rows // 4).repeat(4)).dt.strftime("%d.%m.%Y")
    return frame.sample(frac=1, random_state=0)


def test_the_latest_rows_are_untouched_and_repeats_are_earlier_windows(tmp_path):
    path = write_csv(timed_frame(), tmp_path / "t.csv")
    watcher = Silent()
    request = quick(
        read_table(path), "buys", max_trials=2, learners=("lgbm",), time_column="day", repeats=2, positive="yes"
    )
    store = Store(tmp_path / "models")
    manifest = train(request, store, watcher)
    assert manifest.training.holdout == Holdout(way="time", column="day", after="2024-03-20")
    assert (manifest.training.train_rows, manifest.training.test_rows) == (320, 80)
    assert "day" not in {column.name for column in manifest.columns}
    assert len(manifest.repeats["accuracy"].values) == 2
    found = {finding.check: finding for finding in watcher.findings}
    assert "the 80 latest by 'day', after 2024-03-20" in found["Test rows"].detail
    assert any("'day', after 2024-03-20" in line for line in manifest.training.guardrails)
    shown = printed(manifest)
    assert "On 80 untouched test rows, the latest by 'day' (after 2024-03-20)" in shown
    assert "On 2 earlier windows" in shown
    rows = untouched(request)
    assert pd.to_datetime(rows.frame["day"], format="%d.%m.%Y").min() == pd.Timestamp("2024-03-21")
    given = answers(Model(store.champion_path(MODEL)), rows)
    assert measured(rows, given)["AUC_weighted"] == pytest.approx(manifest.metrics["AUC_weighted"], abs=1e-6)


def test_more_repeats_than_there_is_history_are_refused_before_the_search(tmp_path):
    watcher = Silent()
    request = quick(read_table(write_csv(timed_frame(), tmp_path / "t.csv")), "buys", time_column="day", repeats=4)
    with pytest.raises(TableError, match="not enough history for 4 repeats"):
        train(request, Store(tmp_path / "models"), watcher)
    assert not watcher.stages


def test_the_rows_of_a_test_table_are_the_untouched_ones(tmp_path):
    frame = shop_frame(500)
    tested = frame.iloc[400:].assign(more=1)
    tested.iloc[:7, tested.columns.get_loc("buys")] = None
    tested.iloc[:50, tested.columns.get_loc("colour")] = "7"  # a category that looks like a number
    tested = pd.concat([tested, frame.head(3)])
    table = read_table(write_csv(frame.head(400), tmp_path / "train.csv"))
    test = read_test(write_csv(tested[reversed(tested.columns)], tmp_path / "test.csv"), table)
    watcher = Silent()
    request = quick(table, "buys", max_trials=2, learners=("lgbm",), test=test, repeats=1)
    manifest = train(request, Store(tmp_path / "models"), watcher)
    assert (manifest.training.train_rows, manifest.training.test_rows) == (400, 96)
    assert manifest.training.holdout == Holdout(way="given", source="test.csv", sha256=test.sha256)
    assert "more" not in {column.name for column in manifest.columns}
    found = {finding.check: finding for finding in watcher.findings}["Test rows"]
    assert found.detail.startswith("96 of test.csv; 7 without a target left out; 3 are in the training table too")
    assert found.outcome == "alert"
    assert "On 96 untouched test rows, those of test.csv" in printed(manifest)
    rows = untouched(request)
    assert len(rows.frame) == 96
    assert rows.frame["colour"].eq("7").sum() == 43


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns=["age", "buys"]), "test.csv lacks columns of the training table: age, buys"),
        (
            lambda frame: frame.assign(age="old"),
            "'age' is a category in the test table test.csv, such as 'old', and a n",
        ),
        (lambda frame: frame.assign(buys=None), "There are 0 rows of the test table"),
        (lambda frame: frame.assign(buys="yes"), "rows of the test table are 'yes'"),
    ],
)
def test_a_test_table_that_does_not_fit_is_refused(shop_csv, tmp_path, change, message):
    table = read_table(shop_csv)
    test = read_test(write_csv(change(shop_frame(40, seed=1)), tmp_path / "test.csv"), table)
    with pytest.raises(TableError, match=message):
        train(quick(table, "buys", test=test), Store(tmp_path / "models"), Silent())


def test_a_column_without_values_in_the_training_rows_is_left_out(tmp_path):
    frame = shop_frame(300)
    frame["rare number"] = [5.0] + [None] * 299
    frame["rare text"] = ["x"] + [None] * 299
    request = quick(read_table(write_csv(frame, tmp_path / "t.csv")), "buys", max_trials=2, learners=("lgbm",))
    inspected = examine(request)
    number = next(number for number in range(100) if 0 in split(inspected, number)[1])
    trained = train_once(request, inspected, number, Silent())
    names = {column.name for column in trained.columns}
    assert "age" in names
    assert not {"rare number", "rare text"} & names


def test_learners_that_were_not_asked_for_are_on_the_board_but_not_in_the_model(shop_csv, tmp_path):
    request = quick(read_table(shop_csv), "buys", max_trials=2, learners=("xgboost", "xgboost"))
    manifest = train(request, Store(tmp_path), Silent())
    assert {member.learner for member in manifest.training.members} == {"xgboost"}
    assert DEFAULT_LIGHTGBM in {row.candidate for row in manifest.training.leaderboard}


def test_tiny_tables_with_small_classes(tmp_path):
    frame = shop_frame(36)
    frame["buys"] = ["a", "b", "c"] * 12
    table = read_table(write_csv(frame, tmp_path / "t.csv"))
    manifest = train(quick(table, "buys", learners=("lgbm", "catboost")), Store(tmp_path / "m"), Silent())
    assert manifest.classes == ("a", "b", "c")


def test_the_first_version_is_champion_and_the_second_waits(shop_csv, tmp_path):
    store = Store(tmp_path)
    for expected in ("1", "2"):
        request = quick(read_table(shop_csv), "buys", max_trials=2, learners=("lgbm",))
        assert train(request, store, Silent()).version == expected
    assert store.champion(MODEL).version == "1"


def test_a_failed_gate_writes_nothing(shop_csv, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    with pytest.raises(ParityError, match="No bundle was written"):
        train(quick(read_table(shop_csv), "buys", max_trials=2), Store(tmp_path), Silent())
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metric": "rmse"}, TrainerError, r"'rmse' does not fit a binary task; these do: roc_auc"),
        ({"learners": ("lgbm", "magic")}, TrainerError, r"No such learner for a binary task: magic. There are: lgbm"),
        ({"name": "Bad Name"}, BundleError, "is no model name"),
    ],
)
def test_wrong_options_are_refused_before_the_search(shop_csv, tmp_path, options, error, message):
    watcher = Silent()
    with pytest.raises(error, match=message):
        train(quick(read_table(shop_csv), "buys", **options), Store(tmp_path), watcher)
    assert not watcher.trials


@pytest.mark.parametrize(
    "metric", ["log_loss", *(pytest.param(m, marks=pytest.mark.e2e) for m in ("accuracy", "macro_f1"))]
)
def test_another_metric_is_optimised(shop_csv, tmp_path, metric):
    manifest = train(
        quick(read_table(shop_csv), "buys", max_trials=2, learners=("lgbm",), metric=metric), Store(tmp_path), Silent()
    )
    scores = [standing.metric for standing in manifest.training.leaderboard]
    assert scores == sorted(scores, reverse=metric != "log_loss")


def test_ctrl_c_keeps_the_best_so_far(shop_csv, tmp_path):
    """A real signal to a real process that would search for an hour."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        arguments = ["-t", "buys", "--budget", "3600", "--models", str(tmp_path / "models"), "--learners", "lgbm"]
        process = subprocess.Popen(
            [sys.executable, "-m", "homeport", "train", str(shop_csv), *arguments],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            wait_until(lambda: b"trial 1:" in log.read_bytes() or process.poll() is not None, 60)
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 0, log.read_text()
        finally:
            process.kill()
    store = Store(tmp_path / "models")
    manifest = verify(store.champion_path("shop"))
    assert manifest.training.interrupted
    assert manifest.training.trials >= 1
    assert {DEFAULT_LIGHTGBM, "majority class"} <= {row.candidate for row in manifest.training.leaderboard}
