"""OTLP over HTTP as bytes: what comes in as protobuf or JSON, and what is answered in the same encoding."""

from __future__ import annotations

import base64
import binascii
import zlib
from enum import Enum
from typing import Any

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from observability.insights.errors import BodyTooLarge, InvalidExport, MediaUnsupported

_IDS = {"traceId", "spanId", "parentSpanId"}
_CHUNK = 1_048_576


class Signal(Enum):
    """The three kinds of export; the value is the last part of the path."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


_REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_RESPONSES: dict[Signal, tuple[Any, str]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


class Encoding(Enum):
    """How messages are written; the value is the content type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"

    @classmethod
    def of(cls, content_type: str) -> Encoding:
        """Raises MediaUnsupported for any other content type."""
        try:
            return cls(content_type.partition(";")[0].strip().lower())
        except ValueError:
            raise MediaUnsupported(
                f"OTLP is {cls.PROTOBUF.value} or {cls.JSON.value}, not '{content_type[:100]}': set Content-Type."
            ) from None


def decompress(body: bytes, coding: str, limit: int) -> bytes:
    """Undo `Content-Encoding`. Never holds more than `limit` bytes of the result.

    Raises BodyTooLarge, MediaUnsupported for anything but gzip, InvalidExport if it is none.
    """
    if coding in ("", "identity"):
        return body
    if coding != "gzip":
        raise MediaUnsupported(f"Bodies are gzip or not compressed, not '{coding[:100]}'.")
    whole = bytearray()
    try:
        while body:  # a gzip file may have several members
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                part = member.decompress(body, min(_CHUNK, limit + 1 - len(whole)))
                body = member.unconsumed_tail
                whole += part
                if len(whole) > limit:
                    raise BodyTooLarge(f"The body is longer than {limit:,} bytes once it is decompressed.")
                if not (part or body or member.eof):
                    raise InvalidExport("The body is gzip that ends too early.")
            body = member.unused_data
    except zlib.error as error:
        raise InvalidExport(f"The body is no gzip: {error}.") from None
    return bytes(whole)


def parse(signal: Signal, body: bytes, encoding: Encoding) -> Any:
    """The `Export…ServiceRequest` of the signal. Raises InvalidExport on a body that is none."""
    message = _REQUESTS[signal]()
    try:
        if encoding is Encoding.PROTOBUF:
            message.ParseFromString(body)
        else:
            document = msgspec.json.decode(body, type=dict[str, Any])
            _convert_ids(document)
            json_format.ParseDict(document, message, ignore_unknown_fields=True)
    except (DecodeError, json_format.ParseError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidExport(f"The body is no {type(message).__name__}: {str(error)[:300]}") from None
    return message


def answer(signal: Signal, encoding: Encoding, rejected: int, reason: str) -> bytes:
    """The body of a 200: empty, or a partial success that says how many items were not taken and why."""
    kind, name = _RESPONSES[signal]
    message = kind()
    if rejected:
        setattr(message.partial_success, name, rejected)
        message.partial_success.error_message = reason
    if encoding is Encoding.PROTOBUF:
        return bytes(message.SerializeToString())
    return str(json_format.MessageToJson(message, indent=None)).encode()


def status(encoding: Encoding, reason: str) -> bytes:
    """The body of a refusal: `google.rpc.Status`, whose field 2 is the message."""
    if encoding is Encoding.JSON:
        return msgspec.json.encode({"message": reason})
    text = reason.encode()
    length, size = bytearray(), len(text)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return b"\x12" + bytes([*length, size]) + text


def _convert_ids(document: Any) -> None:
    """In OTLP's JSON ids are hexadecimal; protobuf's reader takes bytes as base64."""
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            for name, value in node.items():
                if name in _IDS and isinstance(value, str):
                    try:
                        node[name] = base64.b64encode(bytes.fromhex(value)).decode()
                    except (ValueError, binascii.Error):
                        raise InvalidExport(f"{name} '{value[:50]}' is not hexadecimal.") from None
                else:
                    waiting.append(value)
