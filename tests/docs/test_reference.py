"""The documentation is a contract: what it names exists, and what exists it names."""

import re
import shlex
import subprocess

import pytest
import typer
from pydantic import SecretStr

from homeport.__main__ import app
from observability.insights.app import create_app as create_insights
from observability.insights.counters import NAMES
from observability.insights.parts import running
from observability.insights.settings import Settings as InsightsSettings
from observability.insights.tables import TABLES
from observability.telemetry import Settings as TelemetrySettings
from pipeline.job import Job
from pipeline.service.settings import Settings as PipelineSettings
from serving.app import create_app
from serving.settings import Settings
from tests.conftest import ROOT
from tests.pipeline.service.test_app import Service
from trainer.learners import learners
from trainer.metrics import METRICS

REFERENCE = (ROOT / "docs" / "reference.md").read_text()
README = (ROOT / "README.md").read_text()
MODULES = [
    path
    for folder in ("serving", "trainer", "pipeline", "observability")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands():
    def walk(command, path):
        children = getattr(command, "commands", None)
        if children is None:
            yield path, command
        for name, child in (children or {}).items():
            yield from walk(child, [*path, name])

    return list(walk(typer.main.get_command(app), ["homeport"]))


@pytest.mark.parametrize(
    ("path", "command"), commands(), ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_every_command_and_option_is_documented(path, command):
    assert f"`{' '.join(path)}" in REFERENCE
    for parameter in command.params:
        for option in parameter.opts:
            assert not option.startswith("--") or option == "--help" or f"`{option}`" in REFERENCE, option
        if parameter.envvar:
            assert f"`{parameter.envvar}`" in REFERENCE


@pytest.mark.parametrize("settings", [Settings, TelemetrySettings, InsightsSettings, PipelineSettings])
def test_every_setting_is_documented_with_its_default(settings):
    for name, field in settings.model_fields.items():
        variable = field.validation_alias or settings.model_config["env_prefix"] + name.upper()
        row = re.search(rf"^\| `{variable}` \| (.+?) \|", REFERENCE, re.MULTILINE)
        assert row, name
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        if default not in (None, ""):
            assert str(default).lower() in row[1].lower()
        assert field.description


def test_every_path_is_documented(tmp_path):
    application = create_app(Settings(models=tmp_path, keys=tmp_path / "keys.json"))
    for path in application.openapi()["paths"]:
        assert f" {path}" in REFERENCE, path


def test_every_path_of_insights_is_documented(tmp_path):
    settings = InsightsSettings(data=tmp_path)
    with running(settings) as parts:
        for path in create_insights(parts, settings).openapi()["paths"]:
            assert f" {path}" in REFERENCE, path


def test_every_path_and_field_of_pipelines_is_documented(tmp_path):
    service = Service(tmp_path)
    try:
        for path in service.app.openapi()["paths"]:
            assert f" {path}" in REFERENCE, path
    finally:
        service.registry.close()
        service.agenda.close()
    for field in Job.model_fields.values():
        assert f"| `{field.alias}` |" in REFERENCE, field.alias


def test_every_table_and_count_of_insights_is_documented():
    for table, schema in TABLES.items():
        for name in [table, *schema.names]:
            assert f"`{name}`" in REFERENCE, name
    for name in NAMES:
        assert f"`insights.{name}`" in REFERENCE


def test_every_file_of_a_bundle_is_documented(shop_bundle):
    for file in shop_bundle.iterdir():
        assert f"`{file.name}`" in REFERENCE


def test_every_metric_and_learner_is_documented():
    for name in [*METRICS, *learners("binary", (), 0), *learners("regression", (), 0)]:
        assert f"`{name}`" in REFERENCE


def test_every_metric_of_telemetry_is_documented():
    code = "".join(path.read_text() for path in MODULES)
    names = set(re.findall(r'(?:counter|gauge|histogram)\(\s*f?"((?:http|ml|homeport)\.[^"]+)"', code))
    assert len(names) > 10
    for name in names:
        assert re.search(rf"`{re.sub('{.+?}', '[a-z]+', name)}`", REFERENCE), name


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z0-9]+)\b(?=`|\s+#)", page.read_text())}
    assert {"up", "test", "down"} <= named <= targets


def test_every_command_that_is_named_exists():
    known = {" ".join(path[1:]) for path, _ in commands()}
    for page in PAGES:
        for line in re.findall(r"(?:^|`|\()homeport ([a-z][^`\n)#]*)", page.read_text(), re.MULTILINE):
            words = shlex.split(line.replace("\\|", "|").replace("…", ""))
            depth = {"models": 2, "keys": 2, "pipeline": 2, "deploy": 3}.get(words[0], 1)
            spoken = " ".join(words[:depth]).split("|")[0]
            assert spoken in known or spoken == "deploy azure", (page.name, line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_help_of_the_makefile_lists_the_vocabulary():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("up", "down", "test", "check", "e2e", "bench", "bench-automl", "setup"):
        assert f"make {target} " in listed
