"""A service of the embedded stack as a background process of this machine."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from bundle.store import replace_file
from homeport.errors import StackError

READY_SECONDS = 30.0
ORPHAN_SECONDS = 3.0  # workers whose parent was killed end, and leave the port, within a second
STOP_SECONDS = 15.0
LOG_BYTES = 10_000_000  # past which a log is put aside at the next start; one such is kept
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (what listens everywhere is called here)


class Running(msgspec.Struct, frozen=True):
    """A running process. A pid alone may be another process by now: its start time tells."""

    pid: int
    created: float
    host: str
    port: int
    settings: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where this machine calls it."""
        return address(self.host, self.port)


def address(host: str, port: int) -> str:
    """Where this machine calls what listens on a host and port."""
    host = _ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Service:
    """`python -m module`, which takes its address from `<PREFIX>_HOST` and `_PORT`, and answers `/health/ready`."""

    def __init__(self, state: Path, module: str, prefix: str, option: str) -> None:
        """Its state is in the folder `state`; `option` is what chooses its port on the command line."""
        self.name = module.rpartition(".")[2]
        self.log = state / "logs" / f"{self.name}.log"
        self._module, self._prefix, self._option = module, prefix, option
        self._file = state / f"{self.name}.json"

    def running(self) -> Running | None:
        """The process, if it runs."""
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=Running)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return found if _process(found) else None

    def launch(self, host: str, port: int, settings: Mapping[str, str]) -> Running:
        """Run it so; one that runs so already goes on. Raises StackError if the address is taken."""
        found = self.running()
        if found is not None:
            if (found.host, found.port, found.settings) == (host, port, settings):
                return found
            self.stop()
        killed = found is None and self._file.exists()
        self._check_free(host, port, ORPHAN_SECONDS if killed else 0.0)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        where = {f"{self._prefix}_HOST": host, f"{self._prefix}_PORT": str(port)}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                env=os.environ | settings | where,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C on the terminal is not for it
            )
        created = psutil.Process(process.pid).create_time()
        launched = Running(process.pid, created, host, port, dict(settings))
        replace_file(self._file, msgspec.json.encode(launched))
        return launched

    def wait(
        self, running: Running, is_ready: Callable[[dict[str, Any]], bool], patience: float = READY_SECONDS
    ) -> None:
        """Wait until what `/health/ready` says is accepted. Raises StackError with the end of the log."""
        deadline = time.monotonic() + patience
        reason = "no answer"
        with httpx.Client(base_url=running.url, trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                if _process(running) is None:
                    reason = "it ended"
                    break
                try:
                    said = client.get("/health/ready").json()
                except (httpx.TransportError, ValueError):
                    said = {}
                if is_ready(said):
                    return
                if "refused" in said or said.get("status") == "not ready":
                    reason = said.get("refused") or said.get("reason", "")
                    break
                time.sleep(0.05)
        tail = "\n  ".join(self.log.read_text(errors="replace").splitlines()[-5:])
        raise StackError(f"The service {self.name} did not become ready: {reason}\nThe end of {self.log}:\n  {tail}")

    def stop(self) -> bool:
        """Stop it; says whether it ran."""
        found = self.running()
        process = _process(found) if found else None
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

    def _check_free(self, host: str, port: int, patience: float) -> None:
        """Raise StackError if nothing can listen there, also not in a moment."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return self._bind(host, port)
            except StackError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.05)

    def _bind(self, host: str, port: int) -> None:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise StackError(
                        f"Port {port} on {host} is taken by another program. Stop it, or choose another port: "
                        f"`homeport up {self._option} {port + 1}`."
                    ) from error
                raise StackError(f"Nothing can listen on {host} port {port}: {error.strerror or error}.") from error


def _process(running: Running) -> psutil.Process | None:
    try:
        process = psutil.Process(running.pid)
        if abs(process.create_time() - running.created) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.NoSuchProcess:
        pass
    return None
