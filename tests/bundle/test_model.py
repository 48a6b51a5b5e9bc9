import hashlib
import os
import subprocess
import sys

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


def without_forest(folder):
    """What a bundle was before there was a kernel."""
    from bundle.read import read_manifest

    (folder / "forest.npz").unlink()
    manifest = read_manifest(folder)
    files = {file: digest for file, digest in manifest.files.items() if file != "forest.npz"}
    text = msgspec.json.encode(msgspec.structs.replace(manifest, files=files))
    for name, data in (("manifest.json", text), ("manifest.sha256", hashlib.sha256(text).hexdigest().encode())):
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(data)


def test_the_kernel_scores_and_gives_the_same(shop_bundle, shop_rows, caplog):
    caplog.set_level("INFO", "homeport.bundle")
    model, plain = Model(shop_bundle), Model(shop_bundle, compiled=False)
    assert (model.runtime, plain.runtime) == ("compiled", "onnxruntime")
    assert caplog.messages == ["Model shop 1: the compiled kernel scores."]
    encoded = model.encode(model.tuples(shop_rows))
    fast, slow = model.outputs(encoded), plain.outputs(encoded)
    assert fast.dtype == slow.dtype
    np.testing.assert_allclose(fast, slow, atol=1e-6)
    assert model.labels(fast) == plain.labels(slow)


def test_a_bundle_without_a_forest_is_scored_by_onnx_runtime(own_store, caplog):
    caplog.set_level("INFO", "homeport.bundle")
    without_forest(own_store.path(MODEL, "1"))
    assert Model(own_store.path(MODEL, "1")).runtime == "onnxruntime"
    assert "the bundle has no forest.npz" in caplog.text


def test_a_forest_that_disagrees_does_not_score(own_store, caplog):
    from dataclasses import replace

    from bundle.forest import read_forest

    folder = own_store.path(MODEL, "1")
    model = Model(folder)
    forest = read_forest((folder / "forest.npz").read_bytes(), len(model.names), 2)
    values = forest.values.copy()
    values[np.argmax(np.abs(values))] += 1
    reseal(folder, "forest.npz", replace(forest, values=values).dumps())
    model = Model(folder)
    assert model.runtime == "onnxruntime"
    assert "the compiled kernel differs from it by" in caplog.text


def test_a_forest_that_is_none_is_refused(own_store):
    folder = own_store.path(MODEL, "1")
    reseal(folder, "forest.npz", b"no arrays at all")
    with pytest.raises(BundleCorrupt, match=r"forest\.npz is no forest of this model"):
        Model(folder)
    assert Model(folder, compiled=False).runtime == "onnxruntime"


def test_without_a_kernel_onnx_runtime_scores(shop_bundle, monkeypatch, tmp_path, caplog):
    from bundle import compiled

    caplog.set_level("INFO", "homeport.bundle")
    monkeypatch.setattr(compiled, "LIBRARY", tmp_path / "libforest.so")
    compiled._library.cache_clear()
    try:
        assert Model(shop_bundle).runtime == "onnxruntime"
    finally:
        compiled._library.cache_clear()
    assert "there is no compiled kernel: it was not compiled: install a C compiler and run `make setup`" in caplog.text


def test_onnx_runtime_does_not_call_home(shop_bundle, tmp_path):
    """Its official packages send what they load to their makers; before they do they keep an id of the machine."""
    code = "import sys; from pathlib import Path; from bundle.model import Model; Model(Path(sys.argv[1]))"
    # not set by the environment; nor anything that ONNX Runtime takes for a machine that runs tests
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    subprocess.run([sys.executable, "-c", code, shop_bundle], env={**kept, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
