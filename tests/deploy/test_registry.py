"""The image in a real registry, the one that Debian ships; an engine pulls it where there is one."""

import os
import shutil
import subprocess

import httpx
import pytest

from deploy.archive import open_archive
from deploy.errors import RegistryRefused
from deploy.image import MODELS, bake, push
from deploy.registry import Registry
from tests.compose.stack import docker, missing_engine
from tests.conftest import MODEL, free_port, wait_until
from tests.deploy.runners import serving_archive

pytestmark = pytest.mark.e2e


@pytest.fixture
def registry(tmp_path):
    """A client of a registry of our own."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed here")
    port = free_port()
    settings = tmp_path / "registry.yml"
    storage = f"{{filesystem: {{rootdirectory: {tmp_path}/registry}}}}"
    settings.write_text(f"version: 0.1\nstorage: {storage}\nhttp: {{addr: '127.0.0.1:{port}'}}\n")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", settings], stdout=log, stderr=log, env={"PATH": os.defpath})
    client = Registry(f"http://127.0.0.1:{port}", "homeport", pause=0.01)

    def answers():
        try:
            return httpx.get(f"http://127.0.0.1:{port}/v2/", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(answers)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(15)


def pushed(registry, store, folder, model=MODEL):
    """The digest, and what was said on the way."""
    folder.mkdir()
    said = []
    with open_archive(str(serving_archive(folder / "serving.tar")), folder) as archive:
        return push(bake(archive, store, model, folder), registry, folder, said.append), said


def test_an_image_is_pushed_once_and_can_be_pulled(registry, own_store, tmp_path):
    digest, said = pushed(registry, own_store, tmp_path / "first")
    assert len(said) == 2, "its two layers"
    again, said = pushed(registry, own_store, tmp_path / "second")
    assert again == digest
    assert said == [f"The image is in {registry.server} already."]
    if missing_engine():
        return
    image = registry.reference(digest)
    docker("pull", "--quiet", image)
    try:
        container = docker("create", image, "none").strip()
        docker("cp", f"{container}:/{MODELS}", str(tmp_path / "models"))
        docker("rm", container)
        for path in own_store.champion_path(MODEL).iterdir():
            assert (tmp_path / "models" / MODEL / "1" / path.name).read_bytes() == path.read_bytes()
    finally:
        docker("rmi", "--force", image)


def test_a_layer_that_is_there_is_not_sent_again(registry, own_store, tmp_path):
    first, _ = pushed(registry, own_store, tmp_path / "first")
    shutil.copytree(own_store.root / MODEL, own_store.root / "other")
    second, said = pushed(registry, own_store, tmp_path / "second", "other")
    assert second != first
    assert [line.partition(":")[0] for line in said] == ["Layer 2 of 2"]


def test_a_registry_that_is_not_there(tmp_path, own_store):
    nobody = Registry(f"http://127.0.0.1:{free_port()}", "homeport", pause=0.01)
    with pytest.raises(RegistryRefused, match=r"cannot be reached.*the same command goes on"):
        pushed(nobody, own_store, tmp_path / "first")
    nobody.close()
