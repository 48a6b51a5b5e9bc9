"""On Dask the same step gives the same bytes; a worker that is killed costs nothing but time."""

import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from pipeline.batch.columns import Spelling
from pipeline.batch.on_dask import cluster, packed, score_there, unpacked
from pipeline.batch.score import score
from pipeline.batch.source import find
from pipeline.batch.table import read_table
from pipeline.errors import SchedulerUnusable
from tests.conftest import ROOT, free_port, shop_frame, wait_until, write_csv
from tests.pipeline.batch.conftest import Watching


def test_a_worker_scores_from_bytes_alone(model, shop_bundle, new_csv):
    (_, batch), *_ = read_table(find(str(new_csv)), model.manifest).mini_batches(1_000)
    here = score(model, batch.rows, batch.spelling)
    files = {path.name: path.read_bytes() for path in shop_bundle.iterdir()}
    for _ in range(2):  # the second time by the model it has
        answers, failures = map(unpacked, score_there("digest", files, packed(batch.rows), batch.spelling))
        assert answers.equals(here.answers)
        assert failures.equals(here.failures)


def test_rows_travel_without_their_neighbours(model, new_csv):
    (_, batch), *_ = read_table(find(str(new_csv)), model.manifest).mini_batches(1_000)
    part = batch.rows.slice(100, 10)
    assert unpacked(packed(part)).equals(part)
    assert len(packed(part)) < len(packed(batch.rows)) / 3
    assert score(model, unpacked(packed(part.slice(0, 0))), Spelling()).answers.num_rows == 0


def test_an_address_that_is_none(shop_bundle):
    with pytest.raises(SchedulerUnusable, match="No scheduler answers at nowhere"), cluster("nowhere", shop_bundle):
        pass


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """A scheduler and two workers with a nanny each, as processes; yields the address and the workers."""
    folder, port = tmp_path_factory.mktemp("dask"), free_port()
    address = f"tcp://127.0.0.1:{port}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    commands = [["scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]]
    commands += [["worker", address, "--nthreads", 1, "--no-dashboard", "--local-directory", folder]] * 2
    log = (folder / "log").open("wb")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, command)], env=environment, cwd=folder, stdout=log, stderr=log
        )
        for command in commands
    ]
    wait_until(lambda: listens(port))
    yield address, processes[1:]
    for process in reversed(processes):  # the scheduler last: workers take their leave of it
        process.terminate()
        process.wait(30)
    log.close()


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_two_workers_give_the_same_bytes(batch, scheduler, tmp_path, kind):
    frame = shop_frame(20_000, seed=1).astype({"age": object})
    frame.loc[[5, 7_777], "spend.total"] = 1e300
    if kind == "csv":
        write_csv(frame, tmp_path / "new.csv")
    else:
        frame.astype({"age": int}).to_parquet(tmp_path / "new.parquet")
    options = {"mini_batch_size": 500, "checkpoint_rows": 5_000}
    batch(tmp_path / f"new.{kind}", tmp_path / f"here.{kind}", **options)
    batch(tmp_path / f"new.{kind}", tmp_path / f"there.{kind}", scheduler=scheduler[0], **options)
    for ending in ("", ".errors.csv"):
        here, there = (tmp_path / f"{name}.{kind}{ending}" for name in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()


@pytest.mark.e2e
def test_a_worker_that_is_killed_costs_no_row(batch, scheduler, tmp_path):
    address, workers = scheduler
    path = write_csv(shop_frame(20_000), tmp_path / "new.csv")
    options = {"mini_batch_size": 100, "checkpoint_rows": 1_000}
    batch(path, tmp_path / "here.csv", **options)

    class Killing(Watching):
        def advanced(self, progress):
            super().advanced(progress)
            if len(self.steps) == 5:
                for child in psutil.Process(workers[0].pid).children(recursive=True):
                    child.send_signal(signal.SIGKILL)

    killing = Killing()
    batch(path, tmp_path / "there.csv", killing, scheduler=address, **options)
    assert len(killing.steps) > 5
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()
