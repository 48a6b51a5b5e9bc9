"""What starts a pipeline besides the clock: new data, drift of the endpoint's inputs, and a metric that got worse.

A trigger fires once for what it saw, and remembers it:

- data: for each content other than the one seen last; what is there at its creation is seen;
- drift: once for a version of the champion, and again only after its drift was not above the threshold;
- accuracy: the champion is evaluated once for each content of the file and each version, and fires if it is past the
  gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path

import httpx
import msgspec

from bundle.errors import BundleError
from bundle.store import Store
from pipeline.errors import CheckFailed
from pipeline.service.contents import Sight, look, matching

WINDOW = timedelta(minutes=60)  # of the drift that is looked at
METRICS = {  # by name, whether more is better: those that the trainer optimises
    "accuracy": True, "roc_auc": True, "roc_auc_ovr": True, "macro_f1": True, "r2": True,
    "log_loss": False, "rmse": False, "mae": False,
}  # fmt: skip
_DRIFT = """
SELECT customDimensions ->> '$."ml.feature"' AS feature, arg_max(value, timestamp) AS psi
FROM customMetrics
WHERE name = 'ml.feature.drift.psi' AND timestamp >= TIMESTAMP '{since:%Y-%m-%d %H:%M:%S}'
    AND customDimensions ->> '$."ml.model.name"' = '{model}'
    AND customDimensions ->> '$."ml.model.version"' = '{version}'
GROUP BY ALL ORDER BY psi DESC NULLS LAST LIMIT 1
"""

Evaluate = Callable[[Path, str, str], tuple[float, str]]  # file, metric, model → value, version of the champion


class DataTrigger(msgspec.Struct, frozen=True, tag_field="kind", tag="data"):
    """Fires when the content of a file, or of all files of a glob, changes."""

    path: str
    every_seconds: float

    @property
    def text(self) -> str:
        """What it is called in the cause of a run."""
        return f"data {self.path}"


class DriftTrigger(msgspec.Struct, frozen=True, tag_field="kind", tag="drift"):
    """Fires when the greatest population stability index of the champion's columns is above a threshold."""

    above: float
    every_seconds: float

    @property
    def text(self) -> str:
        """What it is called in the cause of a run."""
        return f"drift above {self.above:g}"


class AccuracyTrigger(msgspec.Struct, frozen=True, tag_field="kind", tag="accuracy"):
    """Fires when a metric of the champion on a labelled file is below a gate; above it, for a metric such as rmse."""

    path: str
    metric: str
    below: float
    every_seconds: float

    @property
    def text(self) -> str:
        """What it is called in the cause of a run."""
        return f"{self.metric} on {self.path}"


Trigger = DataTrigger | DriftTrigger | AccuracyTrigger


class Memory(msgspec.Struct, frozen=True):
    """What a trigger has seen."""

    sight: Sight = Sight()
    done: str | None = None  # the content seen, the version fired for, or both of what was evaluated


class Look(msgspec.Struct, frozen=True):
    """What a look found: what to remember, what to tell, and whether the trigger fires."""

    memory: Memory
    outcome: str
    fires: bool = False


class _Answer(msgspec.Struct):
    """Of insights."""

    rows: list[tuple[str, float | None]] = []
    message: str = ""


