"""The embedded stack: the services as background processes of this machine, without containers."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import psutil

from bundle.store import replace_file
from homeport.errors import StackError

READY_SECONDS = 30.0
ORPHAN_SECONDS = 3.0  # workers whose parent was killed end, and leave the port, within a second
STOP_SECONDS = 15.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (what listens everywhere is called here)


class Service(msgspec.Struct, frozen=True):
    """A running service. A pid alone may be another process by now: its start time tells."""

    pid: int
    created: float
    host: str
    port: int
    models: str
    model: str

    @property
    def url(self) -> str:
        """Where this machine calls it."""
        host = _ANYWHERE.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class Stack:
    """The services whose state is in one folder (`.homeport/`)."""

    def __init__(self, state: Path, models: Path) -> None:
        self.state = state.absolute()
        self.models = models.absolute()
        self.keys = self.state / "keys.json"
        self.shadow = self.state / "shadow"
        self.log = self.state / "logs" / "serving.log"
        self._file = self.state / "serving.json"

    def running(self) -> Service | None:
        """The endpoint, if it runs."""
        try:
            service = msgspec.json.decode(self._file.read_bytes(), type=Service)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return service if _process(service) else None

    def start(self, bundle: Path, host: str, port: int) -> Service:
        """Make the endpoint serve the champion in `bundle`, which one that runs takes over by itself.

        Raises StackError.
        """
        model, version = bundle.parent.name, bundle.name
        with self._locked():
            service = self.running()
            if service is not None:
                if service == msgspec.structs.replace(
                    service, models=str(self.models), model=model, host=host, port=port
                ):
                    self._wait_ready(service, version)
                    return service
                self._stop()
            killed = service is None and self._file.exists()
            _check_free(host, port, ORPHAN_SECONDS if killed else 0.0)
            return self._launch(model, version, host, port)

    def stop(self) -> bool:
        """Stop the endpoint; says whether it ran."""
        if not self._file.exists():
            return False
        with self._locked():
            return self._stop()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One start or stop at a time, among all processes."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _launch(self, model: str, version: str, host: str, port: int) -> Service:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "HOMEPORT_SERVING_MODELS": str(self.models),
            "HOMEPORT_SERVING_MODEL": model,
            "HOMEPORT_SERVING_KEYS": str(self.keys),
            "HOMEPORT_SERVING_SHADOW": str(self.shadow),
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
        created = psutil.Process(process.pid).create_time()
        service = Service(process.pid, created, host, port, str(self.models), model)
        replace_file(self._file, msgspec.json.encode(service))
        try:
            self._wait_ready(service, version)
        except BaseException:
            self._stop()
            raise
        return service

    def _stop(self) -> bool:
        service = self.running()
        process = _process(service) if service else None
        try:
            if process:
                tree = [process, *process.children(recursive=True)]
                process.send_signal(signal.SIGTERM)
                survivors = psutil.wait_procs(tree, timeout=STOP_SECONDS)[1]
                for survivor in survivors:
                    survivor.kill()
                psutil.wait_procs(survivors, timeout=STOP_SECONDS)
        except psutil.NoSuchProcess:
            pass  # it ended by itself in the meantime
        self._file.unlink(missing_ok=True)
        return process is not None

    def _wait_ready(self, service: Service, version: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        reason = "no answer"
        with httpx.Client(base_url=service.url, trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                if _process(service) is None:
                    reason = "it ended"
                    break
                try:
                    ready = client.get("/health/ready").json()
                except (httpx.TransportError, ValueError):
                    ready = {}
                if ready.get("version") == version:
                    return
                if "refused" in ready or ready.get("status") == "not ready":
                    reason = ready.get("refused") or ready.get("reason", "")
                    break
                time.sleep(0.05)
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


def _check_free(host: str, port: int, patience: float) -> None:
    """Raise StackError if nothing can listen there, also not in a moment."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return _bind(host, port)
        except StackError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.05)


def _bind(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StackError(
                    f"Port {port} on {host} is taken by another program. Stop it, or choose another port: "
                    "`homeport up --port 8001`."
                ) from error
            raise StackError(f"Nothing can listen on {host} port {port}: {error.strerror or error}.") from error
