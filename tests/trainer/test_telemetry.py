"""What a training tells, to a real receiver."""

from itertools import pairwise

import pytest

from bundle import Store
from observability.telemetry import Settings
from tests.conftest import Silent, free_port, quick
from tests.sink import Sink, attributes
from trainer.errors import TableError
from trainer.table import read_table
from trainer.telemetry import train_told


def told(sink, request, store):
    return train_told(request, store, Silent(), Settings(endpoint=sink.url, interval_seconds=0.2))


def test_a_training_is_one_trace_of_steps_and_trials(tmp_path, shop_csv):
    sink = Sink(free_port())
    with sink:
        manifest = told(sink, quick(read_table(shop_csv), "buys", positive="yes"), Store(tmp_path))
    spans = {span.span_id: span for _, span in sink.spans}
    (whole,) = [span for span in spans.values() if not span.parent_span_id]
    assert whole.name == "train shop"
    assert {span.trace_id for span in spans.values()} == {whole.trace_id}
    steps = [span for span in spans.values() if span.parent_span_id == whole.span_id]
    order = [span.name for span in sorted(steps, key=lambda span: span.start_time_unix_nano)]
    assert order == [
        "Guardrails", "Known good configurations", "Search", "Final round, out of fold", "Fit on all training rows",
        "Export and parity gate", "Report and bundle",
    ]  # fmt: skip
    for one, following in pairwise(steps):
        assert one.end_time_unix_nano <= following.start_time_unix_nano
    trials = [span for span in spans.values() if span.name.startswith("trial ")]
    assert len(trials) == manifest.training.trials
    assert {spans[trial.parent_span_id].name for trial in trials} == {"Search"}
    assert all(attributes(trial)["ml.trial.score"] <= attributes(trial)["ml.trial.best"] for trial in trials)

    counts = [metric for _, metric in sink.metrics if metric.name == "ml.training.trials"][-1].sum.data_points
    assert sum(point.as_int for point in counts) == manifest.training.trials
    (event,) = [attributes(record) for _, record in sink.logs if record.body.string_value == "model.trained"]
    assert (event["ml.model.name"], event["ml.model.version"]) == ("shop", "1")
    assert event["ml.metric.accuracy"] == manifest.metrics["accuracy"]
    lines = [record for _, record in sink.logs if attributes(record).get("logger") == "homeport.trainer"]
    assert [record.body.string_value for record in lines][:1] == ["training of shop on 600 rows begins"]
    assert all(record.span_id in spans for record in lines)
    resource, _ = sink.spans[0]
    assert (resource["service.namespace"], resource["service.name"]) == ("homeport", "trainer")


def test_a_failed_training_says_so_and_quotes_nothing(tmp_path, shop_csv):
    sink = Sink(free_port())
    with sink, pytest.raises(TableError):
        told(sink, quick(read_table(shop_csv), "a secret name"), Store(tmp_path))
    (whole,) = [span for _, span in sink.spans if not span.parent_span_id]
    assert whole.status.code == whole.status.STATUS_CODE_ERROR
    assert attributes(whole)["error.type"] == "TableError"
    (failure,) = [record for _, record in sink.logs if record.severity_text == "ERROR"]
    assert attributes(failure)["exception.type"] == "TableError"
    assert "secret" not in str(sink.spans) + str(sink.logs)


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:1"], ids=["nowhere", "nobody there"])
def test_a_training_needs_nobody_to_listen(tmp_path, shop_csv, endpoint):
    request = quick(read_table(shop_csv), "buys", max_trials=2)
    settings = Settings(endpoint=endpoint, interval_seconds=0.2)
    assert train_told(request, Store(tmp_path), Silent(), settings).version == "1"
