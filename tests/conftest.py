"""Fixtures: tables, one small real model for all tests, and real servers on free ports."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import hypothesis
import numpy as np
import pandas as pd
import pytest

from bundle import Store
from serving.keys import read_keys
from trainer.fit import Request
from trainer.job import train
from trainer.table import Table, read_table

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# Who starts the tests may ignore Ctrl-C, which every process below would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["HOMEPORT_LOG"] = "false"  # an experiment log takes seconds, and has tests of its own

ROOT = Path(__file__).parent.parent
MODEL = "shop"


class Silent:
    """A watcher that keeps what it is told."""

    def __init__(self):
        self.stages, self.trials, self.candidates, self.findings = [], [], [], []

    def guardrails(self, findings):
        self.findings = list(findings)

    def trial(self, trial):
        self.trials.append(trial)

    def candidate(self, candidate):
        self.candidates.append(candidate)

    def stage(self, title):
        self.stages.append(title)


def shop_frame(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """A table with every kind of column; some values are missing, some names are no identifiers."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, rows)
    spend = np.round(rng.gamma(2.0, 50.0, rows), 2)
    member = rng.random(rows) < 0.4
    colour = rng.choice(["red", "green", "blue ßü", "dark grey"], rows, p=[0.5, 0.3, 0.15, 0.05])
    score = 0.05 * (age - 45) + 0.01 * (spend - 100) + 1.2 * member + (colour == "red") + rng.normal(0, 0.8, rows)
    return pd.DataFrame(
        {
            "age": age,
            "spend.total": np.where(rng.random(rows) < 0.1, np.nan, spend),
            "is member": member,
            "colour": np.where(rng.random(rows) < 0.1, None, colour),
            "seen at": 1_700_000_000 + rng.integers(0, 500_000, rows),
            "buys": np.where(score > 0.5, "yes", "no"),
        }
    )


def write_csv(frame: pd.DataFrame, path: Path, **options) -> Path:
    frame.to_csv(path, index=False, **options)
    return path


def made_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills; all workers of this run of the tests share it, and must not change it."""
    run = tmp_path_factory.getbasetemp()
    folder = (run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / "once" / name
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            begun = folder.with_suffix(".begun")
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir()
            make(begun)
            begun.rename(folder)
    return folder


@pytest.fixture(scope="session")
def shop_csv(tmp_path_factory) -> Path:
    return write_csv(shop_frame(), tmp_path_factory.mktemp("tables") / "shop.csv")


def quick(table: Table, target: str, **options) -> Request:
    """A request that takes seconds."""
    return Request(table, target, options.pop("name", MODEL), max_trials=options.pop("max_trials", 4), **options)


@pytest.fixture(scope="session")
def shop_store(tmp_path_factory, shop_csv) -> Store:
    """A store with one trained, promoted binary model. Tests must not change it."""

    def make(folder: Path) -> None:
        train(quick(read_table(shop_csv), "buys", positive="yes", max_trials=8), Store(folder), Silent())

    return Store(made_once(tmp_path_factory, "shop", make))


@pytest.fixture(scope="session")
def shop_bundle(shop_store) -> Path:
    return shop_store.champion_path(MODEL)


@pytest.fixture
def own_store(shop_store, tmp_path) -> Store:
    """A copy of the store that a test may break."""
    return Store(Path(shutil.copytree(shop_store.root, tmp_path / "models")))


@pytest.fixture(scope="session")
def shop_rows(shop_bundle) -> list[dict]:
    return [dict(row) for row in json.loads((shop_bundle / "golden.json").read_bytes())["rows"]]


@pytest.fixture(scope="session")
def complete_row(shop_bundle) -> dict:
    return json.loads((shop_bundle / "examples.json").read_bytes())[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Running:
    """A server process, a client with its primary key, and one without any."""

    process: subprocess.Popen
    url: str
    client: httpx.Client
    anonymous: httpx.Client
    log: Path


@contextmanager
def serve(folder: Path, models: Path, **settings: str) -> Iterator[Running]:
    """Run the real server with its state in `folder`."""
    port, keys, log = free_port(), folder / "keys.json", folder / "serving.log"
    environment = {"MODELS": str(models), "KEYS": str(keys), "PORT": str(port)} | settings
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"],
            cwd=ROOT,
            env=os.environ | {f"HOMEPORT_SERVING_{name}": value for name, value in environment.items()},
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url, process, log))
        authorization = {"Authorization": f"Bearer {read_keys(keys).primary}"}
        with (
            httpx.Client(base_url=url, headers=authorization, trust_env=False, timeout=30) as client,
            httpx.Client(base_url=url, trust_env=False, timeout=30) as anonymous,
        ):
            yield Running(process, url, client, anonymous, log)
    finally:
        process.terminate()
        process.wait(15)


def _answers(url: str, process: subprocess.Popen, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(f"{url}/health/live", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory, shop_store) -> Iterator[Running]:
    """One server for all tests that only ask it."""
    with serve(tmp_path_factory.mktemp("serving"), shop_store.root) as running:
        yield running
