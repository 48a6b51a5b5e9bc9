"""A step: a plain function from typed inputs to a typed output, and when its result may be taken over.

A result is known by the digest of what decides it: the inputs, which name files by their content, the
source of the packages that compute it, and the versions of those that learn. It is kept as JSON.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from bundle import Store
from bundle.store import replace_file
from pipeline.steps.record import Progress, RunFolder, StepRecord, now
from pipeline.steps.settings import Places

log = logging.getLogger("homeport.pipeline")

Input = TypeVar("Input", bound=msgspec.Struct)
Output = TypeVar("Output", bound=msgspec.Struct)

LEARNING = ("catboost", "flaml", "lightgbm", "numpy", "onnx", "scikit-learn", "xgboost-cpu")
TOLD_SECONDS = 0.5  # between two lines of progress in the record


class Context:
    """What a step has beside its inputs: where things are, and whom to tell how far it is."""

    def __init__(self, places: Places, folder: RunFolder, experiment: str = "") -> None:
        self.places, self.folder, self.experiment = places, folder, experiment
        self.store = Store(places.models)
        self._record = StepRecord(name="")
        self._told = 0.0

    @property
    def metrics(self) -> dict[str, float]:
        """Those of the step so far."""
        return dict(self._record.metrics)

    def tell(self, text: str, share: float | None = None, **metrics: float) -> None:
        """Say how far the step is; metrics are those so far."""
        known = {**self._record.metrics, **metrics}
        self._record = msgspec.structs.replace(self._record, progress=Progress(share, text), metrics=known)
        if time.monotonic() - self._told >= TOLD_SECONDS:
            self._told = time.monotonic()
            self.folder.write(self._record)

    def measured(self, metrics: dict[str, float]) -> None:
        """Metrics that stay with the step."""
        self._record = msgspec.structs.replace(self._record, metrics={**self._record.metrics, **metrics})

    def begin(self, name: str) -> None:
        """A step begins."""
        self._record = StepRecord(name=name, status="Running", started=now())
        self.folder.write(self._record)
        self._told = 0.0

    def end(self, output: msgspec.Struct, began: float, *, reused: bool, metrics: dict[str, float]) -> None:
        """It has given its output."""
        self._record = msgspec.structs.replace(
            self._record,
            status="Completed",
            reused=reused,
            ended=now(),
            seconds=time.monotonic() - began,
            progress=None,
            metrics={**metrics, **self._record.metrics},
            output=msgspec.to_builtins(output),
        )
        self.folder.write(self._record)

    def fail(self, error: BaseException, began: float) -> None:
        """It has failed; the message is for people."""
        message = str(error) or type(error).__name__
        seconds = time.monotonic() - began
        self._record = msgspec.structs.replace(
            self._record, status="Failed", ended=now(), seconds=seconds, message=message
        )
        self.folder.write(self._record)

    def skip(self, name: str, why: str) -> None:
        """A step has nothing to do."""
        log.info("%s is skipped: %s", name, why)
        self.folder.write(StepRecord(name=name, status="Skipped", started=now(), ended=now(), message=why))


@dataclass(frozen=True)
class Step(Generic[Input, Output]):
    """One step. `code` names the packages and modules whose source decides the result."""

    name: str
    function: Callable[[Input, Context], Output]
    output: type[Output]
    code: tuple[str, ...]
    reuse: Literal["any run", "this run"]  # where a result may be taken over
    still_there: Callable[[Output, Context], bool] = lambda _, __: True  # files that an output names may be gone
    retries: int = 0
    timeout: float = 600.0  # seconds

    def __call__(self, inputs: Input, context: Context, *, allow_reuse: bool = True) -> Output:
        """Run it, or take over its result. Raises what the function raises."""
        began = time.monotonic()
        context.begin(self.name)
        kept = context.places.data / "results" / f"{self.name}-{self._key(inputs, context, allow_reuse)[:32]}.json"
        try:
            found = self._found(kept, context)
            if found is not None:
                log.info("%s: taken over, as inputs and code are unchanged", self.name)
                context.end(found.output, began, reused=True, metrics=found.metrics)
                return found.output
            output = self.function(inputs, context)
            result = _Result(output=output, metrics=dict(context._record.metrics))
            kept.parent.mkdir(parents=True, exist_ok=True)
            replace_file(kept, msgspec.json.encode(result))
        except BaseException as error:
            context.fail(error, began)
            raise
        context.end(output, began, reused=False, metrics={})
        return output

    def _found(self, kept: Path, context: Context) -> _Result[Output] | None:
        try:
            found = msgspec.json.decode(kept.read_bytes(), type=_Result[self.output])  # type: ignore[name-defined]
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return found if self.still_there(found.output, context) else None

    def _key(self, inputs: Input, context: Context, allow_reuse: bool) -> str:
        where = "" if allow_reuse and self.reuse == "any run" else context.folder.run
        parts = (self.name, _source(self.code), where, msgspec.to_builtins(inputs))
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


class _Result(msgspec.Struct, Generic[Output], frozen=True):
    output: Output
    metrics: dict[str, float]


@cache
def _source(packages: tuple[str, ...]) -> str:
    """The digest of all source of packages, and of the versions of what learns."""
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted(_modules(package)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(" ".join(f"{name}=={version(name)}" for name in LEARNING).encode())
    return digest.hexdigest()


def _modules(package: str) -> Iterable[Path]:
    parent, _, module = package.rpartition(".")
    root = Path(str(files(parent if parent else package)))
    return root.glob(f"{module}.py" if parent else "**/*.py")
