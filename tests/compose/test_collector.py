"""The collector as the stack runs it, between senders and a receiver of the test's own."""

import secrets
import time

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.compose.stack import docker, until
from tests.conftest import free_port
from tests.sink import Sink

pytestmark = pytest.mark.e2e

DECIDED = "otelcol_processor_tail_sampling_global_count_traces_sampled"
QUEUES = "/var/lib/homeport/collector"
HEALTH = "{{.State.Health.Status}}"


def attribute(name, value):
    kind = "int_value" if isinstance(value, int) else "string_value"
    return KeyValue(key=name, value=AnyValue(**{kind: value}))


def spans(*descriptions):
    """A request with one trace for each (name, seconds, status code, whether the server failed)."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(
        [attribute("service.name", "serving"), attribute("service.namespace", "homeport")]
    )
    scope = resource.scope_spans.add()
    now = time.time_ns()
    for name, seconds, status, failed in descriptions:
        scope.spans.append(
            Span(
                name=name,
                kind=Span.SPAN_KIND_SERVER,
                trace_id=secrets.token_bytes(16),
                span_id=secrets.token_bytes(8),
                start_time_unix_nano=now - int(seconds * 1e9),
                end_time_unix_nano=now,
                attributes=[
                    attribute("http.request.method", "POST"),
                    attribute("url.scheme", "http"),
                    attribute("url.path", "/score"),
                    attribute("http.route", "/score"),
                    attribute("http.response.status_code", status),
                ],
                status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
            )
        )
    return request


def metric(name):
    request = ExportMetricsServiceRequest()
    point = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name).gauge.data_points.add()
    point.time_unix_nano, point.as_int = time.time_ns(), 1
    return request


def log(*texts):
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for text in texts:
        records.add(time_unix_nano=time.time_ns()).body.string_value = text
    return request


def names(kept):
    return [item.name for _, item in kept]


def lines(sink):
    return [record.body.string_value for _, record in sink.logs]


def seen_from_containers(sink):
    return sink.url.replace("0.0.0.0", "host.docker.internal")


class Collector:
    """One container, with the volume and the restrictions of the stack's."""

    def __init__(self, image, sink, *options, **environment):
        self.name = f"homeport-test-{secrets.token_hex(4)}"
        self.port = free_port()
        variables = {"HOMEPORT_COLLECTOR_INSIGHTS": seen_from_containers(sink), **environment}
        docker(
            "run", "--detach", "--name", self.name, "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--memory=256m",
            "--security-opt=no-new-privileges", f"--publish=127.0.0.1:{self.port}:4318",
            f"--volume={self.name}:{QUEUES}", "--add-host=host.docker.internal:host-gateway",
            *(f"--env={name}={value}" for name, value in variables.items()), image, *options,
        )  # fmt: skip
        self.wait_healthy()

    def wait_healthy(self):
        until(lambda: docker("inspect", "--format", HEALTH, self.name).strip() == "healthy", "its health")

    def post(self, request):
        signal = type(request).__name__.removeprefix("Export").removesuffix("ServiceRequest").lower()
        return httpx.post(
            f"http://127.0.0.1:{self.port}/v1/{'traces' if signal == 'trace' else signal}",
            content=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        )

    def send(self, request):
        answer = self.post(request)
        assert answer.status_code == 200, answer.text

    def own(self, name):
        """The sum of one of the collector's own metrics."""
        text = docker(
            "exec", self.name, "bash", "-c",
            "exec 3<>/dev/tcp/127.0.0.1/8888 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3",
        )  # fmt: skip
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + "{"))

    def remove(self):
        docker("rm", "--force", self.name)
        docker("volume", "rm", self.name)


@pytest.fixture
def sink():
    """Which containers reach too."""
    return Sink(free_port(), "0.0.0.0")


@pytest.fixture
def start(images, sink):
    """Starts a collector, which is gone after the test."""
    started = []

    def run(*options, **environment):
        started.append(Collector(images["collector"], sink, *options, **environment))
        return started[-1]

    yield run
    for collector in started:
        collector.remove()


