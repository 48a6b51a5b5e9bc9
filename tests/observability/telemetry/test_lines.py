"""Python's log lines as OTLP's."""

import logging

from opentelemetry.sdk.resources import Resource

from observability.telemetry import LogTap


def test_an_exception_is_sent_without_its_message_which_may_quote_a_row():
    kept = []
    log = logging.getLogger("homeport.test")
    log.addHandler(tap := LogTap(Resource({}), kept.append))
    try:
        raise ValueError("a private value")
    except ValueError:
        log.exception("it failed")
    finally:
        log.removeHandler(tap)
    (line,) = kept
    assert line.log_record.body == "it failed"
    assert line.log_record.attributes["exception.type"] == "ValueError"
    assert "test_lines.py" in line.log_record.attributes["exception.stacktrace"]
    assert "private" not in str(line.log_record.attributes).replace('ValueError("a private value")', "")
