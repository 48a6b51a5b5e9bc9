"""The commands as a person runs them: processes, their output, their exit codes."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest

from bundle import Store
from homeport.__main__ import main
from serving.keys import read_keys
from tests.conftest import MODEL, ROOT, Silent, free_port, quick, shop_frame, wait_until, write_csv
from trainer.job import train
from trainer.table import read_table


def homeport(*arguments, folder, stdin=None, code=0):
    if arguments[0] == "up" and "--insights-port" not in arguments:
        arguments = (*arguments, "--no-insights")  # most tests ask nothing of it, and it takes a second
    result = subprocess.run(
        [sys.executable, "-m", "homeport", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture(scope="module")
def stack(tmp_path_factory, shop_store):
    """A folder in which the embedded stack runs the shop's model."""
    import shutil

    folder = tmp_path_factory.mktemp("stack")
    shutil.copytree(shop_store.root, folder / "models")
    port = free_port()
    homeport("up", "--port", port, folder=folder)
    yield folder, port
    homeport("down", folder=folder)


def test_up_says_all_that_one_needs(stack):
    folder, port = stack
    output = homeport("up", "--port", port, folder=folder).stdout
    key = read_keys(folder / ".homeport" / "keys.json").primary
    for wanted in (key, f"http://127.0.0.1:{port}/score", f"http://127.0.0.1:{port}/docs", "accuracy", "age="):
        assert wanted in output
    answers = [line for line in output.splitlines() if "age=" in line]
    assert len(answers) == 2
    assert all(" yes " in line or " no " in line for line in answers)


def test_a_second_up_changes_nothing(stack):
    folder, port = stack
    state = folder / ".homeport" / "serving.json"
    before = state.read_bytes()
    homeport("up", "--port", port, folder=folder)
    assert state.read_bytes() == before


def test_a_promoted_version_is_served_by_the_next_up(stack, shop_store):
    from bundle import write_bundle

    folder, port = stack
    store = Store(folder / "models")
    source = shop_store.path(MODEL, "1")
    manifest = shop_store.manifest(MODEL, "1")
    version = write_bundle(store, manifest, {file: (source / file).read_bytes() for file in manifest.files}).version
    assert f"{MODEL} {version} is the champion" in homeport("models", "promote", MODEL, version, folder=folder).stdout
    homeport("up", "--port", port, folder=folder)
    ready = httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).json()
    assert ready["version"] == version
    assert f"{MODEL} 1 is the champion again" in homeport("models", "rollback", MODEL, folder=folder).stdout


def test_score_json_lines_csv_and_parquet(stack, tmp_path):
    folder, _ = stack
    frame = shop_frame(30, seed=5)
    rows = json.loads(frame.drop(columns="buys").to_json(orient="records"))
    write_csv(frame, tmp_path / "rows.csv", sep=";")
    frame.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "body.json").write_text(json.dumps({"data": rows}))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    answers = [
        json.loads(homeport("score", tmp_path / f"{name}", folder=folder).stdout)
        for name in ("rows.csv", "rows.parquet", "rows.json", "body.json", "rows.jsonl")
    ]
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["result"]) == 30
    one = homeport("score", "-", "--proba", folder=folder, stdin=json.dumps(rows[0])).stdout
    assert len(json.loads(one)["result"][0]) == 2


def test_the_target_in_a_scored_table_is_left_out_with_a_word(stack, tmp_path):
    folder, _ = stack
    result = homeport("score", write_csv(shop_frame(5), tmp_path / "t.csv"), folder=folder)
    assert "no such column: buys" in result.stderr


def test_a_refusal_is_shown_in_the_endpoints_own_words(stack, tmp_path):
    folder, _ = stack
    result = homeport("score", "-", folder=folder, stdin='{"age": "old"}', code=1)
    assert "400: Row 0" in result.stderr
    assert "401: Give one of" in homeport("score", "-", "--key", "wrong", folder=folder, stdin="[]", code=1).stderr


def test_keys_show_prints_the_key_alone(stack):
    folder, _ = stack
    keys = read_keys(folder / ".homeport" / "keys.json")
    for name in ("primary", "secondary"):
        assert homeport("keys", "show", name, folder=folder).stdout == getattr(keys, name) + "\n"
    homeport("keys", "show", "third", folder=folder, code=2)


def test_keys_regenerate_replaces_one_key_while_the_endpoint_runs(stack):
    folder, port = stack
    before = read_keys(folder / ".homeport" / "keys.json")
    new = homeport("keys", "regenerate", "secondary", folder=folder).stdout.strip()
    after = read_keys(folder / ".homeport" / "keys.json")
    assert (after.primary, after.secondary) == (before.primary, new)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        def status(key):
            return client.post("/score", json={"data": []}, headers={"Authorization": f"Bearer {key}"}).status_code

        assert (status(new), status(before.primary)) == (200, 200)
        wait_until(lambda: status(before.secondary) == 401)
        assert new not in (folder / ".homeport" / "logs" / "serving.log").read_text()