def test_all_signals_arrive(start, sink):
    collector = start()
    with sink:
        collector.send(spans(("POST /score", 0.001, 200, False)))
        collector.send(metric("a metric"))
        collector.send(log("a line"))
        until(lambda: sink.spans and sink.metrics and sink.logs, "all three signals")
    assert names(sink.spans) == ["POST /score"]
    assert names(sink.metrics) == ["a metric"]
    assert lines(sink) == ["a line"]


def test_failed_and_slow_requests_are_kept_whatever_the_share(start, sink):
    collector = start(HOMEPORT_COLLECTOR_SAMPLE_PERCENT="0")
    with sink:
        ordinary = [("ordinary", 0.001, 200, False)] * 20
        collector.send(
            spans(*ordinary, ("failed", 0.001, 500, True), ("refused", 0.001, 401, False), ("slow", 0.6, 200, False))
        )
        until(lambda: len(sink.spans) >= 3, "three spans")
        until(lambda: collector.own(DECIDED) >= 23, "all were decided on")
    assert sorted(names(sink.spans)) == ["failed", "refused", "slow"]


def test_what_was_acknowledged_survives_the_death_of_the_collector_while_insights_is_away(start, sink):
    collector = start()
    for number in range(100):
        collector.send(metric(f"metric {number}"))
        collector.send(log(f"line {number}"))
    collector.send(spans(*[(f"span {number}", 0.001, 500, True) for number in range(100)]))
    until(lambda: collector.own(DECIDED) >= 100, "all were decided on")
    docker("kill", "--signal=KILL", collector.name)
    docker("start", collector.name)
    collector.wait_healthy()
    with sink:
        until(lambda: len({*names(sink.metrics), *lines(sink), *names(sink.spans)}) == 300, "all that was sent")


def test_a_queue_larger_than_the_collectors_memory_is_bounded_outlives_it_and_gives_its_disk_back(start, sink):
    collector = start()
    accepted = 0
    while (answer := collector.post(log(*(f"{accepted + n} ".ljust(10_000) for n in range(100))))).status_code == 200:
        accepted += 100  # a megabyte
        assert accepted < 30_000, "there is no end of the queue"
    assert answer.status_code == 503  # OTLP's senders try again
    assert accepted > 25_600
    docker("kill", "--signal=KILL", collector.name)
    docker("start", collector.name)
    collector.wait_healthy()
    with sink:
        until(lambda: len(sink.logs) >= accepted, "all that was accepted")
        until(
            lambda: int(docker("exec", collector.name, "du", "-sm", QUEUES).split()[0]) < 10, "the disk is free again"
        )
    assert {int(line) for line in lines(sink)} == set(range(accepted))


def test_what_memory_has_no_room_for_is_refused_for_now(start):
    collector = start("--config", "env:TIGHT", TIGHT="processors: {memory_limiter: {limit_mib: 2, spike_limit_mib: 1}}")
    until(lambda: collector.post(log("a line")).status_code == 503, "a refusal that OTLP's senders try again")


def test_azure_gets_the_same_where_there_is_a_connection_string(start, sink):
    collector = start(
        APPLICATIONINSIGHTS_CONNECTION_STRING=f"InstrumentationKey={'0' * 8}-0000-0000-0000-{'0' * 12};"
        f"IngestionEndpoint={seen_from_containers(sink)}/"
    )
    with sink:
        collector.send(spans(("POST /score", 0.001, 500, True)))
        collector.send(log("a line"))
        collector.send(metric("a metric"))
        until(lambda: len(sink.envelopes) >= 3 and sink.spans, "three envelopes, and insights' own copy")
    kinds = {envelope["data"]["baseType"]: envelope for envelope in sink.envelopes}
    assert kinds.keys() == {"RequestData", "MessageData", "MetricData"}
    request = kinds["RequestData"]
    assert request["tags"]["ai.cloud.role"] == "homeport.serving"
    assert request["data"]["baseData"]["success"] is False
    assert request["data"]["baseData"]["responseCode"] == "500"
