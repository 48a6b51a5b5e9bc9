import hashlib

import msgspec
import numpy as np
import pytest

from bundle import BackgroundMissing, BundleCorrupt, BundleForeign, Store, write_bundle
from bundle.model import Model
from bundle.read import read_background, verify
from tests.bundle.test_model import reseal
from tests.conftest import MODEL


def without_background(store: Store) -> str:
    """Write the model as a Homeport wrote it that explained nothing."""
    folder, manifest = store.path(MODEL, "1"), store.manifest(MODEL, "1")
    files = {file: (folder / file).read_bytes() for file in manifest.files if file != "background.json"}
    return write_bundle(store, manifest, files).version


def test_background_is_read_as_it_was_encoded(shop_bundle):
    background = read_background(shop_bundle)
    manifest = verify(shop_bundle)
    assert background.dtype == np.float32
    assert background.shape == (100, len(manifest.columns))
    content = (shop_bundle / "background.json").read_bytes()
    assert manifest.files["background.json"] == hashlib.sha256(content).hexdigest()
    columns = {column.name: background[:, place] for place, column in enumerate(manifest.columns)}
    assert set(np.unique(columns["is member"])) == {0, 1}
    assert 0 < np.isnan(columns["spend.total"]).sum() < 30  # missing in a tenth of the rows
    assert columns["age"].min() >= 18
    assert np.isfinite(Model(shop_bundle).outputs(background)).all()


def test_a_bundle_without_background_scores_and_says_how_to_explain(own_store):
    folder = own_store.path(MODEL, without_background(own_store))
    own_store.promote(MODEL, folder.name)
    assert Model(folder).manifest.protocol == 1
    with pytest.raises(BackgroundMissing, match=r"has no background\.json.*train the model again"):
        read_background(folder)


def test_an_edited_background_is_named(own_store):
    path = own_store.path(MODEL, "1") / "background.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with pytest.raises(BundleCorrupt, match=r"background\.json is not the file that was written"):
        read_background(path.parent)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: {**content, "columns": content["columns"][::-1]},
        lambda content: {**content, "rows": [row[:-1] for row in content["rows"]]},
        lambda content: {**content, "rows": []},
        lambda content: {**content, "rows": [["x"] * len(content["columns"])]},
        lambda content: content["rows"],
    ],
)
def test_a_background_that_does_not_fit_is_refused(own_store, change):
    folder = own_store.path(MODEL, "1")
    content = msgspec.json.decode((folder / "background.json").read_bytes())
    reseal(folder, "background.json", msgspec.json.encode(change(content)))
    with pytest.raises(BundleForeign, match=r"background\.json holds no"):
        read_background(folder)