def test_models_list_and_show(stack):
    folder, _ = stack
    listed = homeport("models", "list", folder=folder).stdout
    assert MODEL in listed
    assert "*" in listed
    shown = homeport("models", "show", MODEL, folder=folder).stdout
    for wanted in ("AUC_weighted", "spend.total", "0 labels differ", "lgbm (defaults)"):
        assert wanted in shown


def test_down_stops_it_and_keeps_the_state(tmp_path, shop_store):
    port = free_port()
    homeport("up", "--port", port, "--models", shop_store.root, folder=tmp_path)
    pid = json.loads((tmp_path / ".homeport" / "serving.json").read_bytes())["pid"]
    key = homeport("keys", "show", "primary", folder=tmp_path).stdout
    assert "Stopped" in homeport("down", folder=tmp_path).stdout
    assert not psutil.pid_exists(pid)
    assert "Nothing was running" in homeport("down", folder=tmp_path).stdout
    assert homeport("keys", "show", "primary", folder=tmp_path).stdout == key


def test_ups_that_race_start_one_server(tmp_path, shop_store):
    port = free_port()
    with ThreadPoolExecutor(3) as pool:
        arguments = ("up", "--port", port, "--models", shop_store.root)
        list(pool.map(lambda _: homeport(*arguments, folder=tmp_path), range(3)))
    assert "Stopped" in homeport("down", folder=tmp_path).stdout
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}", trust_env=False)


@pytest.mark.e2e
def test_another_folder_of_models_with_the_same_name_and_version_is_another_model(tmp_path, shop_store):
    frame = shop_frame(200).rename(columns={"age": "years"})
    store = Store(tmp_path / "other")
    train(quick(read_table(write_csv(frame, tmp_path / "t.csv")), "buys", learners=("lgbm",)), store, Silent())
    port = free_port()
    try:
        homeport("up", "--port", port, "--models", shop_store.root, folder=tmp_path)
        assert "years=" in homeport("up", "--port", port, "--models", store.root, folder=tmp_path).stdout
    finally:
        homeport("down", folder=tmp_path)


@pytest.mark.e2e
def test_a_column_of_codes_is_scored_as_it_was_trained_whatever_the_file_holds(tmp_path):
    rng = np.random.default_rng(0)
    frame = shop_frame(300)
    frame["flag"] = rng.choice(["true", "false", "maybe"], 300)
    frame["size"] = rng.choice(["1.50", "2.00", "XL", "007"], 300)
    frame["buys"] = np.where((frame["flag"] == "true") ^ (frame["size"] == "1.50"), "yes", "no")
    store = Store(tmp_path / "models")
    train(quick(read_table(write_csv(frame, tmp_path / "t.csv")), "buys", learners=("lgbm",)), store, Silent())
    port = free_port()
    try:
        homeport("up", "--port", port, folder=tmp_path)
        alone = frame[(frame["flag"] != "maybe") & (frame["size"].isin(["1.50", "2.00"]))].head(4).drop(columns="buys")
        write_csv(alone, tmp_path / "alone.csv")
        write_csv(pd.concat([alone, frame.tail(40).drop(columns="buys")]), tmp_path / "among.csv")
        answers = [
            json.loads(homeport("score", tmp_path / name, "--proba", folder=tmp_path).stdout)["result"][:4]
            for name in ("alone.csv", "among.csv")
        ]
        assert answers[0] == answers[1]
    finally:
        homeport("down", folder=tmp_path)


@pytest.mark.e2e
@pytest.mark.parametrize("way", [["--time-column", "seen at", "--repeats", 1], ["--test", "test.csv"]])
def test_train_on_the_past_or_with_a_test_file(tmp_path, way):
    frame = shop_frame(400)
    write_csv(frame.head(320), tmp_path / "t.csv")
    write_csv(frame.tail(80), tmp_path / "test.csv")
    fast = ["--max-trials", 2, "--learners", "lgbm"]
    output = homeport("train", "t.csv", "-t", "buys", *fast, *way, folder=tmp_path).stdout
    holdout = Store(tmp_path / "models").manifest("t", "1").training.holdout
    if way[0] == "--test":
        assert holdout.source == "test.csv"
        assert "On 80 untouched test rows, those of test.csv" in output
    else:
        assert f"On 64 untouched test rows, the latest by 'seen at' (after {holdout.after})" in output
        assert "On 1 earlier window, each searched anew" in output
        assert "majority class, mean" in output


