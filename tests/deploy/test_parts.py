"""The parts that need no Azure: settings, errors in words, secrets, keys, and the image."""

import io
import json
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import BundleError
from deploy.archive import open_archive
from deploy.azure.failures import Failure, failures, most_telling
from deploy.azure.settings import read_settings
from deploy.errors import ImageUnusable, KeysMissing, SettingsInvalid
from deploy.image import MODELS, bake
from deploy.keys import KeyFile, Keys
from deploy.redact import Redactor
from tests.conftest import MODEL, ROOT
from tests.deploy.runners import serving_archive

GOOD = """
subscription = "00000000-0000-0000-0000-000000000001"
group = "homeport"
location = "westeurope"
name = "homeport-bank"
registry = "homeportbank1"
"""


def settings_of(tmp_path, text):
    path = tmp_path / "azure.toml"
    path.write_text(text)
    return read_settings(path)


def test_the_example_is_right_with_and_without_what_may_be_left_out(tmp_path):
    example = (ROOT / "deploy" / "azure" / "example.toml").read_text()
    assert settings_of(tmp_path, example).label == "homeport-bank"
    everything = example.replace("\n# ", "\n").replace("All else may be left out.", "")
    full = settings_of(tmp_path, everything)
    assert full.tls
    assert full.environment == {"HOMEPORT_SERVING_WORKERS": "1"}
    assert full.tags == {"owner": "me"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('location = "West Europe"', "location"),
        ('name = "Bank"', "name"),
        ('registry = "my-registry"', "registry"),
        ('subscription = "mine"', "az account list"),
        ("cpu = 0.3", "cpu"),
        ("memory_gb = 1.25", "one decimal"),
        ('dns_label = "abc"', "dns_label"),
        ("colour = 1", "colour"),
        ("tls = 1", "tls"),
        ('[environment]\nHOMEPORT_SERVING_KEYS = "/x"', "set by the deployment itself"),
        ('[environment]\nPASSWORD = "x"', "no setting of serving"),
        ('[tags]\nhomeport = "x"', "one that Homeport sets"),
        ("name =", "cannot be read"),
    ],
)
def test_each_wrong_setting_is_named(tmp_path, line, said):
    name = line.partition(" ")[0]
    kept = [one for one in GOOD.splitlines() if not one.startswith(f"{name} ")]
    with pytest.raises(SettingsInvalid, match=said):
        settings_of(tmp_path, "\n".join([*kept, line]))


def test_without_settings_one_is_told_how_to_begin(tmp_path):
    with pytest.raises(SettingsInvalid, match=r"cp deploy/azure/example.toml"):
        read_settings(tmp_path / "azure.toml")


def test_the_innermost_error_that_has_a_remedy_is_told():
    inner = {"error": {"code": "ServiceQuotaExceeded", "message": "cores quota\n  exceeded"}}
    told = {
        "code": "DeploymentFailed", "message": "At least one failed.",
        "details": [
            {"code": "Odd", "message": "something"},
            {"code": "BadRequest", "message": json.dumps(inner)},
        ],
    }  # fmt: skip
    assert [one.code for one in failures(told)] == ["Odd", "ServiceQuotaExceeded"]
    refusal = str(most_telling({"error": told}).refusal("It cannot be deployed"))
    assert refusal.startswith("It cannot be deployed: cores quota exceeded (ServiceQuotaExceeded). Ask for more")
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        ("SubscriptionNotFound", "", "az account list"),
        ("MissingSubscriptionRegistration", "", "az provider register"),
        ("ReadOnlyDisabledSubscription", "", "credit"),
        ("AuthorizationFailed", "may not perform 'Microsoft.Authorization/roleAssignments/write'", "assign_pull_role"),
        ("AuthorizationFailed", "may not", "Contributor"),
        ("LocationNotAvailableForResourceType", "", "another `location`"),
        ("ContainerGroupQuotaReached", "", "Quotas"),
        ("BadRequest", "The quota of cores is reached", "Quotas"),
        ("DnsNameLabelNotAvailable", "", "dns_label"),
        ("AlreadyInUse", "", "another `registry`"),
        ("InaccessibleImage", "", "AcrPull"),
        ("RegistryErrorResponse", "", "caddy_image"),
        ("TooManyRequests", "", "wait some minutes"),
        ("RequestDisallowedByPolicy", "", "organisation"),
        ("InvalidTemplate", "", "report it"),
    ],
)
def test_each_usual_refusal_has_its_remedy(code, message, remedy):
    assert remedy in (Failure(code, message).remedy() or "")


