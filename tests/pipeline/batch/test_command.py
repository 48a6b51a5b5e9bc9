"""`homeport batch` as people run it: a process, its words and its exit codes."""

import json
import os
import random
import signal
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT, free_port, shop_frame, wait_until, write_csv
from tests.homeport.test_commands import homeport
from tests.sink import Sink

ROWS = 300_000


@pytest.fixture
def folder(tmp_path, shop_store):
    (tmp_path / "models").symlink_to(shop_store.root)
    return tmp_path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A table of 300,000 rows, in both formats."""
    folder = tmp_path_factory.mktemp("many")
    frame = shop_frame(5_000, seed=11).sample(ROWS, replace=True, random_state=0).reset_index(drop=True)
    frame["id"] = range(ROWS)
    frame.to_parquet(folder / "many.parquet", row_group_size=20_000)
    write_csv(frame, folder / "many.csv")
    return folder


def started(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "homeport", "batch", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def under_way(folder, output):
    """Whether rows are scored, and not yet all."""
    checkpoint = folder / f"{output}.batch" / "checkpoint.json"
    try:
        return json.loads(checkpoint.read_bytes())["progress"]["rows"] > 0
    except (FileNotFoundError, ValueError):
        return False


def test_it_scores_says_so_and_does_it_once(folder):
    frame = shop_frame(40).astype(object)
    frame.loc[7, "age"] = "old"
    write_csv(frame, folder / "new.csv")
    said = homeport("batch", "new.csv", "scored.parquet", folder=folder).stdout
    assert "39 rows scored by shop 1" in said
    assert "1 rows could not be scored: scored.parquet.errors.csv says why" in said
    assert pq.read_table(folder / "scored.parquet").num_rows == 39
    assert "nothing to do" in homeport("batch", "new.csv", "scored.parquet", folder=folder).stdout
    homeport("batch", "new.csv", "scored.parquet", "--overwrite", "--model", "shop", "--version", "1", folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "models", "new.csv", "scored.parquet", "scored.parquet.batch.json", "scored.parquet.errors.csv"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing.csv", "s.csv"], 1, "There is no file nothing.csv"),
        (["new.csv", "s.csv", "--model", "nothing"], 1, "no model 'nothing'"),
        (["new.csv", "s.csv", "--version", "9", "--model", "shop"], 1, "no version '9'"),
        (["new.csv", "s.csv", "--models", "nowhere"], 1, "There are no models in nowhere"),
        (["new.csv", "s.csv", "--mini-batch-size", "0"], 2, "--mini-batch-size"),
        (["new.csv", "s.csv", "--error-threshold", "0"], 1, "more than the 0 that --error-threshold allows"),
        (["new.csv", "s.csv", "--scheduler", "nonsense://x"], 1, "No scheduler answers at nonsense://x"),
        (["new.csv", "s.csv", "--scheduler", "tcp://127.0.0.1:9"], 1, "No scheduler answers at tcp://127.0.0.1:9"),
        (["s3://nowhere/x.csv", "s.csv"], 1, "s3"),
    ],
)
def test_a_mistake_ends_with_a_message(folder, arguments, code, message):
    frame = shop_frame(40).astype(object)
    frame.loc[7, "age"] = "old"
    write_csv(frame, folder / "new.csv")
    result = homeport("batch", *arguments, folder=folder, code=code)
    assert message in " ".join(result.stderr.split())
    assert not (folder / "s.csv").exists()


def test_ctrl_c_ends_it_and_the_same_command_goes_on(folder, many):
    arguments = (many / "many.csv", "scored.csv", "--mini-batch-size", "200")  # small ones take time
    process = started(folder, *arguments)
    wait_until(lambda: under_way(folder, "scored.csv"))
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Stopped after" in said
    assert "Traceback" not in said
    assert not (folder / "scored.csv").exists()
    assert "Going on after" in homeport("batch", *arguments, folder=folder).stdout
    assert pd.read_csv(folder / "scored.csv", usecols=["id"])["id"].tolist() == list(range(ROWS))


def test_a_batch_tells_where_the_environment_says(folder, monkeypatch):
    write_csv(shop_frame(40), folder / "new.csv")
    with Sink(free_port()) as sink:
        monkeypatch.setenv("HOMEPORT_TELEMETRY_ENDPOINT", sink.url)
        homeport("batch", "new.csv", "scored.csv", folder=folder)
    assert "batch shop" in {span.name for _, span in sink.spans}


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_kill_9_at_ten_random_moments_changes_no_byte(folder, many, kind):
    source, seed = many / f"many.{kind}", random.randrange(1_000)
    print(f"seed {seed}")
    moments = random.Random(seed)

    def command(output):
        return source, output, "--mini-batch-size", "1000"

    first = started(folder, *command(f"whole.{kind}"))
    wait_until(lambda: under_way(folder, f"whole.{kind}"))
    said, _ = first.communicate(timeout=120)
    assert first.returncode == 0, said
    whole = (folder / f"whole.{kind}").read_bytes()
    seconds = json.loads((folder / f"whole.{kind}.batch.json").read_bytes())["seconds"]
    cut = 0
    for turn in range(10):
        output = f"scored-{turn}.{kind}"
        process = started(folder, *command(output))
        wait_until(lambda at=output: (folder / f"{at}.batch").exists() or (folder / at).exists())
        try:
            process.wait(moments.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            cut += 1
        process.communicate()
        last = started(folder, *command(output))
        said, _ = last.communicate(timeout=120)
        assert last.returncode == 0, said
        assert (folder / output).read_bytes() == whole
        assert not (folder / f"{output}.batch").exists()
    assert cut > 5


@pytest.mark.e2e
def test_memory_does_not_grow_with_the_rows(folder, many):
    table = pq.read_table(many / "many.parquet")
    script = (
        "import re, sys; from homeport.__main__ import main; sys.argv[0] = 'homeport'\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"  # ru_maxrss is the parent's, too
    )
    peaks = {}
    for times in (8, 24):  # fewer do not reach the peak each time: how far threads run ahead is chance
        for kind in ("parquet", "csv"):
            path = folder / f"{times}.{kind}"
            if kind == "parquet":
                with pq.ParquetWriter(path, table.schema) as writer:
                    for _ in range(times):
                        writer.write_table(table, row_group_size=10**9)
            else:
                lines = (many / "many.csv").read_bytes().splitlines(keepends=True)
                path.write_bytes(lines[0] + b"".join(lines[1:]) * times)
            done = subprocess.run(
                [sys.executable, "-c", script, "batch", path, f"scored-{times}.{kind}"],
                cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            peaks[times, kind] = int(done.stdout.split()[-1]) // 1024
    added = 16 * table.nbytes / 2**20  # MB that would be there, too, if rows were kept
    assert added > 200
    for kind in ("parquet", "csv"):
        assert peaks[24, kind] - peaks[8, kind] < added / 3
        assert peaks[24, kind] <= 600
