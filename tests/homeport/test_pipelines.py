"""The client of the pipeline service, against a service in memory."""

import json
import os
from datetime import datetime

import httpx
import psutil
import pytest

from homeport.errors import PipelineRunFailed, PipelineServiceAway, PipelineServiceError
from homeport.pipeline_records import Published, Run
from homeport.pipeline_rest import path
from homeport.pipelines import Job, PipelineRun, PipelineService
from tests.homeport.pipeline_service import STEPS, FakePipelineService


@pytest.fixture
def fake():
    with FakePipelineService() as service:
        yield service


@pytest.fixture
def service(fake):
    return PipelineService(fake.url, fake.key, poll_seconds=0.0)


@pytest.fixture
def bank(service):
    return service.publish("bank", Job("bank-marketing", budget=30), "1.0", "calls of a bank")


def local_state(folder, fake, key=None):
    """A state folder in which this very process is the pipeline service."""
    this = psutil.Process()
    port = httpx.URL(fake.url).port
    running = {"pid": os.getpid(), "created": this.create_time(), "host": "127.0.0.1", "port": port}
    (folder / "pipeline").mkdir(parents=True)
    (folder / "pipeline.json").write_text(json.dumps(running))
    if key:
        (folder / "pipeline" / "service.key").write_text(key + "\n")
    return folder


def test_the_embedded_service_is_found_with_its_key(fake, tmp_path):
    service = PipelineService.local(local_state(tmp_path / "state", fake, fake.key))
    assert service.pipelines() == []


def test_without_a_service_or_its_key_it_is_said_what_is_missing(fake, tmp_path):
    with pytest.raises(PipelineServiceError, match="No pipeline service runs here"):
        PipelineService.local(tmp_path)
    with pytest.raises(PipelineServiceError, match=r"service\.key, cannot be read"):
        PipelineService.local(local_state(tmp_path / "state", fake))


def test_keys_are_there_the_first_time_alone_and_are_not_in_a_repr(service, bank):
    assert bank.keys.primary not in repr(bank.keys)
    assert bank.keys.primary not in repr(bank)
    assert service.publish("bank", Job("bank-marketing"), "1.1").keys is None


def test_names_mean_the_newest_version_and_ids_one_version(service, bank):
    second = service.publish("bank", Job("bank-marketing"), "1.1")
    assert service.pipeline("bank").version == "1.1"
    assert service.pipeline(bank.id).version == "1.0"
    assert [each.version for each in service.pipelines()] == ["1.1"]
    assert [each.version for each in service.pipelines(all_versions=True)] == ["1.1", "1.0"]
    service.pipelines(all_versions=True)[1].disable()
    assert service.pipeline(bank.id).status == "DISABLED"
    assert service.pipeline(second.id).status == "ACTIVE"


def test_a_job_arrives_as_it_was_given(fake, bank):
    assert bank.job == Job("bank-marketing", budget=30)
    sent = Job("t.csv", "y", drop=("id",), learners=("lgbm",), max_trials=6, serve=False, positive=True)
    assert PipelineService(fake.url, fake.key).publish("other", sent).job == sent


def test_a_run_is_waited_for_and_each_change_is_printed_once(bank, capsys):
    run = bank.submit("first", {"Budget": 45})
    assert run.wait_for_completion() == "Completed"
    said = capsys.readouterr().out
    for step in STEPS[:-1]:
        assert said.count(f"✓ {step}:") == 1
    assert "Promoted: version 2 is the champion." in said
    assert run.details.parameter_assignments == {"Budget": 45}
    assert [step.name for step in run.steps] == list(STEPS)
    assert run.steps[-1].status == "Skipped"


def test_nothing_is_printed_to_whoever_wants_nothing(bank, capsys):
    bank.submit().wait_for_completion(show_output=False)
    assert capsys.readouterr().out == ""


def test_metrics_outputs_and_logs_of_a_run(bank):
    run = bank.submit()
    lines = [line.message for line in run.logs(follow=True)]
    assert (lines[0], lines[-1]) == ("the run is queued", "the run is over")
    assert len(lines) == len(set(lines)) == 10
    assert run.get_metrics()["evaluate"]["accuracy"] == 0.9171
    assert run.get_outputs()["train"]["version"] == "2"
    assert [line.message for line in run.logs()] == lines


def test_a_failed_run_is_raised_and_goes_on_when_it_is_rerun(fake, bank):
    fake.fails_at = "validate"
    run = bank.submit()
    with pytest.raises(PipelineRunFailed, match="Failed in step validate: the table has no column 'y'"):
        run.wait_for_completion(show_output=False)
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Failed"
    fake.fails_at = ""
    run.rerun()
    assert run.wait_for_completion(show_output=False) == "Completed"
    with pytest.raises(PipelineServiceError, match="409"):
        run.rerun()


