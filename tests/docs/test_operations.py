"""The page on operations names what docker-compose.yml has, and with its values."""

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"\$\{(\w+:-[^}]*)\}", COMPOSE))))
def test_every_variable_is_documented_with_its_default(variable):
    name, default = variable.split(":-")
    row = re.search(rf"^\| `{name}` \| (.+?) \|", PAGE, re.MULTILINE)
    assert row, name
    assert row[1].strip("`") == default or not default


def test_every_service_profile_and_volume_is_named():
    services, volumes = COMPOSE.split("\nservices:\n")[1].split("\nvolumes:\n")
    for name in re.findall(r"^  ([a-z-]+):", volumes, re.MULTILINE):
        assert f"`homeport_{name}`" in PAGE, name
    for profile in set(re.findall(r"profiles: \[(\w+)\]", services)):
        assert f"--profile {profile} " in PAGE, profile
    always = [part for part in re.split(r"^  (?=[a-z-]+:)", services, flags=re.MULTILINE) if "image:" in part]
    for part in always:
        name = part.split(":")[0]
        limit = re.search(r"mem_limit: (\d+)([gm])", part)
        if "profiles:" not in part and "*dask" not in part:
            unit = {"g": "GB", "m": "MB"}[limit[2]]
            assert re.search(rf"^\| `{name}` \| .+ \| {limit[1]} {unit} \|$", PAGE, re.MULTILINE), name


def test_the_pinned_collector_is_the_one_that_is_built():
    pinned = re.search(r"opentelemetry-collector-contrib:(\S+)", COMPOSE)[1]
    manifest = (ROOT / ".ci" / "collector" / "manifest.yaml").read_text()
    assert f"  version: {pinned}\n" in manifest
    assert set(re.findall(r"gomod: \S+ v(0\.\S+)", manifest)) == {pinned}
