"""What scoring notices of a telemetry receiver that is away: `python -m benchmarks.outage --models DIR`.

In each round the same endpoint is started with a receiver that is healthy, dead (nobody listens), slow (answers
after 1.5 s) and hanging (takes connections, never answers), in an order that turns. One row is scored at a steady
rate far below saturation, each latency counted from when its request was due; then SIGTERM is sent while a client
keeps its connection. At last, in each state, more requests are kept as spans than find a place, the receiver comes
back, and what it is told is compared with what was asked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.load import HOST, Connection, flood, free_port, request
from benchmarks.servers import Server, running
from bundle import Store
from serving.keys import ensure_keys, read_keys

STATES = "healthy", "dead", "slow", "hanging"
WARM = 1_000  # requests before those that count
OVERFLOW = 25_000  # more than there are places for
AWAY_SECONDS = 8.0  # that the receiver stays away after them
BACK_SECONDS = 60.0  # the longest wait for a receiver that is back to be told all
RATIO, END_SECONDS = 1.1, 3.0  # the bars
_KEY = "00000000-0000-0000-0000-000000000000"


class Measured(NamedTuple):
    """One state in one round."""

    middle: float  # milliseconds of the median request
    late: float  # and of the one that 99 % are faster than
    end: float  # seconds from SIGTERM to the end of the process


class Account(NamedTuple):
    """What was told of an outage once it was over."""

    counted: int  # requests, by the histogram
    spans: int
    dropped: int
    failed: int  # sendings


class Site(NamedTuple):
    """The endpoint to start, again and again."""

    models: Path
    folder: Path
    request: bytes
    settings: dict[str, str]
    azure: bool

    @contextmanager
    def endpoint(self, receiver: int, **settings: str) -> Iterator[Server]:
        """It runs, and tells a receiver at this port."""
        port = free_port()
        serving = {"MODELS": str(self.models), "KEYS": str(self.folder / "keys.json"), "PORT": str(port)}
        telemetry = self.settings | {"ENDPOINT": f"http://{HOST}:{receiver}"} | settings
        environment = {f"HOMEPORT_SERVING_{name}": value for name, value in serving.items()}
        environment |= {f"HOMEPORT_TELEMETRY_{name}": value for name, value in telemetry.items()}
        if self.azure:
            where = f"InstrumentationKey={_KEY};IngestionEndpoint=http://{HOST}:{receiver}/"
            environment["APPLICATIONINSIGHTS_CONNECTION_STRING"] = where
        command = [sys.executable, "-m", "serving"]
        with running(command, port, environment, self.request, Path.cwd(), self.folder / "log") as server:
            yield server


def measure(site: Site, state: str, count: int, rate: float) -> Measured:
    """Score at a steady rate, then end the endpoint."""
    with ExitStack() as stack:
        receiver = free_port()
        stack.enter_context(receiving(receiver, state))
        server = stack.enter_context(site.endpoint(receiver))
        connection = stack.enter_context(Connection(server.port))
        steady(connection, site.request, WARM, rate)
        took = sorted(steady(connection, site.request, count, rate))
        return Measured(took[count // 2] * 1e3, took[count * 99 // 100] * 1e3, end(server))


def steady(connection: Connection, content: bytes, count: int, rate: float) -> list[float]:
    """Seconds from when each request was due to its answer."""
    took = []
    began = answered = time.perf_counter()
    for number in range(count):
        due = began + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        sent = due if answered > due else time.perf_counter()  # this client's own lateness does not count
        connection.send(content)
        connection.receive()
        answered = time.perf_counter()
        took.append(answered - sent)
    return took


def end(server: Server) -> float:
    """Seconds that SIGTERM takes to end it."""
    began = time.perf_counter()
    server.process.terminate()
    server.process.wait(60)
    return time.perf_counter() - began


def account(site: Site, state: str) -> Account:
    """Ask for more than finds a place while the receiver is in this state, and then let it be healthy."""
    with ExitStack() as stack:
        receiver = free_port()
        away = stack.enter_context(ExitStack())
        away.enter_context(receiving(receiver, state))
        server = stack.enter_context(site.endpoint(receiver, SAMPLE_SHARE="1"))
        flood(server.port, [site.request], OVERFLOW - 1, connections=8)  # one came at the start
        time.sleep(AWAY_SECONDS)
        if state == "dead":
            stack.enter_context(receiving(receiver, "healthy"))
        else:
            ask(receiver, "/state", b"healthy")
        deadline = time.monotonic() + BACK_SECONDS
        while True:
            found = Account(**ask(receiver, "/told"))
            if time.monotonic() > deadline:
                return found
            if found.counted >= OVERFLOW and found.spans + found.dropped >= OVERFLOW:
                deadline = min(deadline, time.monotonic() + 2 * float(site.settings["INTERVAL_SECONDS"]))
            time.sleep(0.1)


@contextmanager
def receiving(port: int, state: str) -> Iterator[None]:
    """A receiver in another process, but for a dead one."""
    if state == "dead":
        yield
        return
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.receiver", str(port), state], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()


def ask(port: int, path: str, body: bytes = b"") -> Any:
    """What a receiver says."""
    with Connection(port) as connection:
        connection.send(request(path, body))
        return json.loads(connection.receive())


def main() -> int:
    """Run, report, and return 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=main.__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of the bundles")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=5_000, help="a round and state")
    parser.add_argument("--rate", type=float, default=500, help="requests a second")
    parser.add_argument("--share", default="0.05", help="of the requests that are kept as spans")
    parser.add_argument("--interval", default="1", help="seconds between two sendings")
    parser.add_argument("--azure", action="store_true", help="send to Azure's endpoint too, at the same receiver")
    given = parser.parse_args()
    store = Store(given.models)
    examples = store.champion_path(store.names()[0]) / "examples.json"
    body = json.dumps({"data": json.loads(examples.read_bytes())[:1]}).encode()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ensure_keys(folder / "keys.json")
        key = read_keys(folder / "keys.json").primary
        content = request("/score", body, f"authorization: Bearer {key}\r\n")
        settings = {"SAMPLE_SHARE": given.share, "INTERVAL_SECONDS": given.interval}
        site = Site(store.root.absolute(), folder, content, settings, given.azure)
        found: dict[str, list[Measured]] = {state: [] for state in STATES}
        for turn in range(given.rounds):
            for state in (*STATES[turn % 4 :], *STATES[: turn % 4]):
                _progress(f"round {turn + 1} of {given.rounds}: {state}")
                found[state].append(measure(site, state, given.requests, given.rate))
        accounts = {}
        for state in STATES:
            _progress(f"accounts: {state}")
            accounts[state] = account(site, state)
        _progress("")
    kept = [_report(state, found, accounts[state]) for state in STATES]  # each is to be read
    return int(not all(kept))


def _report(state: str, found: dict[str, list[Measured]], told: Account) -> bool:
    """Print what a state did; says whether it kept to the bars."""
    rounds = found[state]
    ratios = [one.late / healthy.late for one, healthy in zip(rounds, found["healthy"], strict=True)]
    late, ratio, longest = statistics.median(one.late for one in rounds), statistics.median(ratios), max(_ends(rounds))
    print(
        f"{state:<8} 50 % {statistics.median(one.middle for one in rounds):.3f} ms, 99 % {late:.3f} ms: "
        f"{ratio:.2f} of healthy ({min(ratios):.2f} to {max(ratios):.2f}); "
        f"SIGTERM {statistics.median(_ends(rounds)):.2f} s (at most {longest:.2f})\n"
        f"{'':<8} of {OVERFLOW:,} requests {told.counted:,} counted, {told.spans:,} spans told and {told.dropped:,} "
        f"dropped, {told.failed} sendings failed"
    )
    whole = told.counted == OVERFLOW and told.spans + told.dropped == OVERFLOW
    return ratio <= RATIO and longest < END_SECONDS and whole


def _ends(rounds: list[Measured]) -> list[float]:
    return [one.end for one in rounds]


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