def test_a_run_that_takes_too_long_is_no_longer_waited_for(fake, bank):
    fake.moves = 0
    run = bank.submit()
    with pytest.raises(TimeoutError, match="still Queued"):
        run.wait_for_completion(show_output=False, timeout_seconds=0.0)
    run.cancel()
    with pytest.raises(PipelineRunFailed, match="Canceled"):
        run.wait_for_completion(show_output=False)


def test_a_run_begun_by_rest_is_followed_by_its_id_with_a_pipelines_own_key(fake, bank):
    own = PipelineService(fake.url, bank.keys.secondary, poll_seconds=0.0)
    answer = httpx.post(
        f"{bank.endpoint}",
        headers={"Authorization": f"Bearer {bank.keys.primary}"},
        json={"ExperimentName": "by-rest"},
        trust_env=False,
    )
    run = PipelineRun(own.pipeline("bank"), answer.json()["Id"])
    assert run.wait_for_completion(show_output=False) == "Completed"
    with pytest.raises(PipelineServiceError, match="401"):
        own.pipelines()


def test_the_latest_run_is_the_one_that_is_meant(bank):
    with pytest.raises(PipelineServiceError, match="has not run yet"):
        bank.run()
    first, second = bank.submit(), bank.submit()
    assert bank.run().id == second.id
    assert bank.run(first.id).id == first.id
    assert [run.id for run in bank.runs()] == [second.id, first.id]
    assert bank.runs()[0].steps  # asked for, though the list has none


def test_a_disabled_pipeline_refuses_and_an_enabled_one_does_not(bank):
    bank.disable()
    assert bank.status == "DISABLED"
    with pytest.raises(PipelineServiceError, match="is disabled") as refused:
        bank.submit()
    assert refused.value.status == 409
    bank.enable()
    assert bank.submit().status in ("Queued", "Running")


def test_a_key_made_anew_ends_the_old_one(fake, bank):
    new = bank.regenerate_key("primary")
    assert PipelineService(fake.url, new).pipeline("bank").name == "bank"
    with pytest.raises(PipelineServiceError, match="401"):
        PipelineService(fake.url, bank.keys.primary).pipeline("bank")


def test_schedules_come_rest_and_go(bank):
    made = bank.schedule(every="2h", start=datetime(2026, 12, 1, 6), time_zone="Europe/Lisbon")
    assert (made.every, made.start, made.time_zone, made.last) == ("2h", "2026-12-01T06:00:00", "Europe/Lisbon", None)
    other = bank.schedule(cron="0 6 * * mon-fri", run_now=True, overlap="queue", misfire="skip")
    assert bank.run().id == other.last.run_id
    bank.disable_schedule(made.id)
    assert [each.enabled for each in bank.schedules()] == [False, True]
    bank.enable_schedule(made.id)
    assert [each.enabled for each in bank.schedules()] == [True, True]
    bank.unschedule(made.id)
    assert bank.schedules() == [other]
    with pytest.raises(PipelineServiceError, match="no such schedule"):
        bank.unschedule(made.id)


def test_triggers_come_and_go(bank):
    made = [
        bank.run_on_data("new/*.csv", {"Budget": 5}),
        bank.run_on_drift(0.2),
        bank.run_on_accuracy("labelled.csv", "accuracy", 0.9),
    ]
    assert [each.kind for each in made] == ["data", "drift", "accuracy"]
    assert made[0].parameter_assignments == {"Budget": 5}
    assert bank.triggers() == made
    bank.untrigger(made[1].id)
    assert bank.triggers() == [made[0], made[2]]


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        ("http://127.0.0.1:9", "k", "No answer"),
        ("ftp://127.0.0.1", "k", "no address"),
        ("127.0.0.1:8010", "k", "no address"),
        ("http://127.0.0.1:9", "clé\u2026", "no key"),
    ],
)
def test_an_address_at_which_nobody_answers_is_named(url, key, message):
    with pytest.raises(PipelineServiceError, match=message):
        PipelineService(url, key).pipelines()


def test_a_service_that_comes_back_is_waited_for(fake, bank):
    run = bank.submit()
    seen = run.follow()
    next(seen)
    fake.__exit__()
    assert "No answer" in next(seen).away
    with fake:
        assert next(seen).away == ""


def test_a_service_that_stays_away_ends_the_wait(fake, bank):
    seen = bank.submit().follow(away_seconds=0.0)
    next(seen)
    fake.__exit__()
    with pytest.raises(PipelineServiceAway):
        list(seen)
    fake.__enter__()


def test_what_is_no_answer_of_the_service_is_said_to_be_unexpected(service, bank):
    with pytest.raises(PipelineServiceError, match="unexpected"):
        service.rest.ask("GET", path("pipelines"), Run)
    assert service.rest.ask("GET", path("pipelines", "bank"), Published).name == "bank"


def test_a_name_with_odd_letters_stays_one_part_of_the_path(service):
    with pytest.raises(PipelineServiceError, match=r"There is no pipeline 'a/\.\./b\?c'"):
        service.pipeline("a/../b?c")