def test_an_error_of_no_known_kind_is_told_as_it_is():
    assert str(Failure("Odd", "So it is.").refusal("It failed")) == "It failed: So it is. (Odd)."


SECRET = st.text(st.characters(min_codepoint=48, max_codepoint=122), min_size=16, max_size=40)


@given(SECRET, SECRET, st.text(), st.sampled_from(["secureValue", "connectionString", "value", "image"]))
def test_no_secret_is_shown_wherever_it_stands(first, second, around, field):
    shown = Redactor([first, second]).value({"a": [{field: f"{around}{first}{around}"}], second: around})
    text = json.dumps(shown, ensure_ascii=False)
    for secret in (first, second):
        assert secret not in text or secret in around
    if field in ("secureValue", "connectionString"):
        assert shown["a"][0][field] == "***"


def test_keys_are_private_and_a_rotation_that_is_cut_short_goes_on(tmp_path):
    file = KeyFile(tmp_path / "azure" / "one.keys.json")
    with pytest.raises(KeysMissing, match="rotate-keys both"):
        file.demand()
    first = file.make()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.make() == first
    staged = file.stage("primary")
    assert staged.secondary == first.secondary
    assert staged.primary != first.primary
    assert KeyFile(file.path).stage("primary", "secondary") == staged, "the same ones, whatever is asked"
    assert file.read() == first, "until the endpoint has the new ones"
    file.commit()
    assert file.read() == staged
    assert staged.primary not in repr(staged)
    file.path.write_text("{}")
    with pytest.raises(KeysMissing, match="holds no keys"):
        file.read()
    file.forget()
    assert file.read() is None
    assert Keys("a", "b").as_json() == '{"primary":"a","secondary":"b"}'


def baked(image, store, folder):
    folder.mkdir()
    with open_archive(str(image), folder) as archive:
        made = bake(archive, store, MODEL, folder)
        return made.tag, made.config, made.layer.read_bytes()


def test_the_same_bundle_is_the_same_image_and_nothing_else_is_in_it(tmp_path, own_store):
    image = serving_archive(tmp_path / "serving.tar")
    first = baked(image, own_store, tmp_path / "a")
    for path in own_store.champion_path(MODEL).iterdir():
        os.utime(path, (1, 1))
    (own_store.root / "keys.json").write_text("secret")
    assert baked(image, own_store, tmp_path / "b") == first
    config = json.loads(first[1])
    assert f"HOMEPORT_SERVING_MODEL={MODEL}" in config["config"]["Env"]
    assert config["config"]["User"] == "10001:10001"
    with tarfile.open(fileobj=io.BytesIO(first[2])) as tar:
        names = {entry.name for entry in tar}
        assert all(entry.uid == 0 and entry.mode in (0o644, 0o755) for entry in tar)
    bundle = {f"{MODELS}/{MODEL}/1/{path.name}" for path in own_store.champion_path(MODEL).iterdir()}
    assert names == bundle | {f"{MODELS}/{MODEL}", f"{MODELS}/{MODEL}/1", f"{MODELS}/{MODEL}/champion"}


def test_a_damaged_bundle_is_not_baked(tmp_path, own_store):
    (own_store.champion_path(MODEL) / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError):
        baked(serving_archive(tmp_path / "serving.tar"), own_store, tmp_path / "a")


def test_what_is_no_image_of_serving_is_refused(tmp_path):
    def opened(source):
        with open_archive(str(source), tmp_path):
            raise AssertionError("it was opened")

    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(ImageUnusable, match="no image as `docker save` writes it"):
        opened(tmp_path / "text.tar")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ImageUnusable, match="no image"):
        opened(tmp_path / "empty.tar")
    good = serving_archive(tmp_path / "serving.tar").read_bytes()
    (tmp_path / "arm.tar").write_bytes(good.replace(b'"amd64"', b'"arm64"'))
    with pytest.raises(ImageUnusable, match="DOCKER_DEFAULT_PLATFORM"):
        opened(tmp_path / "arm.tar")


def test_without_docker_one_is_told_the_other_way(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(ImageUnusable, match=r"docker save homeport/serving --output"),
        open_archive("homeport/serving", tmp_path),
    ):
        pass
