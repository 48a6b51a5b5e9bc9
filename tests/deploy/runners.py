"""How a container group of the fake Azure runs: as a process of this machine, or in a container."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, free_port
from tests.deploy.fake_registry import Registry

Group = dict[str, Any]


def variables(registry: Registry, group: Group) -> dict[str, str]:
    """The environment of serving: its image's, and over it the group's, secret or not."""
    serving = group["containers"][0]["properties"]
    given = dict(one.split("=", 1) for one in registry.config(serving["image"])["config"].get("Env", []))
    for one in serving["environmentVariables"]:
        given[one["name"]] = one.get("value", one.get("secureValue"))
    return given


class LocalPlace:
    """Serving from this working copy, told what the group says; what is in the image's layers lies in a folder."""

    host = "127.0.0.1"

    def __init__(self, registry: Registry, group: Group) -> None:
        serving = group["containers"][0]["properties"]
        self._scratch = tempfile.TemporaryDirectory(prefix="homeport-group-")
        root = Path(self._scratch.name)
        registry.unpack(serving["image"], root)
        self.port = free_port()
        given = variables(registry, group)
        given = {name: value.replace("/var/lib/homeport", f"{root}/var/lib/homeport") for name, value in given.items()}
        given |= {"HOMEPORT_SERVING_PORT": str(self.port), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        given |= {"HOMEPORT_SERVING_HOST": "127.0.0.1", "NO_PROXY": "*"}
        for folder in ("keys", "shadow"):
            (root / "var/lib/homeport" / folder).mkdir(parents=True, exist_ok=True)
        self.keys = Path(given["HOMEPORT_SERVING_KEYS"])
        self._log = root / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                serving["command"], cwd=ROOT, env=given | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=log
            )

    def state(self) -> tuple[str, int]:
        return ("Running", 0) if self.process.poll() is None else ("Terminated", 3)

    def logs(self) -> str:
        return self._log.read_text()

    def environment(self) -> dict[str, str]:
        """Of the process as the system shows it."""
        raw = Path(f"/proc/{self.process.pid}/environ").read_bytes().decode()
        return dict(one.split("=", 1) for one in raw.split("\0") if "=" in one)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._scratch.cleanup()


class DockerPlace:
    """The image itself, pulled by its digest, on this machine's container engine."""

    host = "127.0.0.1"

    def __init__(self, registry: Registry, group: Group) -> None:
        serving = group["containers"][0]["properties"]
        given = {one["name"]: one.get("value", one.get("secureValue")) for one in serving["environmentVariables"]}
        (inside,) = [one["port"] for one in serving["ports"]]
        limits = serving["resources"]["requests"]
        self.image = serving["image"]
        docker("pull", "--quiet", self.image)
        self.container = docker(
            "run", "--detach", "--publish", f"127.0.0.1::{inside}",
            "--cpus", str(limits["cpu"]), "--memory", f"{int(limits['memoryInGB'] * 1000)}m",
            *(word for name in given for word in ("--env", name)),
            "--entrypoint", serving["command"][0], self.image, *serving["command"][1:],
            **given,
        ).strip()  # fmt: skip
        self.port = int(docker("port", self.container, str(inside)).split(":")[-1])

    def state(self) -> tuple[str, int]:
        running = docker("inspect", "--format", "{{.State.Running}}", self.container).strip() == "true"
        return ("Running", 0) if running else ("Terminated", 3)

    def logs(self) -> str:
        return docker("logs", self.container)

    def environment(self) -> str:
        """Of the process, as the system shows it."""
        return docker("exec", self.container, "cat", "/proc/1/environ")

    def stop(self) -> None:
        docker("rm", "--force", self.container)
        docker("rmi", "--force", self.image)


def docker(*words: str, **environment: str) -> str:
    """What a docker command prints, both of its ways."""
    done = subprocess.run(
        ["docker", *words], env=os.environ | environment, check=False, text=True, timeout=600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


class StandIn:
    """What `homeport deploy` asks of an endpoint, answered at once by a thread."""

    host = listens = "127.0.0.1"

    def __init__(self, registry: Registry, group: Group) -> None:
        image = group["containers"][0]["properties"]["image"]
        labels = registry.config(image)["config"]["Labels"]
        given = variables(registry, group)
        keys = {f"Bearer {key}" for key in json.loads(given["HOMEPORT_KEYS"]).values()}
        self.insights = "APPLICATIONINSIGHTS_CONNECTION_STRING" in given
        self.ended = False
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def do_GET(self) -> None:
                ready = {"model": labels["homeport.model"], "version": labels["homeport.version"]}
                stand_in.say(self, 200, ready if "ready" in self.path else {"definitions": {"Row": {"example": {}}}})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                stand_in.say(self, 200 if self.headers["Authorization"] in keys else 401, {"result": ["yes"]})

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((self.listens, 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @staticmethod
    def say(handler: BaseHTTPRequestHandler, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def state(self) -> tuple[str, int]:
        return ("Terminated", 3) if self.ended else ("Running", 0)

    def logs(self) -> str:
        return "one\ntwo\nthree"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serving_archive(path: Path) -> Path:
    """An image of serving as `docker save` writes it, whose one layer holds next to nothing."""

    def tarred(files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return out.getvalue()

    layer = tarred({"etc/homeport": b"serving\n"})
    config = {
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {
            "Env": [
                "HOMEPORT_SERVING_MODELS=/var/lib/homeport/models",
                "HOMEPORT_SERVING_KEYS=/var/lib/homeport/keys/keys.json",
                "HOMEPORT_SERVING_SHADOW=/var/lib/homeport/shadow",
            ],
            "User": "10001:10001",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "test"}],
    }  # fmt: skip
    manifest = [{"Config": "config.json", "RepoTags": ["homeport/serving:latest"], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), "config.json": json.dumps(config).encode()}
    path.write_bytes(tarred(files | {"layer.tar": layer}))
    return path
