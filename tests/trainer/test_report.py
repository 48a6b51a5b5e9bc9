"""What the report says is true: against scikit-learn, against tables with planted facts, and of any names."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from bundle import Store
from tests.conftest import MODEL, Silent, quick, shop_frame, write_csv
from trainer.columns import describe, matrix
from trainer.job import train
from trainer.metrics import METRICS
from trainer.report import plots, plots_of_classes
from trainer.report.bins import bins
from trainer.report.curves import calibration, class_curves, confusion
from trainer.report.dependence import dependences
from trainer.report.drawing import drawing
from trainer.report.groups import LEAST_ROWS, compare
from trainer.report.influence import standard_error
from trainer.report.ranking import rank
from trainer.report.residuals import residuals
from trainer.report.scored import Scored
from trainer.report.wrong import most_wrong
from trainer.search import Trial

HOSTILE = "<script>alert(1)</script> $x_$ {{ 7*7 }} | 😀 & \"'"


def scored(frame, values, answers, *, task="binary", classes=("no", "yes"), threshold=0.5, metric=None):
    """Rows with answers that are a function of the encoded matrix."""
    columns = describe(frame)
    x = matrix(frame, columns)
    outputs = answers(x)
    positive = 1 if task == "binary" else None
    predicted = outputs if task == "regression" else outputs.argmax(axis=1)
    if positive:
        predicted = (outputs[:, 1] >= threshold).astype(int)
    name = metric or {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[task]
    shown = () if task == "regression" else classes
    return Scored(
        task, shown, positive, columns, METRICS[name], frame, x, np.asarray(values), outputs, predicted,
        len(frame), answers,
    )  # fmt: skip


def two(probability):
    return np.stack([1 - probability, probability], axis=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def binary():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=3000), "town": rng.choice(["x", "y", "z"], 3000)})
    values = (rng.random(3000) < sigmoid(1.5 * frame["a"])).astype(int)
    return scored(frame, values, lambda x: two(sigmoid(1.5 * x[:, 0].astype(float))), threshold=0.3)


def test_curves_are_scikit_learns(binary):
    (found,) = class_curves(binary)
    given = binary.outputs[:, 1]
    assert found.roc.area == pytest.approx(sk.roc_auc_score(binary.values, given))
    assert found.recall.area == pytest.approx(sk.average_precision_score(binary.values, given))
    assert len(found.roc.x) <= 201
    assert sk.auc(found.roc.x, found.roc.y) == pytest.approx(found.roc.area, abs=0.003)  # points were left out
    said = given >= 0.3
    assert found.mark[1] == pytest.approx(sk.recall_score(binary.values, said))
    assert found.mark[2] == pytest.approx(sk.precision_score(binary.values, said))
    assert found.mark[3] == pytest.approx(said.mean())
    assert (found.gains.x[-1], found.gains.y[-1]) == (1, 1)
    counts = confusion(binary).counts
    assert counts.tolist() == sk.confusion_matrix(binary.values, said).tolist()


def test_true_probabilities_are_calibrated_and_flattened_ones_are_not(binary):
    found = calibration(binary)
    assert found.counts.sum() == len(binary.values)
    assert found.gap < 0.03
    assert (found.low <= found.actual + 1e-9).all()
    assert (found.actual <= found.high + 1e-9).all()
    flattened = dataclasses.replace(binary, outputs=0.5 + (binary.outputs - 0.5) / 4)
    assert calibration(flattened).gap > 0.1


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "accuracy", "macro_f1"])
def test_standard_errors_are_those_of_a_bootstrap(binary, metric):
    rng = np.random.default_rng(1)
    again = []
    for _ in range(150):
        rows = rng.integers(0, 3000, 3000)
        again.append(METRICS[metric].function(binary.values[rows], binary.outputs[rows]))
    assert standard_error(metric, binary.values, binary.outputs) == pytest.approx(np.std(again), rel=0.2)


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_standard_errors_of_a_regression_are_those_of_a_bootstrap(metric):
    rng = np.random.default_rng(2)
    values = rng.normal(size=2000)
    outputs = values + rng.standard_t(6, 2000)
    again = []
    for _ in range(150):
        rows = rng.integers(0, 2000, 2000)
        again.append(METRICS[metric].function(values[rows], outputs[rows]))
    assert standard_error(metric, values, outputs) == pytest.approx(np.std(again), rel=0.25)


def test_a_planted_gap_is_flagged_and_noise_is_not(binary):
    names = ["town", "a"]
    found = compare(binary, names)
    assert [name for name, _ in found.gaps if name == "town"] == []
    assert found.biased == []
    values = binary.values.copy()
    inside = (binary.frame["town"] == "y").to_numpy()
    values[inside] = np.random.default_rng(3).integers(0, 2, inside.sum())  # here the model knows nothing
    found = compare(dataclasses.replace(binary, values=values), ["town"])
    assert [(name, group.label) for name, group in found.gaps] == [("town", "y")]
    ((_, group),) = found.gaps
    assert group.rows == inside.sum()
    assert group.score == pytest.approx(sk.roc_auc_score(values[inside], binary.outputs[inside, 1]))
    assert group.others == pytest.approx(sk.roc_auc_score(values[~inside], binary.outputs[~inside, 1]))
    values = np.where(inside, 1, binary.values)  # here it is always too low, and there is nothing to rank
    found = compare(dataclasses.replace(binary, values=values), ["town"])
    assert [(group.label, group.score) for _, group in found.biased] == [("y", None)]


def test_few_rows_are_never_flagged(binary):
    few = LEAST_ROWS - 1
    frame = binary.frame.assign(town=["rare"] * few + ["common"] * (3000 - few))
    values = np.where(np.arange(3000) < few, 1 - (binary.outputs[:, 1] > 0.5), binary.values)
    found = compare(scored(frame, values, binary.answers), ["town"])
    assert found.flagged == []
    assert {group.label: group.score for group in found.columns["town"]}["rare"] is None


def test_ten_models_without_gaps_show_next_to_none():
    flagged = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({f"c{place}": rng.choice(list("abcde"), 800) for place in range(10)} | {"a": 0.0})
        frame["a"] = rng.normal(size=800)
        values = (rng.random(800) < sigmoid(frame["a"])).astype(int)
        model = scored(frame, values, lambda x: two(sigmoid(x[:, -1].astype(float))))
        flagged += len(compare(model, [f"c{place}" for place in range(10)]).flagged)
    assert flagged <= 2


def test_ranking_and_dependence_of_a_known_function():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"twice": rng.normal(size=500), "once": rng.normal(size=500), "never": rng.normal(size=500)})

    def answers(x):
        return (2 * x[:, 0] + x[:, 1]).astype(float)

    model = scored(frame, answers(matrix(frame, describe(frame))), answers, task="regression")
    found = rank(model, model.x[:50], seed=0)
    assert list(found.means) == ["twice", "once", "never"]
    assert found.means["never"] == pytest.approx(0, abs=1e-12)
    assert found.means["twice"] / found.means["once"] == pytest.approx(2, rel=0.3)
    assert found.rows == 100
    one, _ = dependences(model, ["twice", "never"], "t", seed=0)
    ends = bins(model, 0, 10, ranges=False).typical[[0, -1]]
    assert one.answers[-1, 0] - one.answers[0, 0] == pytest.approx(2 * (ends[1] - ends[0]))
    assert one.shares.sum() == pytest.approx(1)


def test_bins_of_skewed_missing_and_rare_values():
    frame = pd.DataFrame(
        {
            "mostly": [999.0] * 95 + [1.0, 2.0, 3.0, 4.0, 5.0],
            "gaps": [None if place % 10 == 0 else float(place) for place in range(100)],
            "town": [f"t{place % 30}" for place in range(100)],
            "flag": [place % 3 == 0 for place in range(100)],
        }
    )
    model = scored(frame, np.arange(100) % 2, lambda x: two(np.full(len(x), 0.5)))
    assert bins(model, 0, 4, ranges=True).labels == ("1 to 5", "999")
    gaps = bins(model, 1, 4, ranges=True)
    assert gaps.labels[-1] == "missing"
    assert (gaps.place == len(gaps.labels) - 1).sum() == 10
    assert len(bins(model, 2, 8, ranges=True).labels) == 8
    assert bins(model, 3, 8, ranges=True).labels == ("false", "true")


def test_the_most_wrong_rows_are_the_most_wrong(binary):
    found = most_wrong(binary)
    losses = -np.log(binary.outputs[np.arange(3000), binary.values])
    assert -np.log(found[0].chance) == pytest.approx(losses.max())
    assert [row.chance for row in found] == sorted(row.chance for row in found)
    worst = binary.frame.iloc[int(losses.argmax())]
    assert found[0].values == {"a": pytest.approx(worst["a"]), "town": worst["town"]}


def test_errors_of_a_regression():
    frame = pd.DataFrame({"a": np.arange(1000.0)})
    values = np.arange(1000.0) + np.where(np.arange(1000) % 2, 3, -1)
    model = scored(frame, values, lambda x: x[:, 0].astype(float), task="regression")
    found = residuals(model, 0)
    assert found.counts.sum() == 1000
    assert found.within == (pytest.approx(2, abs=1), 3)
    assert most_wrong(model)[0].actual - most_wrong(model)[0].predicted == 3


def test_two_hundred_classes_of_which_some_have_no_rows():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"a": rng.normal(size=400)})
    classes = tuple(f"c{place}" for place in range(200))
    values = rng.integers(0, 100, 400)
    outputs = rng.dirichlet(np.ones(200), 400)
    model = scored(frame, values, lambda x: outputs[: len(x)], task="multiclass", classes=classes)
    assert len(class_curves(model)) == 6
    found = confusion(model)
    assert found.counts.shape == (12, 12)
    assert found.counts.sum() == 400
    assert found.labels[-1] == "189 others"
    assert calibration(model).counts.sum() == 400
    with drawing():
        assert "<svg" in plots_of_classes.roc(class_curves(model))


def test_figures_have_the_pages_colours_and_whole_labels():
    trials = [Trial(place, "lgbm", 0.123456 + place, 0.123456 + place, 1, place, {}) for place in range(20)]
    with drawing():
        svg = plots.search(trials, "$metric_ <b>", True)
        again = plots.search(trials, "$metric_ <b>", True)
        bars = plots.bars({"a": 0.001, "b": 0.0005}, {"a": 0.0, "b": 0.0}, "unit", "title")
    assert svg == again
    assert "$metric_ &lt;b&gt;" in svg
    assert "var(--c1)" in svg
    assert "currentColor" in svg
    assert "#00c0" not in svg
    assert "0.00050" in re.findall(r">([^<>]+)</text>", bars)


@pytest.fixture(params=["binary", "multiclass", "regression"])
def hostile_model(request, tmp_path):
    """A model of few rows whose columns, categories, classes and target have names that would break a page."""
    rng = np.random.default_rng(6)
    frame = shop_frame(60).drop(columns="buys").rename(columns={"age": HOSTILE, "colour": "€ <b>" + "long " * 40})
    frame["wide"] = [f"{HOSTILE} {place % 3}" for place in range(60)]
    target = f"target {HOSTILE}"
    if request.param == "regression":
        frame[target] = rng.normal(size=60)
    else:
        count = 2 if request.param == "binary" else 3
        frame[target] = [f"{HOSTILE} {place % count}" for place in range(60)]
    from trainer.table import read_table

    store = Store(tmp_path / "models")
    path = write_csv(frame, tmp_path / "t.csv")
    manifest = train(quick(read_table(path), target, max_trials=2, learners=("lgbm",)), store, Silent())
    return SimpleNamespace(manifest=manifest, folder=store.path(MODEL, manifest.version), task=request.param)


def test_hostile_names_and_few_rows(hostile_model):
    page = (hostile_model.folder / "report.html").read_text()
    assert hostile_model.manifest.task == hostile_model.task
    assert "<script" not in page
    assert "<b>long" not in page
    assert "{{ 7*7 }}" in page  # as it is
    assert "&lt;script&gt;" in page
    assert len(page) < 1_500_000
    outside = re.findall(r"(?:src|href)=\"(?!#)([^\"]+)\"|url\((?!#)([^)]+)\)|@import", page)
    assert outside == []
    card = (hostile_model.folder / "MODEL_CARD.md").read_text()
    assert card.startswith(f"# {MODEL}, version 1")


def test_the_report_of_an_ordinary_model(shop_store, shop_bundle):
    page = (shop_bundle / "report.html").read_text()
    manifest = shop_store.manifest(MODEL, "1")
    for section in ("summary", "metrics", "search", "guardrails", "quality", "importance", "dependence", "groups"):
        assert f'<section id="{section}">' in page
        assert f'href="#{section}"' in page
    assert f"{manifest.metrics['AUC_weighted']:.4f}" in page
    assert manifest.fingerprint.sha256 in page
    assert page.count("<svg") == 8 + len(manifest.columns)  # search, five curves, two importances, dependences
    assert len(page) < 500_000
