"""Homeport with one worker and with two: how much more it answers on this machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.compare import Note, Site, Standing, calibrate, standing
from benchmarks.load import flood
from benchmarks.results import Scaling
from benchmarks.roster import HOMEPORT, PEERS

WORKERS = (1, 2)
SIZES = (1, 32)
CONNECTIONS = 32


def scale(site: Site, rounds: int, note: Note, advance: Callable[[str], None]) -> list[Scaling]:
    """Ask both in turn, in as many rounds. Raises NotStarted."""
    peer = next(peer for peer in PEERS if peer.name == HOMEPORT)
    with ExitStack() as stack:
        targets = {
            workers: stack.enter_context(standing(peer, site, note, {"HOMEPORT_SERVING_WORKERS": str(workers)}))
            for workers in WORKERS
        }
        counts = {cost.rows: cost.requests for cost in calibrate(targets[1])}
        measured = [Scaling(rows, workers, [], [], []) for rows in SIZES for workers in WORKERS]
        for result in measured:  # the second worker may have started later than the first
            flood(
                targets[result.workers].server.port, targets[result.workers].requests[result.rows], 1_000, CONNECTIONS
            )
        for turn in range(rounds):
            for result in measured:
                advance(f"{result.workers} workers, {result.rows} rows, round {turn + 1} of {rounds}")
                _round(targets[result.workers], result, counts[result.rows] * result.workers)
    return measured


def _round(target: Standing, result: Scaling, count: int) -> None:
    before = target.server.cpu()
    took = flood(target.server.port, target.requests[result.rows], count, CONNECTIONS)
    result.server_cores.append((target.server.cpu() - before) / took.seconds)
    result.client_cores.append(took.client / took.seconds)
    result.rate.append(took.requests / took.seconds)
