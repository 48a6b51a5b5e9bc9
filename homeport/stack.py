"""The embedded stack: endpoint, insights and pipelines as background processes of this machine, without containers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homeport.processes import Running, Service, address

LOOPBACK = "127.0.0.1"  # where insights and pipelines listen: what they have is for this machine
PIPELINE_PORT, PREFECT_PORT = 8010, 4200
PREFECT_SECONDS = 90.0  # to become ready: the first start makes its database


class Stack:
    """The services whose state is in one folder (`.homeport/`)."""

    def __init__(self, state: Path, models: Path) -> None:
        self.state = state.absolute()
        self.models = models.absolute()
        self.keys = self.state / "keys.json"
        self.shadow = self.state / "shadow"
        self.switch = self.state / "telemetry.off"
        self.serving = Service(self.state, "serving", "HOMEPORT_SERVING", "--port")
        self.insights = Service(self.state, "observability.insights", "HOMEPORT_INSIGHTS", "--insights-port")
        self.pipeline = Service(self.state, "pipeline", "HOMEPORT_PIPELINE", "--pipeline-port")
        self.pipelines = self.state / "pipeline"
        self.tracking = f"sqlite:///{self.state / 'mlflow' / 'mlflow.db'}"  # as MLFLOW_TRACKING_URI has it

    def running(self) -> Running | None:
        """The endpoint, if it runs."""
        return self.serving.running()

    def start(
        self, bundle: Path, host: str, port: int, insights_port: int | None, pipeline_port: int = PIPELINE_PORT
    ) -> Running:
        """Make the endpoint serve the champion in `bundle`, which one that runs takes over by itself.

        Without a port of its own insights is left as it is. Where a pipeline is published its service is
        started too, for schedules and triggers; nothing waits for it. Raises StackError.
        """
        name, version = bundle.parent.name, bundle.name
        with self._locked():
            before = {service.name: service.running() for service in (self.insights, self.serving)}
            try:
                insights = self._launch_insights(address(host, port), insights_port)
                serving = self.serving.launch(host, port, self._serving_settings(name, insights))
                if insights_port and insights:
                    self.insights.wait(insights, lambda said: said.get("status") == "ready")
                self.serving.wait(serving, lambda said: said.get("version") == version)
                if self.pipelines.exists():
                    self._launch_pipeline(pipeline_port)
            except BaseException:
                for service in (self.serving, self.insights):
                    if service.running() != before[service.name]:  # what this call has started
                        service.stop()
                raise
            return serving

    def start_pipeline(self) -> Running:
        """The pipeline service, started if it does not run. Raises StackError."""
        with self._locked():
            if running := self.pipeline.running():
                return running
            running = self._launch_pipeline(int(os.environ.get("HOMEPORT_PIPELINE_PORT", PIPELINE_PORT)))
            try:
                self.pipeline.wait(running, lambda said: said.get("status") == "ready", PREFECT_SECONDS)
            except BaseException:
                self.pipeline.stop()
                raise
            return running

    def stop(self) -> bool:
        """Stop the services, insights last: it takes what the others still have to tell. Says whether any ran."""
        if not self.state.exists():
            return False
        with self._locked():
            return any([self.pipeline.stop(), self.serving.stop(), self.insights.stop()])

    def _launch_pipeline(self, port: int) -> Running:
        serving, insights = self.serving.running(), self.insights.running()
        prefect = int(os.environ.get("HOMEPORT_PREFECT_PORT", PREFECT_PORT))
        settings = {
            "HOMEPORT_PIPELINE_DATA": str(self.pipelines),
            "HOMEPORT_PIPELINE_MODELS": str(self.models),
            "HOMEPORT_PIPELINE_KEYS": str(self.keys),
            "HOMEPORT_PIPELINE_PREFECT_URL": f"http://{LOOPBACK}:{prefect}",
            "HOMEPORT_TELEMETRY_SWITCH": str(self.switch),
            "MLFLOW_TRACKING_URI": os.environ.get("MLFLOW_TRACKING_URI") or self.tracking,
        }
        if serving:
            settings["HOMEPORT_PIPELINE_ENDPOINT"] = serving.url
        if insights:
            settings |= {"HOMEPORT_PIPELINE_INSIGHTS": insights.url, "HOMEPORT_TELEMETRY_ENDPOINT": insights.url}
        return self.pipeline.launch(LOOPBACK, port, settings)

    def _launch_insights(self, endpoint: str, port: int | None) -> Running | None:
        if port is None:
            return self.insights.running()
        settings = {
            "HOMEPORT_INSIGHTS_DATA": str(self.state / "insights"),
            "HOMEPORT_INSIGHTS_AVAILABILITY": f"serving={endpoint}/health/ready",
            "HOMEPORT_INSIGHTS_LINKS": f"Swagger={endpoint}/docs,MLflow=http://{LOOPBACK}:5001,"
            f"Prefect=http://{LOOPBACK}:4200",
        }
        return self.insights.launch(LOOPBACK, port, settings)

    def _serving_settings(self, model: str, insights: Running | None) -> dict[str, str]:
        settings = {
            "HOMEPORT_SERVING_MODELS": str(self.models),
            "HOMEPORT_SERVING_MODEL": model,
            "HOMEPORT_SERVING_KEYS": str(self.keys),
            "HOMEPORT_SERVING_SHADOW": str(self.shadow),
            "HOMEPORT_TELEMETRY_SWITCH": str(self.switch),
        }
        told = {"HOMEPORT_TELEMETRY_INTERVAL_SECONDS": "1"}  # so that Live metrics are
        if insights:
            told["HOMEPORT_TELEMETRY_ENDPOINT"] = insights.url
        return settings | {name: os.environ.get(name, value) for name, value in told.items()}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One start or stop at a time, among all processes."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
