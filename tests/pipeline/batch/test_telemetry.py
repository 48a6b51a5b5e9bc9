"""What a batch tells, to a real receiver."""

import pytest

from observability.telemetry import Settings
from pipeline.batch.run import Request
from pipeline.batch.telemetry import run_told
from pipeline.errors import TooManyBadRows
from tests.conftest import free_port, shop_frame, write_csv
from tests.pipeline.batch.conftest import Watching
from tests.sink import Sink, attributes


@pytest.fixture
def secretive_csv(tmp_path):
    frame = shop_frame(50).astype(object)
    frame.loc[[7, 30], "age"] = "a secret"
    return write_csv(frame, tmp_path / "new.csv")


def told(sink, source, bundle, **options):
    request = Request(str(source), str(source.parent / "scored.csv"), bundle, 10, checkpoint_rows=20, **options)
    return run_told(request, Watching(), Settings(endpoint=sink.url, interval_seconds=0.2))


def sums(sink, name):
    return [metric for _, metric in sink.metrics if metric.name == name][-1].sum.data_points[0].as_int


def test_a_batch_is_one_trace_with_its_rows(secretive_csv, shop_bundle):
    with Sink(free_port()) as sink:
        told(sink, secretive_csv, shop_bundle)
    spans = [span for _, span in sink.spans]
    (whole,) = [span for span in spans if not span.parent_span_id]
    assert whole.name == "batch shop"
    assert {span.trace_id for span in spans} == {whole.trace_id}
    parts = [attributes(span) for span in spans if span.name == "rows"]
    assert sum(part["ml.batch.rows"] for part in parts) == sums(sink, "ml.batch.rows") == 48
    assert sum(part["ml.batch.bad"] for part in parts) == sums(sink, "ml.batch.bad") == 2
    (event,) = [attributes(record) for _, record in sink.logs if record.body.string_value == "batch.scored"]
    assert (event["ml.model.name"], event["ml.model.version"], event["ml.batch.rows"]) == ("shop", "1", 48)
    assert sink.spans[0][0]["service.name"] == "batch"


def test_a_batch_that_fails_says_so_and_quotes_nothing(secretive_csv, shop_bundle):
    with Sink(free_port()) as sink, pytest.raises(TooManyBadRows):
        told(sink, secretive_csv, shop_bundle, error_threshold=1)
    (whole,) = [span for _, span in sink.spans if not span.parent_span_id]
    assert attributes(whole)["error.type"] == "TooManyBadRows"
    (failure,) = [record for _, record in sink.logs if record.severity_text == "ERROR"]
    assert attributes(failure)["exception.type"] == "TooManyBadRows"
    assert "secret" not in str(sink.spans) + str(sink.logs)


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:1"], ids=["nowhere", "nobody there"])
def test_a_batch_needs_nobody_to_listen(secretive_csv, shop_bundle, endpoint):
    request = Request(str(secretive_csv), str(secretive_csv.parent / "scored.csv"), shop_bundle)
    assert run_told(request, Watching(), Settings(endpoint=endpoint, interval_seconds=0.2)).record.rows == 48
