"""`homeport pipeline` and the library below it, beside a service in memory with the real one's paths and refusals."""

import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from homeport.__main__ import app
from homeport.errors import HomeportError, PipelineRunFailed, PipelineServiceAway, PipelineServiceError
from homeport.pipeline_commands import assignments
from homeport.pipelines import Job, PipelineRun, PipelineService
from homeport.run_details import RunDetails
from homeport.run_html import html
from homeport.run_view import view
from tests.conftest import free_port
from tests.homeport.pipeline_service import FakePipelineService


@pytest.fixture
def fake():
    with FakePipelineService() as running:
        yield running


@pytest.fixture
def service(fake):
    return PipelineService(fake.url, fake.key, poll_seconds=0.01)


@pytest.fixture
def command(fake, monkeypatch):
    monkeypatch.setattr("homeport.pipeline_run.time", SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic))

    def run(*words, code=0):
        where = ["--url", fake.url, "--key", fake.key]
        result = CliRunner().invoke(app, ["pipeline", *map(str, words), *where], env={"COLUMNS": "200"})
        if code == 0 and result.exception:
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return run


def drawn(content) -> str:
    console = Console(file=io.StringIO(), width=120, no_color=True)
    console.print(content)
    return console.file.getvalue()


def test_publish_prints_what_is_needed_to_trigger_it(command, fake, tmp_path):
    table = tmp_path / "shop.csv"
    table.write_text("a,b\n1,2\n")
    said = command("publish", "shop", table, "--target", "b", "--budget", 5, "--no-serve", "--margin", 0.01)
    keys = fake.keys["shop"]
    assert all(key in said for key in keys.values())
    assert f"curl -X POST {fake.url}/pipelines/shop/runs" in said
    job = fake.pipelines[-1]["Job"]
    assert (job["Table"], job["Target"], job["Serve"], job["Margin"]) == (str(table), "b", False, 0.01)
    again = command("publish", "shop", "bank-marketing")
    assert "shop 2 is published" in again
    assert not any(key in again for key in keys.values())


def test_a_run_is_followed_to_its_end_in_lines(command, service):
    service.publish("shop", Job("bank-marketing"))
    said = command("run", "shop", "--experiment", "by-hand", "--set", "Budget=7", "--watch")
    assert "✓ train: Completed" in said
    assert "Promoted: version" in said
    run = service.pipeline("shop").run()
    assert run.details.parameter_assignments == {"Budget": 7}
    assert run.id in command("runs", "shop")
    assert "roc_auc" in command("metrics", "shop")
    assert '"sha256"' in command("outputs", "shop")
    assert "train" in command("logs", "shop", run.id)


def test_a_run_that_fails_ends_the_command_with_1_and_goes_on_when_asked(command, service, fake):
    service.publish("shop", Job("bank-marketing"))
    fake.fails_at = "evaluate"
    said = command("run", "shop", "--watch", code=1)
    assert "Failed in step evaluate" in said
    run = service.pipeline("shop").run()
    with pytest.raises(PipelineRunFailed, match="evaluate"):
        run.wait_for_completion(show_output=False)
    fake.fails_at = ""
    assert run.id in command("rerun", "shop")
    assert run.wait_for_completion(show_output=False) == "Completed"


def test_disable_enable_keys_schedules_and_triggers(command, service, fake, tmp_path):
    service.publish("shop", Job("bank-marketing"))
    assert "DISABLED" in command("disable", "shop")
    with pytest.raises(PipelineServiceError, match="409"):
        service.pipeline("shop").submit()
    assert "ACTIVE" in command("enable", "shop")
    assert "ACTIVE" in command("list")
    assert "bank-marketing" in command("show", "shop")
    new = command("key", "shop", "secondary").strip()
    assert new in fake.keys["shop"].values()
    made = command("schedule", "shop", "--every", "2h").split()[1].rstrip(".")
    assert made in command("schedules", "shop")
    assert "deleted" in command("unschedule", "shop", made)
    trigger = command("trigger", "shop", "--on-drift", 0.2).split()[1]
    assert trigger in command("triggers", "shop")
    assert "deleted" in command("untrigger", "shop", trigger)


def test_mistakes_are_told_without_a_stack_trace(command, service):
    service.publish("shop", Job("bank-marketing"))
    with pytest.raises(HomeportError, match="NAME=VALUE"):
        assignments(["Budget"])
    assert assignments(["Budget=30", "Learners=[\"lgbm\"]", "Target=y"]) == {
        "Budget": 30, "Learners": ["lgbm"], "Target": "y"
    }  # fmt: skip
    with pytest.raises(HomeportError, match="one of"):
        command("trigger", "shop")
    with pytest.raises(HomeportError, match="--below"):
        command("trigger", "shop", "--on-accuracy", "rows.csv")
    with pytest.raises(PipelineServiceAway, match="No answer"):
        PipelineService(f"http://127.0.0.1:{free_port()}", "key").pipelines()


def test_the_view_tells_a_run_on_a_terminal_and_in_a_notebook(service, fake):
    pipeline = service.publish("shop", Job("bank-marketing"))
    run = pipeline.submit("<b>bold</b>")
    begun = run.get_details()
    while not (train := begun.step("train")) or train.status != "Running" or not train.progress.share:
        begun = run.get_details()
    said = drawn(view(begun))
    assert "● " in said
    assert "37%" in said
    assert "○  promote" in said
    page = html(begun)
    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page
    assert "<script" not in page
    assert "http" not in page.replace(begun.page, "")
    run.wait_for_completion(show_output=False)
    assert "Promoted: version 2 is the champion." in drawn(view(run.details))
    fake.moves = False


def test_leaving_the_view_leaves_the_run_alone(service, fake, monkeypatch):
    run = service.publish("shop", Job("bank-marketing")).submit()
    monkeypatch.setattr(PipelineRun, "follow", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(KeyboardInterrupt):
        RunDetails(run).watch(console)
    assert f"homeport pipeline cancel shop {run.id}" in console.file.getvalue()
    assert not any("cancel" in asked for asked in fake.asked)
