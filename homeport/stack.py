"""The embedded stack: the services as background processes of this machine, without containers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec
import psutil

from bundle.store import replace_file
from homeport.errors import StackError

READY_SECONDS = 30.0
STOP_SECONDS = 15.0


class Service(msgspec.Struct, frozen=True):
    """A running service. A pid alone may be another process by now: its start time tells."""

    pid: int
    created: float
    url: str
    model: str
    version: str


class Stack:
    """The services whose state is in one folder (`.homeport/`)."""

    def __init__(self, state: Path, models: Path) -> None:
        self.state = state.absolute()
        self.models = models.absolute()
        self.keys = self.state / "keys.json"
        self.log = self.state / "logs" / "serving.log"

    def running(self) -> Service | None:
        """The endpoint, if it runs."""
        try:
            service = msgspec.json.decode((self.state / "serving.json").read_bytes(), type=Service)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return service if _process(service) else None

    def start(self, model: str, version: str, host: str, port: int) -> Service:
        """Make the endpoint serve this version; leave it alone if it does. Raises StackError."""
        service = self.running()
        if service is not None:
            if (service.model, service.version, service.url) == (model, version, f"http://{host}:{port}"):
                return service
            self.stop()
        if _taken(host, port):
            raise StackError(
                f"Port {port} on {host} is taken by another program. Stop it, or choose another port: "
                "`homeport up --port 8001`."
            )
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "HOMEPORT_SERVING_MODELS": str(self.models),
            "HOMEPORT_SERVING_MODEL": model,
            "HOMEPORT_SERVING_KEYS": str(self.keys),
            "HOMEPORT_SERVING_HOST": host,
            "HOMEPORT_SERVING_PORT": str(port),
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "serving"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C on the terminal is not for it
            )
        service = Service(
            process.pid, psutil.Process(process.pid).create_time(), f"http://{host}:{port}", model, version
        )
        replace_file(self.state / "serving.json", msgspec.json.encode(service))
        try:
            self._wait_ready(process, service)
        except BaseException:
            self.stop()
            raise
        return service

    def stop(self) -> bool:
        """Stop the endpoint; says whether it ran."""
        service = self.running()
        process = _process(service) if service else None
        if process:
            children = process.children(recursive=True)
            process.send_signal(signal.SIGTERM)
            for survivor in psutil.wait_procs([process, *children], timeout=STOP_SECONDS)[1]:
                survivor.kill()
        (self.state / "serving.json").unlink(missing_ok=True)
        return process is not None

    def _wait_ready(self, process: subprocess.Popen[bytes], service: Service) -> None:
        deadline = time.monotonic() + READY_SECONDS
        reason = "no answer"
        with httpx.Client(base_url=service.url, trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                if process.poll() is not None:
                    reason = f"it ended with code {process.returncode}"
                    break
                try:
                    response = client.get("/health/ready")
                except httpx.TransportError:
                    time.sleep(0.05)
                    continue
                if response.status_code == 200:
                    return
                reason = json.loads(response.content).get("reason", response.text)
                break
        tail = "\n  ".join(self.log.read_text(errors="replace").splitlines()[-5:])
        raise StackError(f"The endpoint did not become ready: {reason}\nThe end of {self.log}:\n  {tail}")


def _process(service: Service) -> psutil.Process | None:
    try:
        process = psutil.Process(service.pid)
        if abs(process.create_time() - service.created) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.NoSuchProcess:
        pass
    return None


def _taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False
