from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle import Store
from pipeline.job import Job
from pipeline.steps.record import RunFolder
from pipeline.steps.sequence import Outcome, directly, run_steps
from pipeline.steps.settings import Places
from pipeline.steps.step import Context
from tests.conftest import MODEL


@dataclass
class Bench:
    """A folder of pipelines, models and a table, and runs in it without any engine."""

    places: Places
    table: Path

    @property
    def store(self) -> Store:
        return Store(self.places.models)

    def job(self, **assigned) -> Job:
        base = {"Table": str(self.table), "Target": "buys", "Learners": ["lgbm"], "MaxTrials": 2, "Serve": False}
        return Job.read(base).assigned(assigned)

    def context(self, run: str) -> Context:
        return Context(self.places, RunFolder(self.places.data, run))

    def run(self, run: str, **assigned) -> Outcome:
        job, context = self.job(**assigned), self.context(run)
        return run_steps(job, MODEL, context, directly(job, context))

    def steps(self, run: str) -> dict:
        return {record.name: record for record in RunFolder(self.places.data, run).steps()}


@pytest.fixture
def bench(tmp_path, shop_csv) -> Bench:
    table = tmp_path / "shop.csv"
    table.write_bytes(shop_csv.read_bytes())
    places = Places(data=tmp_path / "pipeline", models=tmp_path / "models", keys=tmp_path / "keys.json")
    return Bench(places, table)
