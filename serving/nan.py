"""JSON with NaN in it, which is no JSON, and which the clients of Triton and MLflow write for missing numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")

# A string is matched whole, to be left as it is, and to the end where it has none: that keeps the time linear
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|NaN', re.DOTALL)


def nan_as_null(decode: Callable[[bytes | memoryview], T], body: bytes | memoryview) -> T:
    """Decode with NaN as null. Raises what `decode` does."""
    try:
        return decode(body)
    except msgspec.DecodeError:
        text = bytes(body)
        if b"NaN" not in text:
            raise
        return decode(_STRING_OR_NAN.sub(lambda match: b"null" if match[0] == b"NaN" else match[0], text))
