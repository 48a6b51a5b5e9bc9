import multiprocessing
import os
import stat

import msgspec
import pytest

from bundle import BundleCorrupt, BundleError, BundleForeign, BundleNotFound, Store, write_bundle
from bundle.read import verify
from tests.conftest import MODEL

FILES = ("model.onnx", "scorer.onnx", "golden.json", "manifest.json", "report.html", "baseline.json", "background.json")


def copy_version(store: Store, version: str = "1") -> str:
    """Write the content of a version as a new one."""
    folder = store.path(MODEL, version)
    manifest = store.manifest(MODEL, version)
    files = {file: (folder / file).read_bytes() for file in manifest.files}
    return write_bundle(store, manifest, files).version


def test_a_written_bundle_is_whole_and_read_only(shop_bundle):
    manifest = verify(shop_bundle)
    assert manifest.name == MODEL
    for file in shop_bundle.iterdir():
        assert not file.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH), file


@pytest.mark.parametrize("file", FILES)
def test_an_edited_file_is_named_with_a_remedy(own_store, file):
    path = own_store.path(MODEL, "1") / file
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleCorrupt, match=rf"{file} is not the file that was written.*promote another version"):
        verify(path.parent)


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_named(own_store, file):
    path = own_store.path(MODEL, "1") / file
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleCorrupt, match=file):
        verify(path.parent)


@pytest.mark.parametrize("file", [*FILES, "manifest.sha256"])
def test_a_missing_file_is_named(own_store, file):
    path = own_store.path(MODEL, "1") / file
    path.unlink()
    with pytest.raises(BundleCorrupt, match=file):
        verify(path.parent)


def test_a_file_that_does_not_belong_is_named(own_store):
    (own_store.path(MODEL, "1") / "extra.bin").write_bytes(b"x")
    with pytest.raises(BundleCorrupt, match=r"extra\.bin does not belong"):
        verify(own_store.path(MODEL, "1"))


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(BundleForeign, match="is no bundle"):
        verify(tmp_path)


def test_another_protocol_is_refused(own_store):
    import hashlib

    folder = own_store.path(MODEL, "1")
    content = (folder / "manifest.json").read_bytes().replace(b'"protocol": 1,', b'"protocol": 2,')
    for name, data in (
        ("manifest.json", content),
        ("manifest.sha256", hashlib.sha256(content).hexdigest().encode()),
    ):
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(data)
    with pytest.raises(BundleForeign, match="protocol 2; this Homeport reads 1"):
        verify(folder)


def test_promote_and_rollback(own_store):
    assert copy_version(own_store) == "2"
    assert own_store.champion(MODEL).version == "1"
    own_store.promote(MODEL, "2")
    own_store.promote(MODEL, "2")
    assert own_store.champion_path(MODEL).name == "2"
    assert own_store.rollback(MODEL) == "1"
    with pytest.raises(BundleNotFound, match="nothing to go back to"):
        own_store.rollback(MODEL)


def test_a_broken_bundle_is_not_promoted(own_store):
    version = copy_version(own_store)
    (own_store.path(MODEL, version) / "scorer.onnx").unlink()
    with pytest.raises(BundleCorrupt):
        own_store.promote(MODEL, version)
    assert own_store.champion(MODEL).version == "1"


@pytest.mark.parametrize("name", ["../up", "A", "", "a/b", ".hidden", "x" * 64])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path, name):
    with pytest.raises(BundleError, match="is no model name"):
        Store(tmp_path).versions(name)


def test_an_unknown_version_names_the_known_ones(shop_store):
    with pytest.raises(BundleNotFound, match=r"no version '7'.*there: 1"):
        shop_store.path(MODEL, "7")


def test_a_failed_write_leaves_nothing(own_store, monkeypatch):
    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        copy_version(own_store)
    assert sorted(path.name for path in own_store.folder(MODEL).iterdir()) == ["1", "champion"]


def write_many(root):
    store = Store(root)
    for _ in range(5):
        copy_version(store)


@pytest.mark.e2e
def test_writers_that_race_get_a_version_each(own_store):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(own_store.root,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    versions = own_store.versions(MODEL)
    assert versions == [str(number) for number in range(1, 17)]
    for version in versions:
        assert verify(own_store.path(MODEL, version)).version == version


def test_a_damaged_pointer_says_what_to_do(own_store):
    (own_store.folder(MODEL) / "champion").write_text("{")
    with pytest.raises(BundleForeign, match=r"make it anew.*promote"):
        own_store.champion(MODEL)


def test_the_manifest_survives_a_round_trip(shop_store):
    manifest = shop_store.manifest(MODEL, "1")
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=type(manifest)) == manifest
