"""The steps of a pipeline, run as plain functions."""

import json
import threading

import pandas as pd
import pytest

from bundle import BundleError
from bundle.manifest import Holdout
from pipeline.errors import DataRefused, JobUnusable, NotProven, SmokeTestFailed
from pipeline.steps import release
from pipeline.steps.record import RunFolder
from pipeline.steps.sequence import directly, run_steps
from pipeline.steps.version import Version, champion_of, version_of
from tests.conftest import MODEL, serve, wait_until
from trainer.errors import TableError


def test_the_first_run_promotes_and_the_second_takes_everything_over(bench):
    first = bench.run("a")
    assert (first.promoted, first.version) == (True, "1")
    steps = bench.steps("a")
    assert [step.status for step in steps.values()] == ["Completed"] * 7 + ["Skipped"] * 2
    assert steps["evaluate"].metrics["AUC_weighted"] == pytest.approx(
        bench.store.manifest(MODEL, "1").metrics["AUC_weighted"], abs=1e-6
    ), "the same untouched rows, scored by the graph instead of the estimators"
    second = bench.run("b")
    assert (second.promoted, second.version) == (False, "1")
    assert "champion already" in second.why
    again = bench.steps("b")
    assert again["train"].reused
    assert [again[name].status for name in ("prove", "promote", "smoke-test")] == ["Skipped"] * 3
    assert bench.store.versions(MODEL) == ["1"]


@pytest.mark.e2e
@pytest.mark.parametrize("change", ["table", "parameter", "code", "gone", "not allowed"])
def test_the_search_is_run_again_where_its_result_would_not_hold(bench, monkeypatch, change):
    bench.run("a")
    assigned = {}
    if change == "table":
        bench.table.write_bytes(bench.table.read_bytes() + bench.table.read_bytes().splitlines()[1] + b"\n")
    elif change == "parameter":
        assigned["Seed"] = 1
    elif change == "code":
        monkeypatch.setattr("pipeline.steps.step._source", lambda packages: "other")
    elif change == "gone":
        import shutil

        shutil.rmtree(bench.store.path(MODEL, "1"))
        (bench.store.folder(MODEL) / "champion").unlink()
    else:
        assigned["AllowReuse"] = False
    bench.run("b", **assigned)
    assert not bench.steps("b")["train"].reused


def test_a_run_that_was_cut_short_goes_on_and_promotes_once(bench):
    job, context = bench.job(), bench.context("a")
    direct = directly(job, context)
    for last in ("train", "compare", "promote"):

        def until(step, inputs, last=last):
            output = direct(step, inputs)
            if step.name == last:
                raise KeyboardInterrupt
            return output

        with pytest.raises(KeyboardInterrupt):
            run_steps(job, MODEL, context, until)
    assert bench.store.champion(MODEL).version == "1"
    outcome = run_steps(job, MODEL, context, direct)
    assert outcome.promoted, "what the run began with is what it is compared with, also after the promotion"
    assert bench.store.champion(MODEL).previous == ()
    assert bench.steps("a")["promote"].reused
    assert bench.store.versions(MODEL) == ["1"]


@pytest.mark.e2e
def test_a_promotion_that_somebody_took_back_is_not_repeated(bench):
    bench.run("a")
    bench.run("b", Seed=1, Margin=0, Learners=["lgbm", "rf"])
    before = bench.store.champion(MODEL)
    job, context = bench.job(), bench.context("a")
    bench.store.promote(MODEL, "2")
    run_steps(job, MODEL, context, directly(job, context))  # the run goes on although it had completed
    assert bench.store.champion(MODEL).version == "2"
    assert before is not None


@pytest.mark.e2e
def test_a_margin_that_is_not_reached_leaves_the_champion(bench):
    bench.run("a")
    outcome = bench.run("b", Seed=3, Margin=0.5)
    assert not outcome.promoted
    assert bench.store.champion(MODEL).version == "1"
    assert "untouched rows" in outcome.why


@pytest.mark.e2e
def test_a_champion_that_changed_meanwhile_is_not_overwritten(bench):
    bench.run("a")
    bench.run("b", Seed=5, Margin=0.9)
    bench.store.promote(MODEL, "2")
    champion = champion_of(bench.store, MODEL)
    candidate = Version(MODEL, "1", (bench.store.path(MODEL, "1") / "manifest.sha256").read_text().split()[0])
    with pytest.raises(NotProven, match="version 2 by now"):
        release.promote(release.Promotion(candidate, None), bench.context("c"))
    assert champion_of(bench.store, MODEL) == champion


@pytest.mark.parametrize("damage", ["gone", "kind"])
def test_a_table_that_lost_what_clients_send_is_refused(bench, damage):
    bench.run("a")
    header, *rows = bench.table.read_text().splitlines()
    names = header.split(",")
    place = names.index("age")
    if damage == "gone":
        lines = [",".join(v for at, v in enumerate(line.split(",")) if at != place) for line in (header, *rows)]
    else:
        lines = [header] + [
            ",".join(f"old-{v}-{n % 9}" if at == place else v for at, v in enumerate(row.split(",")))
            for n, row in enumerate(rows)
        ]
    bench.table.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataRefused, match="age"):
        bench.run("b")
    step = bench.steps("b")["validate"]
    assert step.status == "Failed"
    assert "age" in step.message
    assert bench.steps("b")["train"].status == "NotStarted"


