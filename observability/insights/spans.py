"""Spans to requests and dependencies; their events to exceptions and traces."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from observability.insights.attributes import Attributes, Sender, first, item_count, read, read_sender, text
from observability.insights.batch import Batch
from observability.insights.tables import as_json

_REQUESTS = {Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER}
_FAILED = 400  # the first status of HTTP that Application Insights counts as failed


def add_spans(export: ExportTraceServiceRequest, batch: Batch) -> None:
    """Add what a traces export holds."""
    for resource in export.resource_spans:
        sender = read_sender(resource.resource)
        for scope in resource.scope_spans:
            batch.receive("spans", len(scope.spans))
            for span in scope.spans:
                if len(span.trace_id) != 16 or len(span.span_id) != 8:
                    batch.rejected["a trace id is 16 bytes, a span id 8"] += 1
                elif batch.timely(span.start_time_unix_nano):
                    _add(span, sender, batch)


def _add(span: Span, sender: Sender, batch: Batch) -> None:
    attributes = read(span.attributes)
    code = first(attributes, "http.response.status_code", "http.status_code", "rpc.grpc.status_code")
    success = span.status.code != Status.STATUS_CODE_ERROR and not (isinstance(code, int) and code >= _FAILED)
    duration = max(0, span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
    started = span.start_time_unix_nano // 1000
    count, is_request = item_count(attributes), span.kind in _REQUESTS
    operation, trace_id, span_id = span.name if is_request else None, span.trace_id.hex(), span.span_id.hex()
    call = (success, "0" if code is None else str(code), duration)
    common = (
        as_json(attributes), operation, trace_id, span.parent_span_id.hex() or None, sender.role, sender.instance, count
    )  # fmt: skip
    if is_request:
        batch.add("requests", (started, span_id, span.name, _url(attributes), *call, *common))
    else:
        target, data = _target(attributes), text(first(attributes, "url.full", "http.url", "db.query.text"))
        kind = _type(span, attributes)
        batch.add("dependencies", (started, span_id, span.name, kind, target, data, *call, *common))
    for event in span.events:
        if not batch.timely(event.time_unix_nano):
            continue
        happened = event.time_unix_nano // 1000 or started
        details = read(event.attributes)
        common = (as_json(details), operation, trace_id, span_id, sender.role, sender.instance, count)
        if event.name == "exception":
            batch.add("exceptions", (happened, *exception(details), 3, *common))
        else:
            batch.add("traces", (happened, event.name, None, *common))


def exception(attributes: Attributes) -> tuple[str | None, str | None, str | None, str]:
    """The columns of an exception from its attributes: type, outerMessage, problemId, details."""
    kind, message = text(attributes.get("exception.type")), text(attributes.get("exception.message"))
    stack = text(attributes.get("exception.stacktrace"))
    return kind, message, kind, as_json([{"type": kind, "message": message, "rawStack": stack}])


def _url(attributes: Attributes) -> str | None:
    whole, path = first(attributes, "url.full", "http.url"), first(attributes, "url.path", "http.target")
    host = _target(attributes)
    if whole is not None or path is None or host is None:
        return text(whole if whole is not None else path)
    query = f"?{attributes['url.query']}" if attributes.get("url.query") else ""
    return f"{first(attributes, 'url.scheme', 'http.scheme') or 'http'}://{host}{path}{query}"


def _target(attributes: Attributes) -> str | None:
    address = first(attributes, "server.address", "net.peer.name", "peer.service", "db.namespace")
    port = attributes.get("server.port")
    return text(address) if address is None or port is None else f"{address}:{port}"


def _type(span: Span, attributes: Attributes) -> str:
    if first(attributes, "http.request.method", "http.method") is not None:
        return "HTTP"
    system = first(attributes, "db.system.name", "db.system", "messaging.system", "rpc.system")
    if system is not None:
        return str(system)
    return "InProc" if span.kind == Span.SPAN_KIND_INTERNAL else ""
