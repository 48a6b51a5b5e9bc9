"""`homeport pipeline …` as a person runs it, against a service in memory."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from homeport.__main__ import app
from homeport.errors import HomeportError, PipelineServiceError
from homeport.pipeline_options import assignments
from tests.conftest import ROOT
from tests.homeport.pipeline_service import FakePipelineService
from tests.homeport.test_pipelines import local_state

ABSENT = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    with FakePipelineService() as service:
        monkeypatch.setenv("HOMEPORT_PIPELINE_URL", service.url)
        monkeypatch.setenv("HOMEPORT_PIPELINE_KEY", service.key)
        service.moves = 20  # to its end at one look
        monkeypatch.chdir(tmp_path)
        yield service


def pipeline(*arguments, code=0):
    result = CliRunner().invoke(app, ["pipeline", *map(str, arguments)])
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def bank(fake):
    return pipeline("publish", "bank", "bank-marketing", "--budget", 30)


def test_publish_says_all_that_one_needs_to_run_it(fake, bank):
    keys = fake.keys["bank"]
    for wanted in (fake.pipelines[0]["Id"], f"{fake.url}/pipelines/bank/runs", keys["Primary"], keys["Secondary"]):
        assert wanted in bank
    command = re.search(r"^ +(curl .*)$", bank, re.MULTILINE)[1]
    answer = subprocess.run(["bash", "-c", f"{command} --silent --noproxy '*'"], capture_output=True, check=True)
    assert json.loads(answer.stdout)["Id"] == fake.runs[0]["Id"]
    assert fake.runs[0]["ExperimentName"] == "by-rest"
    again = pipeline("publish", "bank", "bank-marketing", "--version", "2.0")
    assert "bank 2.0 is published" in again
    assert keys["Primary"] not in again


def test_publish_takes_every_field_of_a_job(fake, tmp_path):
    (tmp_path / "sales.csv").write_text("a,y\n")
    pipeline(
        "publish", "sales", "sales.csv", "-t", "y", "--model", "m", "--task", "binary", "--positive", "yes",
        "--drop", "id", "--drop", "no", "--metric", "log_loss", "--learners", "lgbm, rf", "--budget", 9,
        "--max-trials", 6, "--seed", 7, "--margin", 0.01, "--batch-input", "new/*.csv", "--batch-output", "s3://b/o.csv",
        "--time-column", "day", "--no-reuse", "--no-serve", "--description", "of sales",
    )  # fmt: skip
    assert fake.pipelines[0]["Description"] == "of sales"
    assert fake.pipelines[0]["Job"] == {
        "Table": str(tmp_path / "sales.csv"), "Target": "y", "Model": "m", "Task": "binary", "Positive": "yes",
        "Drop": ["id", "no"], "Metric": "log_loss", "Learners": ["lgbm", "rf"], "Budget": 9.0, "MaxTrials": 6,
        "Seed": 7, "Margin": 0.01, "AllowReuse": False, "Serve": False, "BatchInput": str(tmp_path / "new/*.csv"),
        "BatchOutput": "s3://b/o.csv", "TimeColumn": "day",
    }  # fmt: skip


def test_list_and_show(fake):
    assert "No pipelines yet" in pipeline("list")
    pipeline("publish", "bank", "bank-marketing", "--max-trials", 6, "--description", "[red]calls")
    pipeline("publish", "bank", "bank-marketing", "--version", "2.0")
    assert len(pipeline("list").splitlines()) == 2
    assert len(pipeline("list", "--all").splitlines()) == 3
    shown = pipeline("show", fake.pipelines[0]["Id"])
    for wanted in ("1.0", "ACTIVE", "[red]calls", "MaxTrials", "6", f"{fake.url}/pipelines/bank/runs"):
        assert wanted in shown
    assert fake.keys["bank"]["Primary"] not in shown


def test_run_and_what_it_gave(fake, bank):
    assert "has not run yet" in pipeline("runs", "bank")
    said = pipeline("run", "bank", "-e", "long", "--set", "Budget=600", "--set", 'Drop=["a"]', "--set", "Metric=rmse")
    assert fake.runs[0]["Id"] in said
    assert fake.runs[0]["ParameterAssignments"] == {"Budget": 600, "Drop": ["a"], "Metric": "rmse"}
    assert "✓ train: Completed" in pipeline("watch", "bank")
    assert re.search(r"Completed .* now 2 +long +REST", pipeline("runs", "bank"))
    assert re.search(r"evaluate +accuracy +0\.9171", pipeline("metrics", "bank"))
    assert json.loads(pipeline("outputs", "bank", fake.runs[0]["Id"]))["compare"]["promote"] is True
    logs = pipeline("logs", "bank")
    assert re.search(r"INFO +train: train begins", logs)
    assert pipeline("logs", "bank", "--follow") == logs


def test_a_run_that_fails_ends_with_1_and_goes_on_by_rerun(fake, bank):
    fake.fails_at = "validate"
    assert "Failed in step validate" in pipeline("run", "bank", "--watch", code=1)
    assert "ERROR   validate: the table has no column 'y'" in pipeline("logs", "bank")
    fake.fails_at = ""
    assert "Completed in" in pipeline("rerun", "bank", "--watch")


def test_cancel_ends_a_run_and_rerun_takes_it_up(fake, bank):
    pipeline("run", "bank")
    assert "is Canceled" in pipeline("cancel", "bank")
    assert "goes on" in pipeline("rerun", "bank", fake.runs[0]["Id"])


def test_disable_and_enable(fake, bank):
    assert "bank 1.0 is DISABLED" in pipeline("disable", "bank")
    with pytest.raises(PipelineServiceError, match="is disabled"):
        pipeline("run", "bank")
    assert "bank 1.0 is ACTIVE" in pipeline("enable", "bank")


def test_key_prints_the_new_key_alone(fake, bank):
    before = dict(fake.keys["bank"])
    assert pipeline("key", "bank", "secondary") == fake.keys["bank"]["Secondary"] + "\n"
    assert fake.keys["bank"]["Primary"] == before["Primary"]
    assert fake.keys["bank"]["Secondary"] != before["Secondary"]


def test_schedules(fake, bank):
    assert "has no schedules" in pipeline("schedules", "bank")
    said = pipeline("schedule", "bank", "--every", "2h", "--time-zone", "Europe/Lisbon", "--now", "--set", "Budget=5")
    made = fake.schedules[0][1]
    assert made["Id"] in said
    assert "2026-12-01 06:00:00" in said
    assert (made["RunNow"], made["ParameterAssignments"]) == (True, {"Budget": 5})
    pipeline("schedule", "bank", "--cron", "0 6 * * mon-fri", "--misfire", "skip", "--overlap", "queue")
    listed = pipeline("schedules", "bank", "--disable", made["Id"])
    assert "every 2h" in listed
    assert "0 6 * * mon-fri" in listed
    assert "disabled" in listed
    assert "disabled" not in pipeline("schedules", "bank", "--enable", made["Id"])
    pipeline("unschedule", "bank", made["Id"])
    assert [each["Cron"] for _, each in fake.schedules] == ["0 6 * * mon-fri"]


def test_triggers(fake, bank, tmp_path):
    assert "has no triggers" in pipeline("triggers", "bank")
    pipeline("trigger", "bank", "--on-new-data", "new/*.csv")
    pipeline("trigger", "bank", "--on-drift", 0.2)
    pipeline("trigger", "bank", "--on-accuracy", "l.csv", "--metric", "accuracy", "--below", 0.9)
    assert fake.triggers[0][1]["Path"] == str(tmp_path / "new/*.csv")
    listed = " ".join(pipeline("triggers", "bank").split())
    for wanted in ("new data: ", "drift above 0.2", "accuracy below 0.9"):
        assert wanted in listed
    pipeline("untrigger", "bank", fake.triggers[0][1]["Id"])
    assert len(fake.triggers) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "no pipeline 'nothing'"),
        (["run", "bank", "--set", "Budget"], "NAME=VALUE"),
        (["run", "bank", "--set", "Budgit=3"], "no parameter Budgit"),
        (["watch", "bank"], "has not run yet"),
        (["watch", "bank", ABSENT], "has no run"),
        (["schedule", "bank"], "one of --every and --cron"),
        (["schedule", "bank", "--every", "2h", "--cron", "* * * * *"], "one of --every and --cron"),
        (["unschedule", "bank", ABSENT], "no such schedule"),
        (["trigger", "bank"], "one of --on-new-data"),
        (["trigger", "bank", "--on-drift", "0.2", "--on-new-data", "x"], "one of --on-new-data"),
        (["trigger", "bank", "--on-accuracy", "l.csv", "--below", "0.9"], "belong together"),
        (["trigger", "bank", "--on-drift", "0.2", "--metric", "accuracy"], "belong together"),
        (["list", "--key", "wrong"], "401"),
    ],
)
def test_a_mistake_ends_with_a_message(fake, bank, arguments, message):
    with pytest.raises(HomeportError, match=message):
        pipeline(*arguments)


def test_the_embedded_service_is_asked_without_an_address(fake, bank, tmp_path, monkeypatch):
    monkeypatch.delenv("HOMEPORT_PIPELINE_URL")
    monkeypatch.delenv("HOMEPORT_PIPELINE_KEY")
    state = local_state(tmp_path / "state", fake, fake.key)
    assert "bank" in pipeline("list", "--state", state)
    assert "bank" in pipeline("show", "bank", "--state", state, "--key", fake.keys["bank"]["Primary"])


def test_its_key_goes_nowhere_else(fake, tmp_path, monkeypatch):
    monkeypatch.delenv("HOMEPORT_PIPELINE_KEY")
    with pytest.raises(HomeportError, match="goes nowhere else"):
        pipeline("list", "--state", local_state(tmp_path / "state", fake, fake.key))
    assert fake.asked == []


def test_ctrl_c_leaves_a_run_that_is_watched_alone(fake, bank):
    fake.moves = 0
    pipeline("run", "bank")
    watching = subprocess.Popen(
        [sys.executable, "-m", "homeport", "pipeline", "watch", "bank"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    said, errors = watching.communicate(timeout=30)
    assert "Queued" in first
    assert "the run goes on" in said
    assert (watching.returncode, errors) == (130, "")
    assert fake.runs[0]["Status"] == "Queued"


def test_values_of_set_are_json_or_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.csv").touch()
    given = ["Budget=30", "Target=null", "Metric=roc_auc", "Positive=a=b", "Serve=false", "Table=new.csv"]
    assert assignments([*given, "BatchOutput=out.csv"]) == {
        "Budget": 30, "Target": None, "Metric": "roc_auc", "Positive": "a=b", "Serve": False,
        "Table": str(tmp_path / "new.csv"), "BatchOutput": str(tmp_path / "out.csv"),
    }  # fmt: skip
    assert assignments(["Table=bank-marketing"]) == {"Table": "bank-marketing"}