def test_proba_holds_for_whole_bodies_too(stack, complete_row):
    folder, _ = stack
    for body in ({"data": [complete_row]}, {"Inputs": {"data": [complete_row]}}):
        answer = json.loads(homeport("score", "-", "--proba", folder=folder, stdin=json.dumps(body)).stdout)
        ((row,),) = answer.values()
        assert sum(row) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("stdin", ["", '[{"age": NaN}]', '[{"colour": "\\ud800"}]'])
def test_odd_input_to_score_ends_with_a_message(stack, stdin):
    folder, _ = stack
    homeport("score", "-", folder=folder, stdin=stdin, code=1)


def test_a_damaged_pointer_does_not_hide_the_other_models(own_store, tmp_path):
    (own_store.folder(MODEL) / "champion").write_bytes(b"\xff")
    listed = homeport("models", "list", "--models", own_store.root, folder=tmp_path).stdout
    assert "damaged" in listed
    assert "AUC" in listed or "roc_auc" in listed


@pytest.mark.e2e
def test_a_killed_server_is_started_again(tmp_path, shop_store):
    port = free_port()
    try:
        homeport("up", "--port", port, "--models", shop_store.root, folder=tmp_path)
        first = json.loads((tmp_path / ".homeport" / "serving.json").read_bytes())["pid"]
        os.kill(first, signal.SIGKILL)
        homeport("up", "--port", port, "--models", shop_store.root, folder=tmp_path)
        assert json.loads((tmp_path / ".homeport" / "serving.json").read_bytes())["pid"] != first
    finally:
        homeport("down", folder=tmp_path)


def test_a_pid_that_is_another_process_by_now_is_left_alone(tmp_path):
    state = tmp_path / ".homeport"
    state.mkdir()
    own = {"pid": os.getpid(), "created": 1.0, "host": "127.0.0.1", "port": 1}
    (state / "serving.json").write_text(json.dumps(own))
    assert "Nothing was running" in homeport("down", folder=tmp_path).stdout


def test_a_taken_port_is_named_with_the_way_out(tmp_path, shop_store):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = homeport("up", "--port", port, "--models", shop_store.root, folder=tmp_path, code=1)
    assert f"Port {port} on 127.0.0.1 is taken" in result.stderr
    assert "--port" in result.stderr


def test_a_bundle_that_is_refused_stops_up_with_the_reason(tmp_path, own_store):
    graph = own_store.path(MODEL, "1") / "scorer.onnx"
    graph.chmod(0o644)
    graph.write_bytes(b"")
    result = homeport("up", "--port", free_port(), "--models", own_store.root, folder=tmp_path, code=1)
    assert "scorer.onnx is not the file that was written" in result.stderr
    assert "Nothing was running" in homeport("down", folder=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "nowhere.csv", "-t", "y"], 1, "no data set of that name (there are: bank-marketing)"),
        (["train", "t.csv"], 1, "--target COLUMN"),
        (["train", "t.csv", "-t", "buyz"], 1, "Did you mean 'buys'"),
        (["train", "t.csv", "-t", "buys", "--task", "guess"], 2, "guess"),
        (["train", "t.csv", "-t", "buys", "--time-column", "seen at", "--test", "t.csv"], 1, "give one of the two"),
        (["train", "t.csv", "-t", "buys", "--time-column", "colour"], 1, "no value in"),
        (["train", "t.csv", "-t", "buys", "--test", "gone.csv"], 1, "There is no file gone.csv"),
        (["models", "show", "nothing"], 1, "no model 'nothing'"),
        (["models", "promote", "nothing", "1"], 1, "has no version '1'"),
        (["models", "rollback", "nothing"], 1, "nothing to go back to"),
        (["models", "shadow", "nothing"], 1, "no model 'nothing'"),
        (["up", "--model", "nothing"], 1, "no model 'nothing'"),
        (["keys", "show", "primary"], 1, "There are no keys"),
        (["score", "rows.json"], 1, "No endpoint runs here"),
        (["score", "rows.json", "--key", "k", "--url", "http://127.0.0.1:9"], 1, "cannot be read"),
        (["score", "-", "--url", "http://127.0.0.1:9"], 1, "own goes nowhere else"),
        (["up", "--host", "nosuch.invalid", "--model", "nothing"], 1, "no model 'nothing'"),
        (["up", "--port", "99999"], 2, "65535"),
        (["score", "-", "--key", "k", "--url", "http://127.0.0.1:9"], 1, "Is it running"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_a_mistake_ends_with_a_message(tmp_path, monkeypatch, capsys, arguments, code, message):
    write_csv(shop_frame(60), tmp_path / "t.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["homeport", *arguments])
    monkeypatch.setattr("sys.stdin", io.StringIO("[]"))
    with pytest.raises(SystemExit) as end:  # in this process: another one takes seconds to start
        main()
    assert end.value.code == code
    assert message in " ".join(capsys.readouterr().err.split())
