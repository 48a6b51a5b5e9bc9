import hashlib

import msgspec
import numpy as np
import onnxruntime
import pytest

from bundle import BundleCorrupt, GoldenMismatch
from bundle.model import Model
from tests.conftest import MODEL
from trainer.parity import feeds


def reseal(folder, file, content):
    """Replace a file and make the digests agree, as somebody who knows them would."""
    from bundle.read import read_manifest

    manifest = read_manifest(folder)
    files = {**manifest.files, file: hashlib.sha256(content).hexdigest()}
    text = msgspec.json.encode(msgspec.structs.replace(manifest, files=files))
    sealed = {
        file: content,
        "manifest.json": text,
        "manifest.sha256": hashlib.sha256(text).hexdigest().encode(),
    }
    for name, data in sealed.items():
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(data)


def test_both_graphs_give_the_same(shop_bundle, shop_rows):
    model = Model(shop_bundle)
    fast = model.outputs(model.encode(model.tuples(shop_rows)))
    portable = onnxruntime.InferenceSession(shop_bundle / "model.onnx")
    labels, slow = portable.run(None, feeds(shop_rows, model.manifest.columns))
    np.testing.assert_allclose(fast, slow, atol=1e-6)
    assert model.labels(fast) == labels.tolist()
    assert [model.labels(fast[[place]])[0] for place in range(len(fast))] == labels.tolist()


def test_golden_rows_that_do_not_come_true_are_refused(own_store):
    folder = own_store.path(MODEL, "1")
    golden = msgspec.json.decode((folder / "golden.json").read_bytes())
    golden["outputs"][3] = golden["outputs"][3][::-1]
    reseal(folder, "golden.json", msgspec.json.encode(golden))
    with pytest.raises(GoldenMismatch, match="row 3 gives"):
        Model(folder)


def test_a_graph_that_cannot_run_is_refused(own_store):
    folder = own_store.path(MODEL, "1")
    reseal(folder, "scorer.onnx", b"no graph at all")
    with pytest.raises(BundleCorrupt, match=r"scorer\.onnx cannot be run by ONNX Runtime"):
        Model(folder)
