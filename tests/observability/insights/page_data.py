"""Twenty minutes of telemetry that the page has something to show of in each view."""

from __future__ import annotations

import os

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.observability.insights.conftest import NOW, Running, any_value, logs, metrics, pairs, span, traces

MINUTE = 60 * 10**9
DELTA = 1
HTML = "<img src=x onerror=\"document.title='run'\">"
ONE = os.urandom(16)  # an operation with a span, a dependency, a line and an exception
TOLD = os.urandom(16).hex()  # the id that a client was told of a request in a trace of its own
OWN = os.urandom(16)


def point(metric: str, value: float, at: int, count: int = 0, **attributes) -> Metric:
    """A histogram where there is a count, else a sum."""
    found = Metric(name=metric)
    data = found.histogram if count else found.sum
    data.aggregation_temporality = DELTA
    told = data.data_points.add(
        start_time_unix_nano=at - 10**9, time_unix_nano=at,
        attributes=pairs({name.replace("__", "."): value for name, value in attributes.items()}),
    )  # fmt: skip
    if count:
        told.count, told.sum, told.min, told.max = count, value, value / count, value / count
    else:
        told.as_double = value
    return found


def request(status: int, at: int, milliseconds: int = 4, **fields) -> Span:
    attributes = {
        "http.request.method": "POST", "http.route": "/score", "http.response.status_code": status,
        "url.path": "/score", "ml.model.name": "shop", "ml.model.version": "2", "ml.rows": 1, "homeport.key": "primary",
    } | fields.pop("attributes", {})  # fmt: skip
    return span(start=at, milliseconds=milliseconds, attributes=attributes, **fields)


def event(name: str, at: int, **attributes) -> LogRecord:
    given = {
        "microsoft.custom_event.name": name,
        **{key.replace("__", "."): value for key, value in attributes.items()},
    }
    return LogRecord(time_unix_nano=at, attributes=pairs(given))


def send(running: Running) -> None:
    """Twenty minutes of two versions of a model: version 2 took over ten minutes ago, and its input has moved."""
    spans, found = [], []
    for minute in range(20):
        at, version = NOW - (20 - minute) * MINUTE, "1" if minute < 10 else "2"
        model = {"ml__model__name": "shop", "ml__model__version": version}
        for status, count in ((200, 90), (400, 6), (503, minute % 2)):
            if count:
                labels = {"http__request__method": "POST", "http__route": "/score", "homeport__key": "primary"}
                found.append(
                    point("http.server.request.duration", count * 0.004, at, count,
                          http__response__status_code=status, **labels)
                )  # fmt: skip
                spans.append(request(status, at, attributes={"ml.model.version": version}))
        found.append(point("ml.prediction.rows", 90, at, **model))
        for name, rows in (("no", 60 if version == "1" else 30), ("yes", 30 if version == "1" else 60)):
            found.append(point("ml.prediction.class.count", rows, at, ml__class=name, **model))
            found.append(point("ml.prediction.confidence", rows * 0.8, at, rows, ml__class=name, **model))
        for feature, psi in (("age", 0.02), ("colour", 0.15), ("spend", 0.02 if version == "1" else 0.6)):
            found.append(gauge("ml.feature.drift.psi", psi, at, ml__feature=feature, **model))
            found.append(point("ml.feature.missing", 9, at, ml__feature=feature, **model))
            found.append(point("ml.feature.unseen", 0, at, ml__feature=feature, **model))
        found.append(point("ml.feature.rows", 90, at, **model))
    root, at = os.urandom(8), NOW - 5 * MINUTE
    spans += [
        request(500, at, 40, trace_id=ONE, span_id=root),
        span("SELECT features", Span.SPAN_KIND_CLIENT, start=at + 10_000_000, milliseconds=20, trace_id=ONE,
             parent_span_id=root, attributes={"db.system": "postgresql", "server.address": "features"}),
        request(200, at, trace_id=OWN, attributes={"homeport.request": TOLD}),
        request(404, at, attributes={"http.route": HTML, "url.path": f"/{HTML}"}, name=f"GET {HTML}"),
    ]  # fmt: skip
    ids = {"trace_id": ONE, "span_id": root}
    records = [
        event("model.loaded", NOW - 21 * MINUTE, ml__model__name="shop", ml__model__version="1"),
        event("model.loaded", NOW - 10 * MINUTE, ml__model__name="shop", ml__model__version="2"),
        LogRecord(time_unix_nano=at, body=any_value("the model failed"), severity_number=17, **ids),
        LogRecord(time_unix_nano=at, body=any_value(HTML), severity_number=9),
        LogRecord(
            time_unix_nano=at, severity_number=17, **ids,
            attributes=pairs({"exception.type": "ZeroDivisionError", "exception.message": HTML}),
        ),
    ]  # fmt: skip
    running.take(traces(*spans))
    running.take(metrics(*found))
    running.take(logs(*records))


def gauge(name: str, value: float, at: int, **attributes) -> Metric:
    found = Metric(name=name)
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    found.gauge.data_points.add(as_double=value, time_unix_nano=at, attributes=pairs(given))
    return found
