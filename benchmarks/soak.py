"""Saturation while models are promoted and keys are replaced: no request may fail, and memory stays flat.

    .venv/bin/python -m benchmarks.soak --minutes 10

runs the champion of `models/` and a second version of it, promotes one or the other every 5 s, replaces
a key every 7 s (clients use the other one), and looks at the memory of all processes every second. With
`--kill` a worker is killed every 20 s: what fails then is what was in flight.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from benchmarks.load import free_port
from bundle import Store, write_bundle
from bundle.read import read_golden
from homeport.bench import Measured, measure, scoring_request
from serving.keys import KeyName, ensure_keys, read_keys, regenerate

PROMOTE_SECONDS, ROTATE_SECONDS, KILL_SECONDS = 5.0, 7.0, 20.0
START_SECONDS = 30.0  # the longest wait for a server or a worker
FLAT = 0.05


class Disturbance:
    """What happens to the endpoint while it is loaded, in a thread of its own."""

    def __init__(self, store: Store, name: str, keys: Path, process: psutil.Process, log: Path, kill: bool) -> None:
        self._store, self._name, self._keys, self._process, self._log = store, name, keys, process, log
        self._kill = kill
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.key = read_keys(keys).primary  # what clients use
        self.promotions = self.rotations = 0
        self.memory: list[float] = []  # MB of all processes, each second
        self.replaced: list[float] = []  # seconds until the successor of a killed worker had its model

    def __enter__(self) -> Disturbance:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        versions = itertools.cycle(reversed(self._store.versions(self._name)))
        names: Iterator[KeyName] = itertools.cycle(("secondary", "primary"))
        started = time.monotonic()
        due = {"promote": PROMOTE_SECONDS, "rotate": ROTATE_SECONDS, "kill": KILL_SECONDS}
        while not self._end.wait(1 - (time.monotonic() - started) % 1):
            passed = time.monotonic() - started
            self.memory.append(sum(_pss(each) for each in (self._process, *self._process.children())) / 1e6)
            if passed >= due["promote"]:
                due["promote"] += PROMOTE_SECONDS
                self._store.promote(self._name, next(versions))
                self.promotions += 1
            if passed >= due["rotate"]:
                due["rotate"] += ROTATE_SECONDS
                self.key = regenerate(self._keys, next(names))  # the one that nobody uses now; from here on they do
                self.rotations += 1
            if self._kill and passed >= due["kill"]:
                due["kill"] += KILL_SECONDS
                self.replaced.append(self._kill_one())

    def _kill_one(self) -> float:
        before = {child.pid for child in self._process.children()}
        started = time.monotonic()
        os.kill(min(before), signal.SIGKILL)
        while not any(f" {pid} INFO homeport.serving: serving" in self._log.read_text() for pid in self._new(before)):
            if time.monotonic() - started > START_SECONDS:
                raise RuntimeError(f"nobody took the place of worker {min(before)}")
            time.sleep(0.005)
        return time.monotonic() - started

    def _new(self, before: set[int]) -> set[int]:
        return {child.pid for child in self._process.children()} - before


def _pss(process: psutil.Process) -> float:
    """Memory with each shared page divided among its users; what the platform has instead."""
    try:
        found = process.memory_full_info()
    except psutil.Error:
        return 0.0
    return float(getattr(found, "pss", found.uss))


def soak(models: Path, minutes: float, users: int, workers: int, kill: bool) -> tuple[Measured, Disturbance]:
    """Run it on a copy of the champion."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, keys, port = Path(temporary), Path(temporary) / "keys.json", free_port()
        name = Store(models).names()[0]
        source = Store(models).champion_path(name)
        store = Store(folder / "models")
        shutil.copytree(source, store.root / name / "1")
        manifest = store.manifest(name, "1")
        write_bundle(store, manifest, {file: (source / file).read_bytes() for file in manifest.files})
        store.promote(name, "1")
        ensure_keys(keys)
        settings = {"MODELS": store.root, "MODEL": name, "KEYS": keys, "PORT": port, "WORKERS": workers}
        environment = {f"HOMEPORT_SERVING_{key}": str(value) for key, value in settings.items()}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "serving"], env=os.environ | environment, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url)
            rows = [dict(row) for row in read_golden(source).rows]
            bodies = [json.dumps({"data": [row]}).encode() for row in rows]
            with Disturbance(store, name, keys, psutil.Process(process.pid), folder / "log", kill) as disturbance:
                requests = (scoring_request(url, disturbance.key, body) for body in itertools.cycle(bodies))
                return measure(url, requests, 1, users, minutes * 60, _progress), disturbance
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} did not become ready")
        time.sleep(0.05)


def _progress(passed: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{passed:6.0f} s", end="", file=sys.stderr)


def main() -> int:
    """Run, report, and return 1 if a request failed or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill", action="store_true", help="kill a worker every 20 s")
    arguments = parser.parse_args()
    measured, disturbance = soak(
        arguments.models, arguments.minutes, arguments.users, arguments.workers, arguments.kill
    )
    memory = disturbance.memory
    part = max(len(memory) // 5, 1)  # what comes first is warming up
    before, after = statistics.median(memory[part : 2 * part] or memory), statistics.median(memory[-part:])
    print(
        f"{measured.statuses.total():,} requests in {measured.seconds:.0f} s ({measured.throughput:,.0f} a second), "
        f"{disturbance.promotions} promotions, {disturbance.rotations} key rotations: {measured.failed} failed "
        f"{dict(measured.statuses)}\n"
        f"latency 50 % {measured.quantile(0.5) * 1e3:.2f} ms, 99 % {measured.quantile(0.99) * 1e3:.2f} ms, "
        f"99.9 % {measured.quantile(0.999) * 1e3:.2f} ms\n"
        f"memory {before:.1f} MB at first, {after:.1f} MB in the end ({after / before - 1:+.1%})"
    )
    if disturbance.replaced:
        print(f"killed workers replaced within {', '.join(f'{seconds:.2f}' for seconds in disturbance.replaced)} s")
        return 0
    return int(measured.failed > 0 or after / before - 1 > FLAT)


if __name__ == "__main__":
    sys.exit(main())
