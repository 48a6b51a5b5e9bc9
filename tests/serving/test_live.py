"""A new champion takes over while requests go on; a bad one does not."""

import json
import os
import shutil
import threading

import httpx
import msgspec
import pytest

from bundle.write import write_bundle
from tests.conftest import MODEL, serve, wait_until
from tests.serving.conftest import tensors


def ready(running):
    return running.anonymous.get("/health/ready").json()


def test_a_promoted_version_is_served_by_all_workers_without_a_failed_or_mixed_request(tmp_path, store, complete_row):
    with serve(tmp_path, store.root, WORKERS="2") as running:
        content = {"data": [complete_row], "method": "predict_proba"}
        seen: dict[str, set[str]] = {"1": set(), "2": set()}
        failed = []
        end = threading.Event()

        def ask():
            while not end.is_set():  # a new connection each few requests, so that every worker is asked
                with httpx.Client(base_url=running.url, headers=running.client.headers, trust_env=False) as client:
                    for _ in range(5):
                        answer = client.post("/score", json=content)
                        if answer.status_code != 200:
                            failed.append(answer)
                        seen[answer.headers["x-model-version"]].add(answer.text)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for version in ("2", "1", "2", "1", "2"):
                before = running.log.read_text().count(f"version {version} from")
                store.promote(MODEL, version)
                wait_until(lambda: running.log.read_text().count(f"version {version} from") >= before + 2)  # noqa: B023
        finally:
            end.set()
            for thread in threads:
                thread.join()
        assert not failed
        assert len(seen["1"]) == len(seen["2"]) == 1  # each version gives one answer
        assert seen["1"] != seen["2"]


def test_a_bad_champion_leaves_the_old_one_and_says_so(tmp_path, store, complete_row):
    with serve(tmp_path, store.root) as running:
        graph = store.path(MODEL, "2") / "scorer.onnx"
        content = graph.read_bytes()
        store.promote(MODEL, "2")
        wait_until(lambda: ready(running)["version"] == "2")
        store.promote(MODEL, "1")
        wait_until(lambda: ready(running)["version"] == "1")
        graph.chmod(0o644)
        graph.write_bytes(content[:-100])
        (store.root / MODEL / "champion").write_text('{"version": "2", "previous": ["1"]}')
        wait_until(lambda: "refused" in ready(running))
        answer = running.client.post("/score", json={"data": [complete_row]})
        assert (answer.status_code, answer.headers["x-model-version"]) == (200, "1")
        state = ready(running)
        assert (state["status"], state["version"]) == ("ready", "1")
        assert "scorer.onnx is not the file that was written" in state["refused"]
        assert state["refused"] in running.log.read_text()
        graph.write_bytes(content)  # mended: it is taken after all
        wait_until(lambda: ready(running)["version"] == "2")
        assert "refused" not in ready(running)


@pytest.mark.parametrize("pointer", ["", "{", '{"version": "7"}', "\udcff"])
def test_a_damaged_pointer_leaves_the_old_one(tmp_path, store, complete_row, pointer):
    with serve(tmp_path, store.root) as running:
        (store.root / MODEL / "champion").write_text(pointer, errors="surrogateescape")
        wait_until(lambda: "refused" in ready(running))
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200
        (store.root / MODEL / "champion").write_text('{"version": "1"}')
        wait_until(lambda: "refused" not in ready(running))


def test_the_first_model_is_taken_without_a_restart(tmp_path, store, complete_row):
    (tmp_path / "empty").mkdir()
    with serve(tmp_path, tmp_path / "empty") as running:
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 503
        shutil.copytree(store.root / MODEL, tmp_path / "copied")
        (tmp_path / "copied").rename(tmp_path / "empty" / MODEL)
        wait_until(lambda: ready(running)["status"] == "ready")
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200
        document = running.anonymous.get("/openapi.json").json()
        assert "age" in document["components"]["schemas"]["Row"]["properties"]


def test_a_version_may_go_once_another_is_served(tmp_path, store, complete_row):
    with serve(tmp_path, store.root) as running:
        store.promote(MODEL, "2")
        wait_until(lambda: ready(running)["version"] == "2")
        for file in (store.root / MODEL / "1").iterdir():
            file.chmod(0o644)
        (store.root / MODEL / "1").chmod(0o755)
        shutil.rmtree(store.root / MODEL / "1")
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200
        assert "refused" not in ready(running)


def test_another_model_follows_when_none_is_named(tmp_path, store):
    manifest = store.manifest(MODEL, "1")
    files = {file: (store.path(MODEL, "1") / file).read_bytes() for file in manifest.files}
    with serve(tmp_path, store.root) as running:
        write_bundle(store, msgspec.structs.replace(manifest, name="other"), files)
        store.promote("other", "1")
        wait_until(lambda: ready(running)["model"] == "other")
    with serve(tmp_path, store.root, MODEL=MODEL) as running:
        assert ready(running)["model"] == MODEL


def test_paths_that_name_a_version_follow_the_champion(tmp_path, store, complete_row):
    inputs = tensors(store.manifest(MODEL, "1"), [complete_row])
    with serve(tmp_path, store.root) as running:

        def infer(version):
            answer = running.client.post(f"/v2/models/{MODEL}/versions/{version}/infer", json={"inputs": inputs})
            return answer.status_code, answer.json().get("model_version"), answer.json().get("error")

        refused = f"There is no model {MODEL} version {{}} here. Served is {MODEL} version {{}}."
        assert infer(1) == (200, "1", None)
        assert infer(2) == (404, None, refused.format(2, 1))
        store.promote(MODEL, "2")
        wait_until(lambda: ready(running)["version"] == "2")
        assert infer(1) == (404, None, refused.format(1, 2))
        assert infer(2) == (200, "2", None)


def test_a_file_that_becomes_readable_is_read(tmp_path, own_store, complete_row):
    """It looks as before by name and time, as after a change of its mode, or when files can be opened again."""
    graph = own_store.champion_path(MODEL) / "scorer.onnx"
    written = graph.stat().st_mtime_ns
    kept = graph.rename(tmp_path / "kept.onnx")
    graph.mkdir()
    os.utime(graph, ns=(written, written))
    with serve(tmp_path, own_store.root) as running:
        assert "cannot be read" in running.anonymous.get("/health/ready").json()["reason"]
        graph.rmdir()
        kept.rename(graph)
        wait_until(lambda: running.anonymous.get("/health/ready").status_code == 200)
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200


def test_a_version_that_fails_in_an_unforeseen_way_is_refused_as_champion_and_as_challenger(
    tmp_path, store, complete_row
):
    manifest = store.manifest(MODEL, "1")
    files = {file: (store.path(MODEL, "1") / file).read_bytes() for file in manifest.files}
    golden = json.loads(files["golden.json"])
    golden["rows"][0]["age"] = "old"  # its digest is right, and no number
    files["golden.json"] = json.dumps(golden).encode()
    version = write_bundle(store, manifest, files).version
    store.challenge(MODEL, version, 1.0)
    with serve(tmp_path, store.root, MODEL=MODEL) as running:
        assert f"there is no comparison with a challenger: version {version}" in running.log.read_text()
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200
        store.promote(MODEL, version)
        wait_until(lambda: "refused" in ready(running))
        assert f"version {version} cannot be loaded" in ready(running)["refused"]
        assert running.client.post("/score", json={"data": [complete_row]}).headers["x-model-version"] == "1"
