"""What the images hold, and what they do not."""

import json

import pytest

from tests.compose.stack import Stack, docker
from tests.conftest import ROOT

pytestmark = pytest.mark.e2e

DOCKERFILES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.rglob("*Dockerfile")
    if not {".venv", ".cache"} & set(path.relative_to(ROOT).parts)
)
SERVING_MB = 245  # beside the base image; 27 of them are for Azure Monitor


def base():
    return next(line.split()[-1] for line in (ROOT / "docker-compose.yml").read_text().splitlines() if "&base" in line)


def run(image, script):
    return docker("run", "--rm", "--network=none", "--entrypoint=bash", image, "-c", script)


@pytest.fixture(params=["collector", "dask-worker", "deploy", "insights", "load", "pipeline", "serving", "trainer"])
def image(request, images):
    return images[request.param]


def test_every_dockerfile_is_an_image_of_the_stack(images):
    services = Stack().configuration("*")["services"].values()
    assert {service["build"]["dockerfile"] for service in services if "build" in service} == set(map(str, DOCKERFILES))


def test_an_image_runs_as_nobody_in_particular_and_says_what_it_is(image):
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert config["User"] == "10001:10001"
    for label in ("title", "description", "licenses"):
        assert config["Labels"][f"org.opencontainers.image.{label}"]
    assert "PYTHONSAFEPATH=1" in config["Env"] or "python" not in str(config["Entrypoint"])
    assert not any(word in variable.lower() for variable in config["Env"] for word in ("password", "secret", "token"))


def test_nothing_in_an_image_may_be_changed_by_its_user(image):
    """But for the mount points of volumes and what every system leaves open."""
    writable = run(
        image, "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/dev/*' 2>/dev/null; true"
    )
    allowed = ("/tmp", "/var/tmp", "/run/lock", "/var/lib/homeport/", "/var/cache/homeport", "/var/lock")
    assert [path for path in writable.split() if not path.startswith(allowed)] == []


def test_serving_is_small_and_knows_no_learner(images):
    size, of_base = (json.loads(docker("image", "inspect", name))[0]["Size"] for name in (images["serving"], base()))
    assert (size - of_base) / 1e6 <= SERVING_MB
    assert run(images["serving"], "ls /opt/homeport/observability").split() == [
        "__init__.py",
        "__pycache__",
        "telemetry",
    ]
    packages = run(images["serving"], "ls /opt/venv/lib/python*/site-packages").lower().split()
    for unwanted in ("flaml", "sklearn", "pandas", "lightgbm", "xgboost", "catboost", "onnx", "pip", "uv", "locust"):
        assert unwanted not in packages
    assert run(images["serving"], "ls /opt/homeport").split() == ["bundle", "observability", "serving"]


def test_the_kernel_is_compiled_where_rows_are_scored(images):
    for service in ("serving", "trainer", "pipeline", "dask-worker"):
        assert "libforest.so" in run(images[service], "ls /opt/homeport/bundle")


def test_nothing_of_the_working_folder_slips_in(images):
    """`.dockerignore` names what may come; keys, models and caches are not among it."""
    names = " -o ".join(f"-name {name}" for name in ("keys.json", "champion", ".env", ".git", "'*.csv'"))
    for image in set(images.values()):
        found = run(image, f"find / -xdev \\( {names} \\) -not -path '/opt/venv/*' 2>/dev/null; true")
        assert not found.strip()
