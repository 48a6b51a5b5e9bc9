"""The reference job on Azure's own file, where it is at hand: 60 s of search, then the exercise's client."""

import json
from pathlib import Path

import pytest
import requests

from bundle import Store
from bundle.read import verify
from tests.conftest import ROOT, Silent, serve
from trainer.dataset import DATASETS, read_dataset
from trainer.fit import Request
from trainer.job import train
from trainer.table import read_table

pytestmark = pytest.mark.e2e

FILE = ROOT.parent / "shared" / "data" / "bankmarketing_train.csv.gz"


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    if not FILE.exists():
        pytest.skip(f"the full table is not at hand ({FILE.name}); the embedded sample is tested by the fresh clone")
    dataset = read_dataset(DATASETS / "bank-marketing.toml")
    table = read_table(FILE)
    assert table.sha256 == dataset.sources[0].sha256
    store = Store(tmp_path_factory.mktemp("bank"))
    request = Request(
        table, dataset.target, "bank-marketing", positive=dataset.positive, budget=60, examples=dataset.examples
    )
    train(request, store, Silent())
    return store


def test_quality_and_parity(bank):
    manifest = verify(bank.champion_path("bank-marketing"))
    assert manifest.metrics["AUC_weighted"] >= 0.947
    assert manifest.metrics["accuracy"] > manifest.baselines["majority class"]["accuracy"] + 0.02
    assert manifest.baselines["majority class"]["accuracy"] == pytest.approx(0.888, abs=5e-4)
    parity = manifest.parity
    assert parity.clean_rows + parity.damaged_rows + parity.adversarial_rows >= 10_000
    assert parity.flips == 0
    assert parity.max_difference <= 1e-5


def test_the_exercises_client_with_address_and_key_changed(bank, tmp_path):
    """Two rows of twenty fields, written to data.json, posted with a bearer token; see the data-set file."""
    examples = read_dataset(Path(DATASETS / "bank-marketing.toml")).examples
    with serve(tmp_path, bank.root) as running:
        body = json.dumps({"data": list(examples)})
        (tmp_path / "data.json").write_text(body)
        headers = {"Content-Type": "application/json", "Authorization": running.client.headers["Authorization"]}
        answer = requests.post(f"{running.url}/score", body, headers=headers, timeout=10)
        assert answer.json().keys() == {"result"}
        assert len(answer.json()["result"]) == 2
        assert set(answer.json()["result"]) <= {"yes", "no"}
