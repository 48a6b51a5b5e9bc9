"""The rounds: every server is checked, then each is asked in turn, again and again."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ROOT, environment, versions
from benchmarks.load import CONNECTIONS, Connection, drive, free_port, request
from benchmarks.results import Cost, Measured
from benchmarks.roster import Answer, Peer, Rows
from benchmarks.servers import NotStarted, Server, running
from bundle.manifest import Label, Manifest

SIZES = {1: 512, 32: 64, 1_000: 8}  # rows of a request → different bodies of that size
ROUND_SECONDS = 1.5
TOLERANCE = 1e-5  # of a probability, as at the export

Note = Callable[[str], None]


class WrongAnswer(Exception):
    """A server answers something else than the model that it serves."""


@dataclass(frozen=True)
class Site:
    """What all servers are given: the champion, rows and what it answers to them, a key, a folder for files."""

    models: Path
    bundle: Path
    manifest: Manifest
    work: Path
    key: str
    rows: Rows
    labels: Sequence[Label]
    probabilities: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Standing:
    """A running server, ready to be asked."""

    peer: Peer
    server: Server
    versions: dict[str, str]
    requests: Mapping[int, Sequence[bytes]]  # by the rows of each


@contextmanager
def standing(peer: Peer, site: Site, note: Note, extra: Mapping[str, str] | None = None) -> Iterator[Standing]:
    """Start a peer. Raises EnvironmentFailed, NotStarted."""
    note(f"{peer.title}: environment")
    programs, port = environment(peer.lock), free_port()
    values = {
        "bin": programs,
        "work": site.work,
        "port": port,
        "second_port": free_port(),
        "third_port": free_port(),
        "root": ROOT,
        "models": site.models,
        "model": site.manifest.name,
    }
    own = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "BENCH_BUNDLE": str(site.bundle),
        "BENCH_WORK": str(site.work),
        "BENCH_PORT": str(port),
        "DO_NOT_TRACK": "true",  # nothing but loopback
        "BENTOML_DO_NOT_TRACK": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        **{name: value.format(**values) for name, value in peer.environment.items()},
        **(extra or {}),
    }
    if peer.prepare:
        note(f"{peer.title}: model")
        command = [part.format(**values) for part in peer.prepare]
        environ = {**os.environ, **own}
        done = subprocess.run(command, env=environ, cwd=site.work, check=False, capture_output=True, text=True)
        if done.returncode:
            raise NotStarted(done.stderr.strip())
    path, headers = peer.path.format(**values), f"authorization: Bearer {site.key}\r\n"

    def ask(rows: Rows) -> bytes:
        return request(path, json.dumps(peer.body(rows, site.manifest.columns)).encode(), headers)

    requests = {
        size: [ask(site.rows[start : start + size]) for start in range(0, size * bodies, size)]
        for size, bodies in SIZES.items()
    }
    note(f"{peer.title}: start")
    command = [part.format(**values) for part in peer.serve]
    log = site.work / f"{peer.name}.log"
    with running(command, port, own, requests[1][0], site.work, log) as server:
        yield Standing(peer, server, versions(programs, peer.distributions), requests)


def check(target: Standing, site: Site) -> None:
    """Hold every answer that will be timed to the model. Raises WrongAnswer."""
    labels, probabilities = site.labels, site.probabilities
    if target.peer.own_model:
        labels = json.loads((site.work / target.peer.name / "expected.json").read_text())
    for size, requests in target.requests.items():
        with Connection(target.server.port) as connection:
            for number, asked in enumerate(requests):
                connection.send(asked)
                given = connection.receive()
                if target.peer.answers:
                    answer = target.peer.answer(json.loads(given))
                    chosen = slice(number * size, (number + 1) * size)
                    _compare(target.peer.title, answer, labels[chosen], probabilities[chosen])


def _compare(title: str, answer: Answer, labels: Sequence[Label], probabilities: Sequence[Sequence[float]]) -> None:
    if answer.labels != list(labels):
        raise WrongAnswer(f"{title} answers {answer.labels[:10]}, the model {list(labels[:10])}")
    for given, expected in zip(answer.probabilities or (), probabilities, strict=answer.probabilities is not None):
        if max(abs(one - other) for one, other in zip(given, expected, strict=True)) > TOLERANCE:
            raise WrongAnswer(f"{title} answers {given}, the model {list(expected)}")


def calibrate(target: Standing, seconds: float = ROUND_SECONDS) -> list[Cost]:
    """How many requests of each size fill a round; warms the server up."""
    costs = []
    for size, requests in target.requests.items():
        took = drive(target.server.port, requests, 4 * CONNECTIONS)
        turns = max(1, round(seconds * took.requests / took.seconds / CONNECTIONS))
        costs.append(Cost(size, turns * CONNECTIONS))
    return costs


def measure(targets: Sequence[Standing], rounds: int, advance: Callable[[str], None]) -> list[Measured]:
    """All rounds; in each, every server is asked once. `advance` is told before each of them."""
    measured = []
    for target in targets:
        peer = target.peer
        first = target.server.first_answer
        measured.append(Measured(peer.name, peer.title, peer.settings, target.versions, first, costs=calibrate(target)))
    for place, size in enumerate(SIZES):
        for turn in range(rounds):
            for target, result in zip(targets, measured, strict=True):
                advance(f"{size:,} rows, round {turn + 1} of {rounds}: {target.peer.title}")
                _round(target, result.costs[place])
    for target, result in zip(targets, measured, strict=True):
        result.uss, result.rss = target.server.memory()
    return measured


def _round(target: Standing, cost: Cost) -> None:
    before = target.server.cpu()
    took = drive(target.server.port, target.requests[cost.rows], cost.requests)
    cost.cpu.append((target.server.cpu() - before) / took.requests * 1e6)
    cost.client.append(took.client / took.requests * 1e6)
    cost.rate.append(took.requests / took.seconds)
