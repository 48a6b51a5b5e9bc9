"""What a dialect is asked, what it answers, and what a dialect is. No sockets and no ASGI here."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from typing import ClassVar

import msgspec

from serving.errors import MediaUnsupported, NotReady
from serving.scorer import Scorer

Headers = list[tuple[bytes, bytes]]
INLINE_BYTES_A_COLUMN = 1_600  # so that thousands of short rows do not hold up the event loop


class Request(msgspec.Struct, gc=False):
    """One call of a scoring path, its body whole."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]  # names in small letters
    id: bytes
    body: bytes = b""
    deadline: float = inf  # of `time.monotonic()`
    trace: int = 0  # the trace it is part of, once `spans.trace_of` was asked

    def demand_json(self) -> None:
        """Raise MediaUnsupported unless the body is declared as JSON."""
        media = self.headers.get(b"content-type", b"")
        if media != b"application/json" and media.split(b";")[0].strip().lower() != b"application/json":
            raise MediaUnsupported("Expects Content-Type to be application/json")


class Answer(msgspec.Struct, gc=False):
    """What goes back; `rows` is how many were scored."""

    body: bytes
    status: int = 200
    headers: Headers = []
    media: bytes = b"application/json"
    rows: int = 0


class Dialect(ABC):
    """One protocol over one scorer. It keeps nothing between requests, so any thread may call it."""

    name: ClassVar[str]
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    slow: ClassVar[bool] = False  # it takes milliseconds a row: never for the event loop
    failed: ClassVar[Headers] = []  # headers of the answer when the model itself has failed

    @abstractmethod
    def __init__(self, scorer: Scorer) -> None: ...

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """Read the rows, score them, word the answer. Raises ServingError."""

    @classmethod
    def refusal(cls, status: int, message: str) -> bytes:
        """The body that says what is wrong."""
        return worded({"message": message})

    @classmethod
    def headers(cls, request: Request) -> Headers:
        """Headers of every answer in this dialect, refusals included."""
        return []


class Mounted:
    """A dialect at its path: over the scorer that is served, or over the reason why there is none."""

    __slots__ = ("answer", "dialect", "inline_bytes", "methods", "model", "stamp", "version")

    def __init__(self, dialect: type[Dialect], scorer: Scorer | NotReady, inline_bytes: int) -> None:
        """Bodies of up to `inline_bytes` may be answered in the event loop, fewer where rows are short."""
        self.dialect = dialect
        self.methods = dialect.methods
        self.inline_bytes = 0 if dialect.slow else inline_bytes
        self.stamp: Headers = []
        self.model = self.version = ""
        self.answer: Callable[[Request], Answer]
        if isinstance(scorer, NotReady):
            self.answer = _raising(str(scorer))
        else:
            self.answer = dialect(scorer).answer
            self.inline_bytes = min(self.inline_bytes, INLINE_BYTES_A_COLUMN * len(scorer.manifest.columns))
            self.model, self.version = scorer.manifest.name, scorer.manifest.version
            self.stamp = [
                (b"x-model-name", scorer.manifest.name.encode()),
                (b"x-model-version", self.version.encode()),
            ]


def worded(error: dict[str, str]) -> bytes:
    """An error as JSON that a terminal shows as it is meant, ± included; a lone surrogate is escaped."""
    return json.dumps(error, ensure_ascii=False).encode(errors="backslashreplace")


def _raising(reason: str) -> Callable[[Request], Answer]:
    def answer(_: Request) -> Answer:
        raise NotReady(reason)

    return answer
