"""The container group as Azure runs it: the same image, pulled by its digest, told the same, its probes called."""

import json
import subprocess
import sys
import threading

import httpx
import pytest

from tests.compose.stack import Stack, docker
from tests.conftest import MODEL, ROOT, free_port
from tests.deploy.conftest import prepared
from tests.deploy.runners import DockerPlace, StandIn

pytestmark = pytest.mark.e2e


class Prober:
    """Calls a group's probes as Azure does, until it is told to end, and keeps what they answer."""

    def __init__(self, port, serving):
        self.statuses = {}
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(port, name, serving[name]))
            for name in ("livenessProbe", "readinessProbe")
        ]

    def _call(self, port, name, probe):
        url = f"http://127.0.0.1:{port}{probe['httpGet']['path']}"
        while not self._end.wait(probe["periodSeconds"]):
            answer = httpx.get(url, timeout=probe["timeoutSeconds"], trust_env=False)
            self.statuses.setdefault(name, []).append(answer.status_code)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def gateway(engine):
    """The address under which containers find this machine, which only they and it can reach."""
    return json.loads(docker("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Gateway"]


def test_the_commands_in_their_container(images, gateway, tmp_path, own_store, monkeypatch):
    """The image by a pipe, the keys in a volume, a login, and an Azure outside."""
    monkeypatch.setattr(StandIn, "host", gateway)
    monkeypatch.setattr(StandIn, "listens", gateway)
    for path in (own_store.root, *own_store.root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for deploy in prepared(tmp_path, own_store, StandIn, monkeypatch, host=gateway):
        deploy.settle()
        tmp_path.chmod(0o755)
        stack = Stack(HOMEPORT_AZURE=str(tmp_path / "azure.toml"))
        inside = deploy.azure.environment() | {
            "REQUESTS_CA_BUNDLE": "/etc/homeport/ca.pem", "SSL_CERT_FILE": "/etc/homeport/ca.pem",
        }  # fmt: skip
        options = [word for name, value in inside.items() for word in ("--env", f"{name}={value}")]
        options += ["--volume", f"{own_store.root}:/var/lib/homeport/models:ro"]
        options += ["--volume", f"{deploy.azure.server.ca}:/etc/homeport/ca.pem:ro"]

        def run(*words, stdin=None, stack=stack, options=tuple(options)):
            return stack.compose("--profile", "azure", "run", "--rm", "-T", *options, "deploy", *words, stdin=stdin)

        try:
            with pytest.raises(AssertionError, match="There is no Docker here"):
                run("plan")
            said = run("apply", "--serving-image", "-", stdin=deploy.image.read_bytes())
            assert "with the key, 401 without" in said
            assert "Running" in run("status")
            key = run("keys", "primary").strip()
            headers = {"Authorization": f"Bearer {key}"}
            url = f"http://{gateway}:{deploy.place.port}/score"
            assert httpx.post(url, json={}, headers=headers, trust_env=False).status_code == 200
            assert "Nothing is left" in run("destroy", "--yes")
        finally:
            stack.remove()


def test_the_container_group_keeps_to_the_contract(images, gateway, tmp_path, own_store, monkeypatch):
    ingestion = free_port()
    for deploy in prepared(tmp_path, own_store, DockerPlace, monkeypatch, ingestion=f"http://{gateway}:{ingestion}"):
        deploy.image = images["serving"]
        said = deploy("apply", environment={"HOMEPORT_TELEMETRY_INTERVAL_SECONDS": "1"})
        assert "with the key, 401 without" in said
        place, serving = deploy.place, deploy.group["properties"]["containers"][0]["properties"]

        keys = [deploy("keys", name).strip() for name in ("primary", "secondary")]
        command = [sys.executable, "-m", "pytest", "-q", "-rs", "tests/conformance", "-p", "no:cacheprovider"]
        command += ["--endpoint", f"http://127.0.0.1:{place.port}", "--ingestion", str(ingestion)]
        command += ["--key", keys[0], "--second-key", keys[1]]
        with Prober(place.port, serving) as prober:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout[-3000:]
        assert "skipped" not in done.stdout
        for statuses in prober.statuses.values():
            assert set(statuses) == {200}

        assert "HOMEPORT_KEYS" not in place.environment(), "no process of the endpoint has the keys in its environment"
        assert docker("exec", place.container, "id", "-u").strip() == "10001"
        shown = docker("history", "--no-trunc", place.image) + docker("image", "inspect", place.image) + place.logs()
        assert f"homeport deploy: {MODEL} 1" in shown
        assert not deploy.reveals(shown + "".join(deploy.said))
        layer = json.loads(deploy.azure.registry.manifests[place.image.partition("@")[2]])["layers"][-1]["digest"]
        assert not deploy.reveals(deploy.azure.registry.blobs[layer].decode("latin-1"))
        started = deploy.azure.started
        assert "nothing is deployed" in deploy("apply", environment={"HOMEPORT_TELEMETRY_INTERVAL_SECONDS": "1"})
        assert deploy.azure.started == started