@pytest.mark.e2e
def test_the_latest_rows_decide_where_a_time_column_is_given(bench):
    frame = pd.read_csv(bench.table)
    frame["day"] = pd.Series(pd.date_range("2024-01-01", periods=150).repeat(4)).dt.strftime("%Y-%m-%d")
    frame.to_csv(bench.table, index=False)
    bench.run("a", TimeColumn="day")
    first = bench.store.manifest(MODEL, "1")
    assert first.training.holdout == Holdout(way="time", column="day", after="2024-04-29")
    steps = bench.steps("a")
    assert steps["evaluate"].metrics["AUC_weighted"] == pytest.approx(first.metrics["AUC_weighted"], abs=1e-6)
    assert any("after 2024-04-29" in finding["detail"] for finding in steps["validate"].output["findings"])
    later = frame.tail(100).assign(day="2024-05-30")
    pd.concat([frame, later]).to_csv(bench.table, index=False)
    outcome = bench.run("b", TimeColumn="day")
    second = bench.store.manifest(MODEL, "2")
    assert second.training.holdout.after == "2024-05-19"
    assert f"on {second.training.test_rows} untouched rows" in outcome.why
    with pytest.raises(TableError, match=r"no column 'dya'\. Did you mean 'day'"):
        bench.run("c", TimeColumn="dya")
    assert bench.steps("c")["validate"].status == "Failed"


def test_what_is_no_table_is_said(bench):
    with pytest.raises(JobUnusable, match="no file"):
        bench.run("a", Table="nowhere.csv")
    assert bench.steps("a")["ingest"].status == "Failed"
    with pytest.raises(JobUnusable, match="Target"):
        bench.run("a", Target=None)


@pytest.mark.e2e
def test_a_bundle_that_was_tampered_with_is_not_promoted(bench):
    bench.run("a")
    bench.run("b", Seed=3, Margin=0.5)
    graph = bench.store.path(MODEL, "2") / "scorer.onnx"
    graph.write_bytes(graph.read_bytes() + b" ")
    candidate = Version(MODEL, "2", "")
    with pytest.raises(BundleError, match=r"scorer\.onnx"):
        release.prove(candidate, bench.context("c"))


@pytest.mark.e2e
def test_a_promoted_version_is_tried_on_the_endpoint(bench, tmp_path):
    bench.run("a")
    with serve(tmp_path, bench.places.models) as endpoint:
        wait_until(lambda: endpoint.anonymous.get("/health/ready").status_code == 200)
        bench.places = bench.places.model_copy(update={"endpoint": endpoint.url})
        champion = bench.store.champion(MODEL)
        bench.run("b", Seed=4, Margin=0.9)
        context = bench.context("c")
        candidate = Version(MODEL, "2", "")
        before = champion_of(bench.store, MODEL)
        promotion = release.Promotion(version_of(bench.store, MODEL, "2"), before)
        release.promote(promotion, context)
        assert release.smoke_test(promotion, context).rows == 2
        assert endpoint.anonymous.get("/health/ready").json()["version"] == candidate.version
        assert champion.version == "1"


@pytest.mark.e2e
@pytest.mark.parametrize(("pinned", "rows"), [("", 2), (MODEL, 0)])
def test_an_endpoint_of_another_model_is_waited_for_unless_it_is_pinned_to_that(bench, tmp_path, pinned, rows):
    bench.run("a")
    with serve(tmp_path, bench.places.models, MODEL=pinned) as endpoint:
        wait_until(lambda: endpoint.anonymous.get("/health/ready").status_code == 200)
        bench.places = bench.places.model_copy(update={"endpoint": endpoint.url})
        bench.run("b", Model="piped", Margin=0.9)
        promotion = release.Promotion(version_of(bench.store, "piped", "1"), None)
        release.promote(promotion, bench.context("b"))
        smoke = release.smoke_test(promotion, bench.context("b"))
        assert (smoke.rows, smoke.skipped) == (rows, pinned and f"the endpoint serves {MODEL}")
        served = endpoint.anonymous.get("/health/ready").json()
        assert (served["model"], served["pinned"]) == (pinned or "piped", bool(pinned))


@pytest.mark.e2e
def test_an_endpoint_that_does_not_take_it_over_brings_the_champion_back(bench, monkeypatch):
    monkeypatch.setattr(release, "TAKEN_OVER_SECONDS", 0.3)
    bench.places = bench.places.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    bench.run("a")
    bench.run("b", Seed=4, Margin=0.9)
    promotion = release.Promotion(version_of(bench.store, MODEL, "2"), version_of(bench.store, MODEL, "1"))
    release.promote(promotion, bench.context("c"))
    with pytest.raises(SmokeTestFailed, match="Version 1 is the champion again"):
        release.smoke_test(promotion, bench.context("c"))
    assert bench.store.champion(MODEL).version == "1"


def test_a_batch_is_scored_at_the_end_by_the_champion(bench, tmp_path):
    output = tmp_path / "scored.csv"
    bench.run("a", BatchInput=str(bench.table), BatchOutput=str(output))
    step = bench.steps("a")["batch-score"]
    assert step.metrics["rows"] == 600
    assert output.read_text().splitlines()[0].endswith("probability_no,probability_yes")
    assert json.loads((tmp_path / "scored.csv.batch.json").read_bytes())["rows"] == 600


def test_one_process_runs_a_run(bench):
    folder, second = RunFolder(bench.places.data, "a"), RunFolder(bench.places.data, "a")
    assert not folder.is_held()
    began = threading.Event()

    def wait_for_its_turn():
        with second.held():
            began.set()

    with folder.held():
        assert second.is_held()
        thread = threading.Thread(target=wait_for_its_turn)
        thread.start()
        assert not began.wait(0.2)
    thread.join(30)
    assert began.is_set()
    assert not folder.is_held()
