"""A run of a published pipeline: follow it, read what it gave, end it, go on with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from homeport.errors import PipelineRunFailed, PipelineServiceAway
from homeport.pipeline_records import Line, Run, Step
from homeport.pipeline_rest import path
from homeport.run_words import changes, verdict

if TYPE_CHECKING:
    from homeport.pipelines import PublishedPipeline

AWAY_SECONDS = 60.0  # for which a service may be away, as when it is started anew, before who follows a run gives up


class Seen(NamedTuple):
    """A look at a run. While nobody answers it is the last one, and `away` says what is wrong."""

    run: Run
    away: str = ""


class _Metrics(msgspec.Struct, rename="pascal"):
    metrics: dict[str, dict[str, Any]]


class _Outputs(msgspec.Struct, rename="pascal"):
    outputs: dict[str, dict[str, Any]]


class _Lines(msgspec.Struct, rename="pascal"):
    lines: list[Line]
    next: int


class PipelineRun:
    """A run, which somebody may have begun elsewhere.

    >>> run = PipelineRun(service.pipeline("bank"), answer.json()["Id"])
    >>> run.wait_for_completion()
    'Completed'

    `status`, `steps` and `page` are as last seen; what begins with `get_` asks the service. All methods raise
    PipelineServiceError.
    """

    def __init__(self, pipeline: PublishedPipeline, run_id: str, seen: Run | None = None) -> None:
        self.pipeline, self.id = pipeline, run_id
        self._rest = pipeline.rest
        self._path = (*pipeline.path, "runs", run_id)
        self._seen = seen

    def __repr__(self) -> str:
        return f"PipelineRun(pipeline={self.pipeline.name!r}, id={self.id!r}, status={self.status!r})"

    @property
    def details(self) -> Run:
        """All that the service said of it when it was last asked."""
        return self._seen or self.get_details()

    @property
    def status(self) -> str:
        """Queued, Running, Completed, Failed or Canceled, as last seen."""
        return self.details.status

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps in order, as last seen; those to come are there too."""
        return self.details.steps or self.get_details().steps  # a list of runs has none

    @property
    def page(self) -> str:
        """Address of its page in Prefect."""
        return self.details.page

    def get_details(self) -> Run:
        """All that the service says of it now."""
        self._seen = self._rest.ask("GET", path(*self._path), Run)
        return self._seen

    def get_status(self) -> str:
        """Its status now."""
        return self.get_details().status

    def get_metrics(self) -> dict[str, dict[str, Any]]:
        """Step → metric → value, of the steps that have given any."""
        return self._rest.ask("GET", path(*self._path, "metrics"), _Metrics).metrics

    def get_outputs(self) -> dict[str, dict[str, Any]]:
        """Step → what it gave."""
        return self._rest.ask("GET", path(*self._path, "outputs"), _Outputs).outputs

    def logs(self, follow: bool = False) -> Iterator[Line]:
        """The lines of its log; with `follow` also those to come, until it is over."""
        after = 0
        while True:
            over = not follow or self.get_details().is_over  # asked first: what is written until then is read below
            found = self._rest.ask("GET", path(*self._path, "logs"), _Lines, after=after)
            yield from found.lines
            if over and (not found.lines or found.next <= after):
                return
            after = found.next
            if not found.lines:
                time.sleep(self._rest.poll_seconds)

    def follow(self, away_seconds: float = AWAY_SECONDS) -> Iterator[Seen]:
        """Looks at it until it is over, one a poll. A service that is away is waited for, but not for longer."""
        seen = Seen(self.get_details())
        answered = time.monotonic()
        yield seen
        while not seen.run.is_over:
            time.sleep(self._rest.poll_seconds)
            try:
                seen = Seen(self.get_details())
                answered = time.monotonic()
            except PipelineServiceAway as error:
                if time.monotonic() - answered > away_seconds:
                    raise
                seen = Seen(seen.run, str(error))
            yield seen

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float | None = None, raise_on_error: bool = True
    ) -> str:
        """Wait until it is over and return its status; with `show_output` each change is printed.

        Raises PipelineRunFailed if it did not complete and `raise_on_error` is set, TimeoutError.
        """
        started, before = time.monotonic(), None
        for run, _ in self.follow():
            if show_output:
                for line in changes(before, run):
                    print(line)
            before = run
            if not run.is_over and timeout_seconds is not None and time.monotonic() - started > timeout_seconds:
                raise TimeoutError(f"Run {self.id} is still {run.status} after {timeout_seconds:g} s. It goes on.")
        if raise_on_error and self.status != "Completed":
            raise PipelineRunFailed(f"Run {self.id} of {self.pipeline.name}: {verdict(self.details)}")
        return self.status

    def cancel(self) -> None:
        """End it; what its steps have done stays."""
        self._seen = self._rest.ask("POST", path(*self._path, "cancel"), Run)

    def rerun(self) -> None:
        """Go on from the step that failed, as the same run."""
        self._seen = self._rest.ask("POST", path(*self._path, "rerun"), Run)