class Watcher:
    """Looks at what triggers watch. Relative paths are below `folder`; `insights` has its address as base URL."""

    def __init__(
        self,
        folder: Path,
        models: Store,
        insights: httpx.AsyncClient,
        evaluate: Evaluate,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder, self._models, self._insights, self._evaluate, self._now = folder, models, insights, evaluate, now

    async def begin(self, trigger: Trigger) -> Memory:
        """What a new trigger takes as seen. Raises CheckFailed if it cannot be read."""
        if not isinstance(trigger, DataTrigger):
            return Memory()
        pattern = self._folder / trigger.path
        paths = await asyncio.to_thread(matching, pattern)
        sight = await asyncio.to_thread(look, paths, Sight(), patient=False) if paths else Sight()
        return Memory(sight, sight.digest)

    async def look(self, trigger: Trigger, model: str, memory: Memory) -> Look:
        """Look once, at a pipeline's trigger and the model that it makes. Raises CheckFailed."""
        if isinstance(trigger, DataTrigger):
            return await self._look_at_data(trigger, memory)
        try:
            champion = await asyncio.to_thread(self._models.champion, model)
        except BundleError as error:
            raise CheckFailed(str(error)) from None
        if champion is None:
            raise CheckFailed(f"Model '{model}' has no champion yet.")
        if isinstance(trigger, DriftTrigger):
            return await self._look_at_drift(trigger, model, champion.version, memory)
        return await self._look_at_accuracy(trigger, model, champion.version, memory)

    async def _look_at_data(self, trigger: DataTrigger, memory: Memory) -> Look:
        paths = await asyncio.to_thread(matching, self._folder / trigger.path)
        sight = await asyncio.to_thread(look, paths, memory.sight)
        if sight.changing is not None:
            return _unsettled(sight, memory)
        now = Memory(sight, sight.digest)
        if now.done == memory.done:
            return Look(now, f"The content of {trigger.path} is the one seen last.")
        return Look(now, f"The content of {trigger.path} changed.", fires=True)

    async def _look_at_drift(self, trigger: DriftTrigger, model: str, version: str, memory: Memory) -> Look:
        rows = await self._ask(
            # the store takes no name that needs to be quoted
            _DRIFT.format(since=(self._now() - WINDOW).astimezone(UTC), model=model, version=version)
        )
        feature, psi = rows[0] if rows else ("", None)
        if psi is None:
            raise CheckFailed(f"Insights knows no drift of version {version} in the last {WINDOW.seconds // 60} min.")
        found = f"PSI of '{feature}' is {psi:.3g}, the greatest of version {version}"
        if psi <= trigger.above:
            return Look(Memory(), f"{found}, and not above {trigger.above:g}.")
        if memory.done == version:
            return Look(memory, f"{found}, still above {trigger.above:g}; for this version it has fired.")
        return Look(Memory(done=version), f"{found}, above {trigger.above:g}.", fires=True)

    async def _look_at_accuracy(self, trigger: AccuracyTrigger, model: str, version: str, memory: Memory) -> Look:
        path = self._folder / trigger.path
        sight = await asyncio.to_thread(look, [path], memory.sight)
        if sight.changing is not None:
            return _unsettled(sight, memory)
        if memory.done == f"{sight.digest}@{version}":
            return Look(Memory(sight, memory.done), f"{trigger.path} and version {version} are those evaluated last.")
        try:
            value, version = await asyncio.to_thread(self._evaluate, path, trigger.metric, model)
        except Exception as error:  # of whoever evaluates
            raise CheckFailed(f"{trigger.metric} on {trigger.path} cannot be told: {error}") from error
        if not isfinite(value):
            raise CheckFailed(f"{trigger.metric} on {trigger.path} is {value}: give a file that it can be told of.")
        now = Memory(sight, f"{sight.digest}@{version}")
        more_is_better = METRICS[trigger.metric]
        worse = value < trigger.below if more_is_better else value > trigger.below
        side = "below" if more_is_better else "above"
        found = (
            f"{trigger.metric} of version {version} is {value:.4g}, {'' if worse else 'not '}{side} {trigger.below:g}."
        )
        return Look(now, found, fires=worse)

    async def _ask(self, query: str) -> list[tuple[str, float | None]]:
        address = self._insights.base_url
        try:
            reply = await self._insights.post("/api/query", json={"query": query})
            answer = msgspec.json.decode(reply.content, type=_Answer)
        except httpx.HTTPError as error:
            raise CheckFailed(f"Insights at {address} does not answer ({error or type(error).__name__}).") from None
        except msgspec.MsgspecError as error:
            raise CheckFailed(f"What answers at {address} is not insights: {error}.") from None
        if reply.status_code != 200:
            raise CheckFailed(f"Insights at {address} answered {reply.status_code}: {answer.message}")
        return answer.rows


def _unsettled(sight: Sight, memory: Memory) -> Look:
    return Look(Memory(sight, memory.done), "It changed, or is still being written: it is looked at once more.")
