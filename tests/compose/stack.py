"""The stack as people start it, on the machine's own container engine, beside whatever else runs there."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from tests.conftest import ROOT, free_port

PORTS = ("SERVING", "INSIGHTS", "OTLP", "PIPELINE", "PREFECT", "MLFLOW", "LOAD", "DASK", "PROMETHEUS", "GRAFANA")
PATIENCE = 120.0
Found = TypeVar("Found")


def docker(*arguments: str, stdin: str | None = None) -> str:
    """What a docker command prints; its complaint is that of the failed test."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, input=stdin, check=False, timeout=600)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-2000:]}"
    return done.stdout


class Stack:
    """One compose project with a name, ports and volumes of its own."""

    first: httpx.Response  # the first answer on readiness, when there was no model yet

    def __init__(self, **environment: str) -> None:
        self.project = f"homeport-test-{secrets.token_hex(4)}"
        self.ports = {part: free_port() for part in PORTS}
        self._environment = {f"HOMEPORT_{part}_PORT": str(port) for part, port in self.ports.items()} | environment

    def compose(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """What a command of compose prints."""
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, *arguments],
            cwd=ROOT, env=os.environ | self._environment,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True, check=False, timeout=900,
        )  # fmt: skip
        said, complaint = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == 0, f"compose {' '.join(arguments)}: {said[-1000:]}{complaint[-3000:]}"
        return said

    def configuration(self, *profiles: str) -> dict[str, Any]:
        """What compose makes of the file with profiles."""
        options = [word for profile in profiles for word in ("--profile", profile)]
        found: dict[str, Any] = json.loads(self.compose(*options, "config", "--format", "json"))
        return found

    def remove(self) -> None:
        """Containers, networks and volumes, of all profiles."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def url(self, part: str) -> str:
        """The published address of a part."""
        return f"http://127.0.0.1:{self.ports[part]}"

    def ask(self, path: str) -> httpx.Response | None:
        """Serving's answer, or None: the engine takes connections for a service that does not listen yet."""
        try:
            return httpx.get(f"{self.url('SERVING')}{path}")
        except httpx.TransportError:
            return None

    def container(self, service: str) -> str:
        """The id of a service's first container, also of one that ended."""
        return self.compose("ps", "--all", "--quiet", service).split()[0]

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        found: dict[str, Any] = json.loads(docker("inspect", self.container(service)))[0]
        return found

    def key(self, name: str = "primary") -> str:
        """A key, as people get it."""
        return self.compose("exec", "-T", "serving", "python", "-m", "serving.keys", "show", name).strip()

    def homeport(self, *arguments: str) -> str:
        """The command line, in a container of the trainer's."""
        return self.compose("run", "--rm", "-T", "trainer", *arguments)

    def healthy(self, *services: str) -> bool:
        """Whether the engine calls all of them healthy."""
        return all(self.inspect(service)["State"]["Health"]["Status"] == "healthy" for service in services)

    def wait_healthy(self, *services: str) -> None:
        """Until the engine calls all of them healthy."""
        until(lambda: self.healthy(*services), f"{services} healthy")

    def kill(self, service: str) -> None:
        """`kill -9` of its first process from outside: to the engine a crash, which `docker kill` is not."""
        state = self.inspect(service)["State"]
        docker(
            "run", "--rm", "--pid=host", "--user=0", "--cap-drop=ALL", "--cap-add=KILL", "--network=none",
            "--entrypoint=bash", "homeport/serving", "-c", f"kill -9 {state['Pid']}",
        )  # fmt: skip
        until(lambda: self.inspect(service)["State"]["StartedAt"] > state["StartedAt"], f"{service} started again")


def until(found: Callable[[], Found], what: str, patience: float = PATIENCE) -> Found:
    """Ask again and again until the answer is true, and return it; fail when patience is at an end."""
    deadline = time.monotonic() + patience
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.1)
    return answer


def missing_engine() -> str | None:
    """Why the stack cannot be tested on this machine, or None."""
    for command in (["docker", "info"], ["docker", "compose", "version"], ["docker", "buildx", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"`{' '.join(command)}`: {error}"
        if done.returncode:
            return f"`{' '.join(command)}`: {done.stderr.strip()[:200]}"
    return None
