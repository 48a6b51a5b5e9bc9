"""What a request to the champion costs, beside other servers with the same model.

Each server runs in its own environment (made from its lock at the first run), with one worker. Before
anything is timed, all its answers are compared with the model's. What counts is the CPU of the
server's process tree for one request.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, cast

import platformdirs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.compare import SIZES, Site, Standing, WrongAnswer, check, measure, standing
from benchmarks.environments import ROOT, EnvironmentFailed
from benchmarks.load import CONNECTIONS
from benchmarks.machine import machine
from benchmarks.results import Results
from benchmarks.roster import HOMEPORT, LIMIT, PEERS, Peer
from benchmarks.servers import NotStarted
from benchmarks.workers import SIZES as SCALED
from benchmarks.workers import WORKERS, scale
from bundle import BundleError, Store
from bundle.manifest import Fingerprint, Label
from bundle.model import Model
from serving.keys import ensure_keys
from trainer.columns import rows as as_rows
from trainer.errors import TableError
from trainer.table import Table, read_table

DOCUMENTS = ROOT / "docs" / "benchmarks"

_EXAMPLES = f"""examples:
  make bench                                                   the default servers; writes docs/benchmarks
  python -m benchmarks.serving --table sales.csv               a champion trained on a file of your own
  python -m benchmarks.serving --peers all                     with {", ".join(p.name for p in PEERS if not p.default)}
  python -m benchmarks.serving --peers azure --rounds 3 --dry  Azure's server alone, printed only
"""


class Unusable(Exception):
    """There is nothing to compare; the message says what to do."""


def main() -> int:
    """Measure, print and write the report."""
    arguments = _arguments()
    console = Console(stderr=True)
    signal.signal(signal.SIGTERM, _stop)  # as Ctrl-C: the servers must end, too
    try:
        peers = _chosen(arguments.peers)
        with tempfile.TemporaryDirectory(prefix="homeport-bench-") as work:
            site = _site(arguments.models, arguments.table, Path(work))
            results = run(site, peers, arguments.rounds, console)
    except KeyboardInterrupt:
        console.print("Stopped; nothing was written.")
        return 130
    except (Unusable, BundleError, TableError, NotStarted, EnvironmentFailed, WrongAnswer) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 1
    print(report.markdown(results))
    if not arguments.dry:
        report.write(results, DOCUMENTS)
    return 0


def run(site: Site, peers: Sequence[Peer], rounds: int, console: Console) -> Results:
    """Start all servers, check them, measure them, then the two workers.

    A peer that does not start is left out, with the reason; without the limit and Homeport itself
    there is no result. Raises NotStarted, WrongAnswer.
    """
    manifest = site.manifest
    members = ", ".join(f"{member.learner} {member.weight:g}" for member in manifest.training.members)
    results = Results(
        machine=machine(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        load=os.getloadavg()[0],
        model=f"{manifest.name} {manifest.version} ({members})",
        rounds=rounds,
        connections=CONNECTIONS,
    )
    steps = len(SIZES) * rounds * len(peers) + len(SCALED) * len(WORKERS) * rounds
    with _progress(console, steps) as progress:

        def note(text: str) -> None:
            progress.update(progress.task_ids[0], description=text)

        def advance(text: str) -> None:
            progress.update(progress.task_ids[0], description=text, advance=1)

        with ExitStack() as stack:
            targets: list[Standing] = []
            for peer in peers:
                try:
                    targets.append(stack.enter_context(standing(peer, site, note)))
                except (NotStarted, EnvironmentFailed) as error:
                    if peer.name in (LIMIT, HOMEPORT):
                        raise
                    results.left_out[peer.title] = (str(error).splitlines() or ["no reason given"])[-1]
                    console.print(f"{peer.title} is left out: {error}", markup=False, highlight=False)
                    continue
                note(f"{peer.title}: answers")
                check(targets[-1], site)
            results.servers = measure(targets, rounds, advance)
        results.scaling = scale(site, rounds, note, advance)
    return results


@contextmanager
def _progress(console: Console, steps: int) -> Iterator[Progress]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task("", total=steps)
        yield progress


def _site(models: Path, given: Path | None, work: Path) -> Site:
    store = Store(models.resolve())
    names = store.names()
    if not names:
        raise Unusable(f"There is no model in {models}. Train one: `make up`, or `homeport train`.")
    bundle = store.champion_path(names[0])
    model = Model(bundle)
    manifest = model.manifest
    if manifest.regression:
        raise Unusable(f"{manifest.name} is a regression; the peers are written for classes.")
    columns = [column.name for column in manifest.columns]
    table = read_table(given) if given else _table(manifest.fingerprint)
    if lacking := {*columns, manifest.target} - set(table.frame.columns):
        raise Unusable(f"{table.source} is not what {manifest.name} was trained on: it has no {sorted(lacking)}.")
    frame = table.frame[[*columns, manifest.target]].dropna()  # not every server takes null
    frame.to_csv(work / "table.csv", index=False)
    needed = max(size * bodies for size, bodies in SIZES.items())
    rows = as_rows(frame, manifest.columns)
    rows = (rows * -(-needed // max(1, len(rows))))[:needed]
    if not rows:
        raise Unusable(f"{table.source} has no row without missing values.")
    (work / "rows.json").write_text(json.dumps(rows))
    outputs = model.outputs(model.encode(model.tuples(rows)))
    labels = cast("list[Label]", model.labels(outputs))
    key = ensure_keys(work / "keys.json").primary
    return Site(store.root, bundle, manifest, work, key, rows, labels, outputs.tolist())


def _table(fingerprint: Fingerprint) -> Table:
    """The table that the champion was trained on, if it is the sample or was downloaded."""
    for folder in (ROOT / "datasets", platformdirs.user_cache_path("homeport")):
        for path in sorted(folder.glob("*csv*")):
            table = read_table(path)
            if table.sha256 == fingerprint.sha256:
                return table
    raise Unusable(f"Where is the table that the champion was trained on ({fingerprint.source})? Give it with --table.")


def _chosen(names: str) -> list[Peer]:
    if names == "all":
        return list(PEERS)
    if names == "default":
        return [peer for peer in PEERS if peer.default]
    wanted = {LIMIT, HOMEPORT, *names.split(",")}
    if unknown := wanted - {peer.name for peer in PEERS}:
        raise Unusable(f"There is no peer {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in PEERS)}.")
    return [peer for peer in PEERS if peer.name in wanted]


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=_EXAMPLES, formatter_class=formatter)
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of the models (default: models)")
    parser.add_argument("--table", type=Path, help="the champion's table; found by itself if it was downloaded")
    parser.add_argument("--peers", default="default", help="names separated by commas, 'default' or 'all'")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    parser.add_argument("--dry", action="store_true", help="print only, write nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
