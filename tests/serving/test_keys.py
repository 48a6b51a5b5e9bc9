import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import serving.keys
from serving.errors import KeysError
from serving.keys import KeyRing, Keys, ensure_keys, read_keys, regenerate
from tests.conftest import serve


def test_keys_are_made_once_for_their_owner_alone(tmp_path):
    path = tmp_path / "deep" / "keys.json"
    made = ensure_keys(path)
    assert ensure_keys(path) == made == read_keys(path)
    assert made.primary != made.secondary
    assert len(made.primary) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


def test_processes_that_start_together_agree(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: ensure_keys(tmp_path / "keys.json").primary, range(32)))
    assert len(made) == 1


def test_a_key_is_recognised_by_name(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"primary": "p" * 20, "secondary": "s" * 20}))
    ring = KeyRing(path)
    assert ring.recognise(b"Bearer " + b"p" * 20) == "primary"
    assert ring.recognise(b"bearer  " + b"s" * 20 + b" ") == "secondary"
    for wrong in (b"", b"Bearer", b"Bearer ", b"p" * 20, b"Basic " + b"p" * 20, b"Bearer " + b"p" * 19, b"\xff" * 30):
        assert ring.recognise(wrong) is None


def test_keys_do_not_show_in_a_representation():
    assert "secret" not in repr(Keys(primary="secret" * 5, secondary="secret" * 5))


@pytest.mark.parametrize("content", ["", "{}", '{"primary": "x", "secondary": "y"}', '{"primary": 1, "secondary": 2}'])
def test_a_damaged_file_says_what_to_do(tmp_path, content):
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(KeysError, match="Delete"):
        ensure_keys(path)


def test_no_keys_yet(tmp_path):
    with pytest.raises(KeysError, match="made when the endpoint first starts"):
        read_keys(tmp_path / "keys.json")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "Basic abc"])
def test_scoring_needs_a_key(endpoint, authorization):
    headers = {"Authorization": authorization} if authorization is not None else {}
    for method in ("GET", "POST"):
        answer = endpoint.anonymous.request(method, "/score", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "key" in answer.json()["message"]


def test_both_keys_open_and_neither_is_logged(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root) as running:
        keys = read_keys(tmp_path / "keys.json")
        for key in (keys.primary, keys.secondary):
            headers = {"Authorization": f"Bearer {key}"}
            assert running.anonymous.post("/score", json={"data": [complete_row]}, headers=headers).is_success
            assert running.anonymous.post("/score", json={"data": 1}, headers=headers).status_code == 400
    log = running.log.read_text()
    assert keys.primary not in log
    assert keys.secondary not in log


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/docs", "/openapi.json", "/swagger.json"])
def test_health_and_documentation_need_no_key(endpoint, path):
    assert endpoint.anonymous.get(path).status_code == 200


def test_a_new_key_is_known_while_another_thread_reads_it(tmp_path, monkeypatch):
    """Whoever sees that the file has changed waits until its keys are taken."""
    path = tmp_path / "keys.json"
    ring = KeyRing(path)
    new = regenerate(path, "secondary").encode()
    reading, asked = threading.Event(), threading.Event()

    def slowly(path):
        reading.set()
        asked.wait(10)
        return read_keys(path)

    monkeypatch.setattr(serving.keys, "read_keys", slowly)
    with ThreadPoolExecutor(2) as pool:
        refreshed = pool.submit(ring.refresh)
        assert reading.wait(10)
        found = pool.submit(ring.recognise, b"Bearer " + new)
        asked.set()
        assert refreshed.result(10)
        assert found.result(10) == "secondary"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads any file")
def test_keys_that_become_readable_are_read(tmp_path):
    path = tmp_path / "keys.json"
    ring = KeyRing(path)
    new = regenerate(path, "primary").encode()
    path.chmod(0)
    assert ring.recognise(b"Bearer " + new) is None
    path.chmod(0o600)
    assert ring.recognise(b"Bearer " + new) == "primary"


def test_valid_keys_are_never_refused_while_others_are_made(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root, WORKERS="2") as running:
        path = tmp_path / "keys.json"
        for _ in range(100):
            headers = {"Authorization": f"Bearer {regenerate(path, 'secondary')}"}
            for client in (running.client, running.anonymous):
                sent = headers if client is running.anonymous else {}
                assert client.post("/score", json={"data": [complete_row]}, headers=sent).status_code == 200
