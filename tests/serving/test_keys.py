import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.errors import KeysError
from serving.keys import KeyRing, Keys, ensure_keys, read_keys


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
    from tests.conftest import serve

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
