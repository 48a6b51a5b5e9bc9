"""The pictures of docs/insights.md: `python -m tests.observability.insights.screenshots docs/insights`.

It trains two versions on the embedded sample of Bank Marketing, starts the embedded stack, and sends it customers for
some minutes: as they are, then under version 2, then older ones whose job the model does not know.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import pandas as pd

from bundle import Store
from tests.browser import NARROW, WIDE, chromium, visit
from tests.conftest import ROOT, Silent, quick, wait_until, write_csv
from tests.observability.insights.page_stack import Stack, stack
from trainer.job import train
from trainer.table import read_table

MODEL = "bank-marketing"
SETTINGS = {
    "HOMEPORT_SERVING_WORKERS": "2", "HOMEPORT_TELEMETRY_DRIFT_ROWS": "500", "HOMEPORT_TELEMETRY_DRIFT_SECONDS": "15",
}  # fmt: skip
SAMPLE = ROOT / "datasets" / "bank-marketing-sample.csv.gz"
TRACED = {"traceparent": f"00-{'4bf92f3577b34da6a3ce929d0e0e4736'}-00f067aa0ba902b7-01"}
QUERY = """SELECT time_bucket(INTERVAL 10 SECONDS, timestamp) AS time,
       quantile_cont(duration, 0.5) AS p50, quantile_cont(duration, 0.95) AS p95
FROM requests WHERE name = 'POST /score' GROUP BY time ORDER BY time"""
HIGH = WIDE | {"height": 1320}
VIEWS = {
    "live": ("/live", "light", WIDE),  # first: it shows the last minute
    "overview": ("/", "light", WIDE),
    "overview-dark": ("/", "dark", WIDE),
    "performance": ("/performance?operation=POST+/score&role=homeport.serving", "light", WIDE),
    "failures": ("/failures", "light", WIDE),
    "transaction": ("/transaction/4bf92f3577b34da6a3ce929d0e0e4736", "light", WIDE),
    "map": ("/map", "light", WIDE),
    "model": ("/model", "light", HIGH),
    "logs": (None, "light", WIDE | {"height": 980}),
    "narrow": ("/model", "dark", NARROW),
}


def main(folder: Path, seconds: float) -> None:
    """Run all of it and write one PNG a view."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        store = Store(Path(made) / "store")
        sample = pd.read_csv(SAMPLE).drop(columns="id")
        table = read_table(write_csv(sample, Path(made) / "sample.csv"))
        for trials in (8, 4):
            train(quick(table, "y", name=MODEL, positive="yes", max_trials=trials), store, Silent())
        customers = sample.drop(columns="y").to_dict("records")
        work = Path(made) / "work"
        work.mkdir()
        with stack(work, store, MODEL, customers, SETTINGS) as running:
            load(running, 0.5 * seconds)
            running.promote("2")
            load(running, 0.25 * seconds)
            load(running, 0.25 * seconds, age=88, job="astronaut")
            running.score([{"age": "old"}], **TRACED)
            traced = "SELECT count(*) FROM traces WHERE operation_Id = '4bf92f3577b34da6a3ce929d0e0e4736'"
            wait_until(lambda: running.ask(traced) == [[1]])
            load(running, 12)  # so that Live metrics show something
            take(running, folder)


def load(running: Stack, seconds: float, **moved: object) -> None:
    """Some forty requests a second, of which a few are wrong; `moved` are values of a part of the rows."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rows = [dict(row) for row in random.choices(running.rows, k=random.choice((1, 1, 1, 5, 20)))]
        for row in rows:
            row.update(moved if random.random() < 0.4 else {})
        match random.randrange(100):
            case 0:
                running.score(rows, key="wrong")
            case 1:
                running.score([rows[0] | {"age": "old"}])
            case 2:
                running.score(rows, **{"content-type": "text/plain"})
            case _:
                assert running.score(rows).status_code == 200
        time.sleep(random.expovariate(40))


def take(running: Stack, folder: Path) -> None:
    """Write the pictures."""
    with chromium() as browser:
        for name, (path, theme, size) in VIEWS.items():
            with visit(browser, running.insights, theme=theme, size=size) as page:
                page.goto(path or "/logs", wait_until="networkidle")
                page.evaluate("remember('minutes', 30)")
                if path is None:
                    page.locator(".cm-content").click()
                    page.keyboard.press("Control+a")
                    page.keyboard.insert_text(QUERY)
                    page.keyboard.press("Control+Enter")
                    page.get_by_role("tab", name="Chart").click()
                else:
                    page.reload(wait_until="networkidle")
                if name != "transaction":
                    page.locator(".chart svg path").first.wait_for(state="attached")
                page.mouse.move(0, 0)
                page.screenshot(path=folder / f"{name}.png", animations="disabled")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=300, help="of load")
    given = parser.parse_args()
    main(given.folder, given.seconds)
