"""The harness of the benchmark of AutoML systems, with its fastest system and smallest table."""

import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks.automl import __main__ as automl
from benchmarks.automl import report
from benchmarks.automl.__main__ import Failed, measure, score
from benchmarks.automl.results import read_runs
from benchmarks.automl.systems import SYSTEMS, System
from benchmarks.automl.tables import TABLES

KNOWN = {table.name: table for table in TABLES}
PENGUINS, TITANIC, WAGE = KNOWN["penguins"], KNOWN["titanic"], KNOWN["wage"]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs the program as `make bench-automl` does, with documents of its own."""
    (tmp_path / "automl.md").write_text(f"{report.BEGIN}\n{report.END}\n")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["automl", "--documents", str(tmp_path), *arguments])
        return automl.main()

    return call


def test_a_run_is_made_kept_and_not_made_again(command, tmp_path, capsys):
    part = ("--systems", "default_lightgbm", "--tables", "penguins", "--budgets", "1", "--seeds", "1")
    assert command(*part) == 0
    (run,) = read_runs(tmp_path / "automl.json")
    assert run.key == ("default_lightgbm", "penguins", 1.0, 0)
    assert 0 < run.score < 1
    assert run.row > 0.1
    assert run.call > 100
    assert run.size > 100_000
    assert run.winner == "lgbm"
    assert set(run.versions) == {"lightgbm"}
    assert "cores" in run.machine
    assert run.python == ".".join(map(str, sys.version_info[:3]))
    text = (tmp_path / "automl.md").read_text()
    assert f"| penguins (log_loss ↓) | {run.score:.4f} |" in text
    (tmp_path / "automl.svg").unlink()
    assert command(*part) == 0
    assert read_runs(tmp_path / "automl.json") == [run]
    assert (tmp_path / "automl.svg").is_file()


@pytest.mark.e2e
def test_what_fails_is_named_and_stops_nothing_else(command, tmp_path, monkeypatch, capsys):
    broken = System("presets", "Broken", "not at all", None, ())  # it needs a library that is not here
    missing = System("nothing", "Missing", "not at all", "nothing", ())
    monkeypatch.setitem(automl.SYSTEMS, "presets", broken)
    monkeypatch.setitem(automl.SYSTEMS, "nothing", missing)
    monkeypatch.setattr(automl, "environment", environment := _environment(automl.environment))
    part = ("--tables", "penguins", "--budgets", "1", "--seeds", "2")
    assert command("--systems", "presets", "nothing", "default_lightgbm", *part) == 1
    said = capsys.readouterr().err
    assert "Broken on penguins, 1 s, seed 0 failed:" in said
    assert "No module named 'autogluon'" in said
    assert said.count("Missing has no environment: no installer") == 1
    assert environment.asked.count("nothing") == 1
    assert [run.key[-1] for run in read_runs(tmp_path / "automl.json")] == [0, 1]


def _environment(real):
    def environment(lock):
        environment.asked.append(lock)
        if lock == "nothing":
            raise automl.EnvironmentFailed("no installer")
        return real(lock)

    environment.asked = []
    return environment


def test_a_system_that_does_not_end_fails(monkeypatch):
    monkeypatch.setattr(automl, "PATIENCE", -299.9)
    with pytest.raises(Failed, match="did not end"):
        measure(SYSTEMS["default_lightgbm"], PENGUINS, PENGUINS.read(None), 1.0, 0)


def test_the_score_is_of_the_classes_in_the_systems_own_order():
    truth = pd.Series([0, 1, 1, 0])
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])  # of 1, then of 0
    assert score(TITANIC, truth, outputs, ["1", "0"]) == 1.0
    assert score(TITANIC, truth, outputs, ["0", "1"]) == 0.0
    with pytest.raises(Failed, match="knows the classes 1, 2, and not 0"):
        score(TITANIC, truth, outputs, ["1", "2"])
    with pytest.raises(Failed, match="no number"):
        score(TITANIC, truth, outputs * np.nan, ["1", "0"])
    assert score(WAGE, pd.Series([1.0, 3.0]), np.array([[1.0], [1.0]]), []) == pytest.approx(2**0.5)


def test_a_split_is_the_same_each_time_and_has_no_row_twice():
    frame = PENGUINS.read(None)
    train, test = PENGUINS.split(frame, 1)
    again, _ = PENGUINS.split(frame, 1)
    pd.testing.assert_frame_equal(train, again)
    assert len(train) + len(test) == len(frame)
    assert test["species"].value_counts(normalize=True).max() == pytest.approx(0.44, abs=0.01)
    assert not PENGUINS.split(frame, 2)[0].equals(train)


@pytest.mark.parametrize("table", [table for table in TABLES if not table.bank], ids=lambda table: table.name)
def test_every_table_has_its_target_and_plain_words(table):
    frame = table.read(None)
    assert frame[table.target].notna().all()
    assert frame[table.target].nunique() == 2 or table.task != "binary"
    words = frame.select_dtypes(["object", "string"]).stack().dropna().astype(str)
    assert (words == words.str.strip()).all()


def test_a_system_that_needs_time_is_not_run_with_less_unless_it_is_named(monkeypatch):
    def wanted(*arguments):
        monkeypatch.setattr(sys, "argv", ["automl", *arguments])
        return [(task.system.name, task.budget) for task in automl._wanted(automl._arguments())]

    assert ("best_autogluon", 60.0) not in wanted()
    assert ("best_autogluon", 300.0) in wanted()
    assert ("best_autogluon", 60.0) in wanted("--systems", "best_autogluon")
    assert len(wanted("--seeds", "1")) == len(TABLES) * (4 + 5)
