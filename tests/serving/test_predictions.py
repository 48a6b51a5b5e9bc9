"""Model telemetry: what an endpoint tells of its answers and of its input."""

from collections import Counter

import numpy as np
import pytest

from bundle.drift import read_baseline
from serving.predictions import INPUT_ROWS, WAITING_ROWS, Predictions, told
from serving.scorer import Scorer
from tests.conftest import free_port, serve, shop_frame, wait_until
from tests.sink import Sink, attributes


@pytest.fixture
def scorer(shop_bundle):
    return Scorer(shop_bundle)


@pytest.fixture
def predictions(scorer, shop_bundle):
    """Counts what the scorer scores; a window is full with 100 rows."""
    made = Predictions(scorer.manifest, read_baseline(shop_bundle), window_rows=100, window_seconds=0)
    scorer.observers = (made.offer,)
    return made


def shop_rows(count, **changes):
    frame = shop_frame(count, seed=3)
    frame = frame.astype(object).where(frame.notna(), None).drop(columns="buys")
    return [row | changes for row in frame.to_dict("records")]


def points(predictions, name, label):
    """What is told under a name, by one of its attributes."""
    (metric,) = [metric for metric in told([predictions], 0, 1) if metric.name == name]
    return {point.attributes.get(label): point for point in metric.data.data_points}


def values(predictions, name, label):
    return {key: point.value for key, point in points(predictions, name, label).items()}


def test_each_answer_is_counted_once(scorer, predictions):
    rows = scorer.rows(shop_rows(350))
    labels = [label for start in (0, 1, 2, 50) for label in scorer.score(rows[start:300], "predict")]
    found = values(predictions, "ml.prediction.class.count", "ml.class")
    assert {name: count for name, count in found.items() if count} == Counter(map(str, labels))
    (sizes,) = points(predictions, "ml.prediction.batch.rows", "").values()
    assert (sizes.count, sizes.sum, sizes.min, sizes.max) == (4, len(labels), 250, 300)
    (confidence,) = points(predictions, "ml.prediction.confidence", "").values()
    assert confidence.count == len(labels)
    assert 0.5 <= confidence.min <= confidence.max <= 1


def test_unseen_and_missing_are_counted_by_feature(scorer, predictions):
    rows = shop_rows(10, colour=None) + shop_rows(20, colour="a colour nobody had") + shop_rows(5, age=None)
    scorer.outputs(scorer.rows(rows))
    assert values(predictions, "ml.feature.unseen", "ml.feature")["colour"] == 20
    assert values(predictions, "ml.feature.missing", "ml.feature")["colour"] >= 10
    assert values(predictions, "ml.feature.missing", "ml.feature")["age"] >= 5
    assert values(predictions, "ml.feature.rows", "")[None] == 35


def test_drift_is_told_once_a_full_window(scorer, predictions):
    def drift():
        found = told([predictions], 0, 1)
        return {
            point.attributes.get("ml.feature", ""): point.value
            for metric in found if metric.name.endswith(".drift.psi") for point in metric.data.data_points
        }  # fmt: skip

    scorer.outputs(scorer.rows(shop_rows(99)))
    assert drift() == {}, "too few"
    scorer.outputs(scorer.rows(shop_rows(900)))
    found = drift()
    assert set(found) == {"", *(column.name for column in scorer.manifest.columns)}
    assert max(value for name, value in found.items() if name) < 0.1, "rows like those that it was trained on"
    assert drift() == {}, "nothing new came"
    scorer.outputs(scorer.rows(shop_rows(900, age=79)))
    found = drift()
    assert found["age"] > 0.25
    assert found["colour"] < 0.1


def test_of_a_long_request_all_answers_count_and_the_first_inputs(scorer, predictions):
    rows = scorer.rows(shop_rows(INPUT_ROWS + 500))
    scorer.outputs(rows)
    assert sum(values(predictions, "ml.prediction.class.count", "ml.class").values()) == len(rows)
    assert values(predictions, "ml.feature.rows", "")[None] == INPUT_ROWS


def test_what_waits_is_bounded_and_nothing_is_lost(scorer, predictions):
    outputs = np.tile(np.array([[0.1, 0.9]], dtype=np.float32), (1_000, 1))
    for _ in range(2 * WAITING_ROWS // 1_000 + 5):
        predictions.offer([], outputs)
        assert predictions._waiting_rows <= WAITING_ROWS
    counts = values(predictions, "ml.prediction.class.count", "ml.class")
    assert sum(counts.values()) == 2 * WAITING_ROWS + 5_000


def test_two_workers_and_a_new_champion_are_told_apart(tmp_path, store, complete_row, monkeypatch):
    sink = Sink(free_port())
    for name, value in {"ENDPOINT": sink.url, "INTERVAL_SECONDS": "0.2"}.items():
        monkeypatch.setenv(f"HOMEPORT_TELEMETRY_{name}", value)
    with sink, serve(tmp_path, store.root, WORKERS="2") as running:

        def ask(count):
            for _ in range(count):
                answer = running.client.post(
                    "/score", json={"data": [complete_row] * 3}, headers={"Connection": "close"}
                )
                asked[answer.headers["x-model-version"]] += 3

        asked = Counter()
        ask(30)
        store.promote("shop", "2")
        wait_until(lambda: asked["2"] or ask(1))
        ask(30)
        running.process.terminate()
        running.process.wait(20)
    counted, newest = Counter(), {}
    for resource, metric in sink.metrics:
        if metric.name == "ml.prediction.class.count":
            for point in metric.sum.data_points:
                found = attributes(point)
                newest[resource["service.instance.id"], found["ml.model.version"], found["ml.class"]] = point.as_int
    for (_, version, _), count in newest.items():
        counted[version] += count
    assert counted == asked
    events = [attributes(record) for _, record in sink.logs if "model.loaded" in str(record)]
    assert {event["ml.model.version"] for event in events} == {"1", "2"}
