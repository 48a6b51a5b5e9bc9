"""A challenger scores along, unseen; what it shows adds up over the workers."""

import json
import shutil

import httpx
import msgspec
import pytest

from bundle import BundleError, BundleNotFound, Store
from serving.errors import ServingError
from serving.scorer import Scorer
from serving.shadow import BOUNDS, Comparison, quantile, read_comparison
from tests.conftest import MODEL, Silent, quick, serve, shop_frame, wait_until, write_csv
from tests.homeport.test_commands import homeport
from trainer.job import train
from trainer.table import read_table


def compared(folder) -> Comparison:
    try:
        return read_comparison(folder, MODEL, "1", "2")
    except ServingError:  # nothing yet
        return Comparison(MODEL, "1", "2")


def test_a_challenger_is_compared_on_all_workers_and_promotion_takes_it_over(tmp_path, store, shop_rows):
    reports = tmp_path / ".homeport" / "shadow"
    with serve(tmp_path, store.root, WORKERS="2", SHADOW=str(reports)) as running:

        def ask():
            return running.client.post("/score", json={"data": shop_rows})

        alone = ask().content
        store.challenge(MODEL, "2", 1.0)
        wait_until(lambda: running.log.read_text().count("scores 100 % of the traffic too") == 2)
        labels = ask()
        assert labels.content == alone
        assert labels.headers["x-model-version"] == "1"

        def from_both_workers():
            httpx.post(
                f"{running.url}/score", json={"data": shop_rows}, headers=running.client.headers, trust_env=False
            )
            return len(list(reports.glob("*.json"))) == 2

        wait_until(from_both_workers)
        wait_until(lambda: compared(reports).rows % len(shop_rows) == 0 and compared(reports).requests >= 2)
        found = compared(reports)
        shutil.copytree(store.root, tmp_path / "alone" / "models")
        other = Store(tmp_path / "alone" / "models")
        other.promote(MODEL, "2")
        (tmp_path / "second").mkdir()
        with serve(tmp_path / "second", other.root) as second:
            theirs = second.client.post("/score", json={"data": shop_rows}).json()["result"]
        different = sum(a != b for a, b in zip(json.loads(alone)["result"], theirs, strict=True))
        assert found.disagreements == different * found.requests
        assert 0 < found.difference / found.rows <= found.largest <= 1
        assert sum(found.champion_seconds) == sum(found.challenger_seconds) == found.requests

        shown = homeport("models", "shadow", MODEL, "--state", tmp_path / ".homeport", folder=tmp_path).stdout
        for wanted in ("labels differ", "latency, median", "champion 1", "challenger 2", "PSI", "age"):
            assert wanted in shown

        homeport("models", "promote", MODEL, "2", folder=tmp_path)
        assert store.challenger(MODEL) is None
        # of the same connection: each worker takes the new champion over in its own time
        wait_until(lambda: ask().headers["x-model-version"] == "2")
        assert ask().json()["result"] == theirs


def test_a_broken_challenger_does_not_touch_the_champion(tmp_path, store, complete_row):
    with serve(tmp_path, store.root, SHADOW=str(tmp_path / "shadow")) as running:
        (store.root / MODEL / "challenger").write_text("{")
        wait_until(lambda: "challenger is damaged" in running.log.read_text())
        graph = store.path(MODEL, "2") / "scorer.onnx"
        graph.chmod(0o644)
        graph.write_bytes(b"")
        (store.root / MODEL / "challenger").write_text('{"version": "2", "share": 1.0}')
        wait_until(lambda: "scorer.onnx is not the file" in running.log.read_text())
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200
        assert running.anonymous.get("/health/ready").json() == {
            "status": "ready",
            "model": MODEL,
            "version": "1",
            "pinned": False,
        }


@pytest.mark.e2e
def test_a_challenger_with_other_columns_is_counted_as_failing(tmp_path, store, complete_row):
    table = read_table(write_csv(shop_frame(300).rename(columns={"age": "years"}), tmp_path / "years.csv"))
    assert train(quick(table, "buys", positive="yes"), store, Silent()).version == "3"
    with serve(tmp_path, store.root, SHADOW=str(tmp_path / "shadow")) as running:
        store.challenge(MODEL, "3", 1.0)
        wait_until(lambda: "scores 100 %" in running.log.read_text())
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200

        def failed():
            paths = list((tmp_path / "shadow").glob("*.json"))
            return paths and msgspec.json.decode(paths[0].read_bytes(), type=Comparison).failed == 1

        wait_until(failed)
        assert "years" in read_comparison(tmp_path / "shadow", MODEL, "1", "3").reason


def test_a_comparison_may_end_while_a_request_is_scored(shop_store, complete_row):
    scorer = Scorer(shop_store.champion_path(MODEL))
    offered = []

    class Ending(list):
        """Rows whose scoring ends the comparison."""

        def __iter__(self):
            scorer.observers = ()
            return super().__iter__()

    scorer.observers = (lambda *offer: offered.append(offer),)
    assert scorer.score(Ending(scorer.rows([complete_row])), "predict")
    assert len(offered) == 1


def test_what_the_store_says_of_challengers(store, tmp_path):
    with pytest.raises(BundleError, match="share"):
        store.challenge(MODEL, "2", 0)
    with pytest.raises(BundleError, match="champion itself"):
        store.challenge(MODEL, "1", 0.5)
    with pytest.raises(BundleNotFound):
        store.challenge(MODEL, "9", 0.5)
    store.challenge(MODEL, "2", 0.5)
    assert homeport("models", "shadow", MODEL, folder=tmp_path, code=1).stderr.count("Nothing was compared yet") == 1
    assert "no challenger any more" in homeport("models", "shadow", MODEL, "--stop", folder=tmp_path).stdout
    assert "no challenger" in homeport("models", "shadow", MODEL, folder=tmp_path, code=1).stderr


def test_only_the_sums_of_the_same_pair_are_added(tmp_path):
    for name, pair in (("shop", "1-2"), ("shop-1", "2-3")):
        champion, challenger = pair.split("-")
        sums = Comparison(name, champion, challenger, requests=1, rows=7)
        (tmp_path / f"{name}-{pair}-abcd.json").write_bytes(msgspec.json.encode(sums))
    assert read_comparison(tmp_path, "shop", "1", "2").rows == 7
    assert read_comparison(tmp_path, "shop-1", "2", "3").rows == 7
    (tmp_path / "shop-1-2-ef.json").write_text("{")
    with pytest.raises(ServingError, match="Delete it"):
        read_comparison(tmp_path, "shop", "1", "2")


def test_quantiles_and_sums():
    counts = [0] * (len(BOUNDS) + 1)
    counts[10], counts[20] = 95, 5
    assert quantile(counts, 0.5) == quantile(counts, 0.95) == BOUNDS[10]
    assert quantile(counts, 0.99) == BOUNDS[20]
    one = Comparison(MODEL, "1", "2", requests=1, rows=2, difference=0.5, largest=0.5, seen={"a": [1, 2]})
    other = Comparison(MODEL, "1", "2", requests=2, rows=3, largest=0.7, reason="r", seen={"a": [1, 0], "b": [3]})
    one.add(other)
    assert (one.requests, one.rows, one.largest, one.reason) == (3, 5, 0.7, "r")
    assert one.seen == {"a": [2, 2], "b": [3]}
